"""Several counterfactuals of each row that differ in which features they change."""

import numpy as np

from skcf._distinct import distinct_rows
from skcf.space._constraints import same

__all__ = ["choose_diverse", "find_several"]

POOL = 4
"""Nearest rows to start from, for each counterfactual that is wanted."""


def find_several(search, batch, own, target, n_wanted, *, k, n_jobs=None, verbose=0):
    """Find several counterfactuals of each row.

    After the cheapest, others are put together without the features that have been changed so far:
    without all of them, and without those of the last one. From all that have been found, those
    are chosen that are cheap and change other features than those chosen before.

    Parameters
    ----------
    search : LocalSearch
        Finds candidates.
    batch : Batch
        The rows.
    own : ndarray of int, shape (n,)
        Their class codes.
    target : int
        Class code to move them to, or `OTHER`.
    n_wanted : int
        Number of counterfactuals for each.
    k : int
        Least number of nearest rows to start from.
    n_jobs, verbose : int
        Number of threads, and whether to show progress.

    Returns
    -------
    ndarray of float64, shape (n, n_wanted, n_features)
        Encoded counterfactuals, the cheapest first; where there are no more, the rows themselves.
    """
    k = max(k, POOL * n_wanted)
    starts = search.starts(batch, own, target, k=k, n_jobs=n_jobs, verbose=verbose)
    pool = search.improved(batch, starts, target, verbose)
    best, cost, code = search.best(batch, pool, verbose)
    of = np.flatnonzero(np.isfinite(cost))
    pool = _joined(pool, (of, best[of], code[of]))
    for turn in range(1, n_wanted):
        chosen = choose_diverse(batch, *pool[:2], turn)
        for first in {0, turn - 1}:
            banned = _changed(batch, pool[1], chosen[:, first:])
            pool = _joined(pool, search.without(batch, pool, banned, verbose))
    is_spare = np.repeat([False, True], [len(pool[0]), len(starts[0])])
    of, found, _ = _joined(pool, starts)
    chosen = choose_diverse(batch, of, found, n_wanted, is_spare)
    answers = np.repeat(batch.Z[:, None], n_wanted, axis=1)
    row, rank = np.nonzero(chosen >= 0)
    answers[row, rank] = found[chosen[row, rank]]
    return answers


def _joined(pool, more):
    return tuple(np.concatenate(pair) for pair in zip(pool, more, strict=True))


def _changed(batch, found, chosen):
    """Features that the counterfactuals chosen so far change, shape (n, n_features)."""
    changed = np.zeros(batch.Z.shape, dtype=bool)
    for column in chosen.T:
        rows = np.flatnonzero(column >= 0)
        changed[rows] |= ~same(found[column[rows]], batch.Z[rows])
    return changed


def choose_diverse(batch, of, found, n_wanted, is_spare=None):
    """Choose candidates of each row that are cheap and change different features.

    The first is the cheapest. Each further one has the least cost, divided by the distance (one
    less Jaccard's similarity) of the set of features that it changes from the nearest of the sets
    chosen before. Where there is no other set, real rows as they are come next, and then what
    changes the same features in another way.

    Parameters
    ----------
    batch : Batch
        The rows.
    of : ndarray of int, shape (n_found,)
        Which row each candidate is for.
    found : ndarray of float64, shape (n_found, n_features)
        Encoded candidates.
    n_wanted : int
        How many to choose for each row.
    is_spare : ndarray of bool, shape (n_found,), default=None
        Which are real rows that nothing has been undone in.

    Returns
    -------
    ndarray of int, shape (n, n_wanted)
        Positions of distinct candidates, the cheapest first; -1 where there are no more.
    """
    chosen = np.full((len(batch.Z), n_wanted), -1)
    is_spare = np.zeros(len(of), dtype=bool) if is_spare is None else is_spare
    cost = batch.cost(of, found)
    changed = ~same(found, batch.Z[of])
    order = np.lexsort((is_spare, cost, of))
    order = order[np.isfinite(cost[order])]
    if not len(order):
        return chosen
    rows, start = np.unique(of[order], return_index=True)
    for row, members in zip(rows, np.split(order, start[1:]), strict=True):
        picked = _pick(found[members], cost[members], changed[members], is_spare[members], n_wanted)
        chosen[row, : len(picked)] = members[np.sort(picked)]  # members are in the order of cost
    return chosen


def _pick(found, cost, changed, is_spare, n_wanted):
    """Positions of the candidates of one row, in the order in which they are picked."""
    first, _ = distinct_rows(found)
    left = np.isin(np.arange(len(found)), first)
    picked: list[int] = []
    near = np.zeros(len(found))  # similarity to the nearest set picked
    while len(picked) < n_wanted and left.any():
        is_new = left & (near < 1)
        tiers = (is_new & ~is_spare, left & is_spare, left)
        among = np.flatnonzero(next(tier for tier in tiers if tier.any()))
        distance = np.where(is_new[among], 1 - near[among], 1)
        best = int(among[np.argmin(cost[among] / distance)])
        picked.append(best)
        left[best] = False
        either = (changed | changed[best]).sum(axis=1)
        both = (changed & changed[best]).sum(axis=1)
        near = np.maximum(near, both / np.maximum(either, 1))
    return np.array(picked, dtype=np.intp)
