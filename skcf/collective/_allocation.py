"""From a plan, which splits people, to one target for each person."""

import numpy as np

__all__ = ["allocate"]


def allocate(plan):
    """Round a plan to one target for each source, keeping the mass at the targets.

    The sources are gone through in the order of their main target, and each gets the target
    of its own row of the plan that is furthest behind what the plan has sent there so
    far: systematic sampling, one dimension for each target. So no target is ever much more than one
    person away from the plan, where independent draws would be the root of a crowd away.

    Parameters
    ----------
    plan : csr_array of shape (m, n)
        The plan; empty rows have no target.

    Returns
    -------
    ndarray of int, shape (m,)
        A target for each source; -1 for none.
    """
    indptr, columns, values = plan.indptr, plan.indices, plan.data
    chosen = np.full(plan.shape[0], -1)
    served = np.flatnonzero(np.diff(indptr))
    if not len(served):
        return chosen
    main = columns[_largest_entries(indptr, values, served)]
    total = np.add.reduceat(values, indptr[served])
    owed = np.zeros(plan.shape[1])
    for place in np.lexsort((served, main)):
        i = served[place]
        start, stop = indptr[i], indptr[i + 1]
        entries = columns[start:stop]
        if stop - start > 1:
            owed[entries] += values[start:stop]
            j = entries[np.argmax(owed[entries])]
        else:
            j = entries[0]
            owed[j] += values[start]
        owed[j] -= total[place]
        chosen[i] = j
    return chosen


def _largest_entries(indptr, values, rows):
    """Position of the largest entry of each row, none of which is empty."""
    starts = indptr[rows]
    counts = indptr[rows + 1] - starts
    place = np.repeat(np.arange(len(rows)), counts)
    order = np.lexsort((-values, place))
    return order[starts - starts[0]]
