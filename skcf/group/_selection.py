"""Which features all translations share: chosen one by one, by what the datafit comes to with them.

Truncating translations of all features drops what others rely on; here each support is given the
translations that are best with it.
"""

import numpy as np

from skcf.group._prox import minimise

__all__ = ["select_supports"]

MOST_CANDIDATES = 32
"""Features that are tried: those that change most between the groups."""

N_BEAMS = 3
"""Supports of each size that are gone on with."""

MAX_ITER, TOL = 60, 1e-3


def select_supports(problem, k):
    """Translations of few features that all pairs share, by selection and by elimination.

    Forward, features are added to the best supports, one at a time; backward, they are taken
    off all of them. Each support is judged by the least datafit, without a penalty.

    Cost: batched solves, of about `N_BEAMS` times the number of candidates for each size.

    Parameters
    ----------
    problem : GroupProblem
        Of any loss.
    k : int
        The largest number of features.

    Returns
    -------
    ndarray of float64, shape (n, n_groups, n_features)
        Of several supports of each size up to k, the best first of those of size k.
    """
    candidates = _candidates(problem)
    most = min(k, len(candidates))
    return np.concatenate(
        [_eliminated(problem, candidates, most), _added(problem, candidates, most)]
    )


def _candidates(problem):
    """Free features, those first in which the groups are furthest apart."""
    T = problem.difference_between_means()
    size = np.abs(problem.pairs.deltas(T)).sum(axis=0)
    order = np.argsort(-size, kind="stable")[:MOST_CANDIDATES]
    return order[size[order] > 0]


def _added(problem, candidates, most):
    """Supports that grow."""
    found, beams = [], [((), np.zeros(problem.means.shape))]
    for _ in range(most):
        tried = {}
        for support, T in beams:
            for j in candidates:
                grown = tuple(sorted({*support, int(j)}))
                if j not in support and grown not in tried:
                    tried[grown] = T
        beams = _best(problem, tried)
        found += [T for _, T in beams]
    return _stacked(found, problem)


def _eliminated(problem, candidates, most):
    """Supports that shrink."""
    support = tuple(int(j) for j in candidates)
    found, beams = [], _best(problem, {support: problem.difference_between_means()})
    for size in range(len(candidates), 0, -1):
        if size <= most:
            found += [T for _, T in beams]
        if size > 1:
            tried = {}
            for support, T in beams:
                for j in support:
                    tried.setdefault(tuple(i for i in support if i != j), T)
            beams = _best(problem, tried)
    return _stacked(found, problem)


def _best(problem, tried):
    """The best supports with their translations, of those that are tried."""
    free = np.zeros((len(tried), 1, problem.means.shape[1]), dtype=bool)
    for row, support in zip(free[:, 0], tried, strict=True):
        row[list(support)] = True
    starts = np.stack(list(tried.values()))
    dbm = problem.difference_between_means()
    new = free & (starts == 0).all(axis=1, keepdims=True)
    starts = np.where(new, dbm, starts)
    solved = minimise(problem, starts, 0.0, free=free, max_iter=MAX_ITER, tol=TOL)
    order = np.argsort(solved.f, kind="stable")[:N_BEAMS]
    supports = list(tried)
    return [(supports[i], solved.T[i]) for i in order]


def _stacked(found, problem):
    return np.reshape(found, (-1, *problem.means.shape))
