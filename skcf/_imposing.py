"""A last resort: real rows with the constraints imposed on them, where none is allowed."""

import numpy as np

from skcf._targets import OTHER, reached

__all__ = ["impose_on_targets"]

N_PROBES = 64
"""Training rows that are tried for each row."""


def impose_on_targets(targets, space, Z, own, rows, oracle, target, *, metric, k=1):
    """Impose the constraints on target rows, and keep the cheapest that stay valid.

    Half of the rows that are tried are the nearest, half a systematic sample of all that
    are in the target class.

    Parameters
    ----------
    targets : TargetRows
        The rows to try.
    space : FeatureSpace
        The constraints and the cost.
    Z : ndarray of float64, shape (n, n_features)
        Encoded rows that have no allowed target row.
    own : ndarray of int, shape (n,)
        Their class codes.
    rows : ndarray of int, shape (n,)
        Which of the oracle's rows each of them is.
    oracle : Oracle
        Answers what the classifier says.
    target : int
        Class code to move them to, or `OTHER`.
    metric : str
        See `FeatureSpace.cost`.
    k : int, default=1
        Number of rows to keep for each.

    Returns
    -------
    of : ndarray of int, shape (n_kept,)
        Position in Z of the row that each one that is kept is for.
    moved : ndarray of float64, shape (n_kept, n_features)
        Encoded rows, valid and allowed.
    code : ndarray of int, shape (n_kept,)
        Their class codes.
    """
    n_half = N_PROBES // 2
    index, _ = targets.nearest(Z, own, target, k=n_half, metric=metric, impose=True)
    pool = np.arange(len(targets.Z))
    if target != OTHER:
        pool = pool[targets.labels == target]
    sample = pool[np.linspace(0, len(pool) - 1, n_half).astype(np.intp)]
    index = np.column_stack([index, np.broadcast_to(sample, (len(Z), n_half))])
    of, rank = np.nonzero(index >= 0)
    moved = space.constraints_.project(targets.Z[index[of, rank]], Z[of])
    code = oracle.labels(moved, rows[of])
    valid = np.flatnonzero(reached(code, own[of], target))
    of, moved, code = of[valid], moved[valid], code[valid]
    cost = space.costs_.between(moved, Z[of], metric)
    order = np.lexsort((cost, of))
    rank = np.arange(len(of)) - np.searchsorted(of[order], of[order])
    chosen = order[rank < k]
    return of[chosen], moved[chosen], code[chosen]
