"""Newton's method among translations that pool and are ordered as some others are.

Once proximal steps no longer change which groups have one value in a feature, nor their order, the
penalty is linear, and what is left is smooth and small: the values that the groups have.

References
----------
.. [1] J. Nocedal, S. Wright. "Numerical optimization", 2nd ed. Springer, 2006.
"""

import numpy as np

from skcf._representations import has_slopes
from skcf.group._datafit import MeanDatafit

__all__ = ["can_step", "newton_step"]

MOST_VALUES = 256
"""Different values up to which the second derivatives are asked for."""

LEAST_CURVATURE = 1e-8
"""What directions are taken to be curved by at least, as a share of the most curved one."""

SHARES = 0.5 ** np.arange(4)
"""Shares of the whole step that are tried."""


def can_step(problem):
    """Whether second derivatives are worth asking for: gradients are exact, and of few rows."""
    return isinstance(problem.datafit, MeanDatafit) and has_slopes(problem.representation)


def newton_step(problem, T, pull, alpha):
    """The best of some shares of a Newton step.

    The Hessian of the datafit by the values is that of differences of gradients; its eigenvalues
    are taken as positive ([1]_, section 3.4), so that the step leads down.

    Cost: a gradient for each of the values that the groups have, and one more.

    Parameters
    ----------
    problem : GroupProblem
    T : ndarray of float64, shape (n_groups, n_features)
        Translations that a proximal step led to.
    pull : ndarray of float64, shape (n_groups, n_features)
        What that step took off: an element of alpha times the subdifferential of the penalty at T.
    alpha : float
        Weight of the penalty.

    Returns
    -------
    T : ndarray of float64, shape (n_groups, n_features)
    f, p : float
        Its datafit and penalty. They may be worse than those of T. None in place of all three
        where no values can change, or too many.
    """
    values = _values(np.where(problem.free, T, 0.0), problem.pairs.target)
    if values is None:
        return None
    moves, edges = values
    features = np.flatnonzero(moves.any(axis=(0, 1)))
    width = np.sqrt(problem.resolution) * max(np.abs(T).max(), 1e-8)
    by_pairs = problem.pairs.deltas(moves[:, :, features])
    gradient, hessian = problem.datafit.hessian(T, features, width)
    turned = np.matmul(by_pairs.transpose(1, 0, 2), hessian).transpose(1, 0, 2)
    k = len(moves)
    H = _rising(turned.reshape(k, -1) @ by_pairs.reshape(k, -1).T)
    slope = by_pairs.reshape(k, -1) @ gradient.ravel() + moves.reshape(k, -1) @ pull.ravel()
    step = _pooled_step(H, slope, *edges)
    trials = problem.penalty.feasible(T + np.multiply.outer(SHARES, np.tensordot(step, moves, 1)))
    f, p = problem.datafit.values(trials), problem.penalty.values(trials)
    best = np.argmin(f + alpha * p)
    return trials[best], f[best], p[best]


def _rising(hessian):
    """The Hessian, with what curves down taken to curve up."""
    curvature, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    size = np.abs(curvature)
    return axes * np.maximum(size, LEAST_CURVATURE * max(size.max(), 1e-300)) @ axes.T


def _pooled_step(hessian, slope, upper, lower, gaps):
    """The way down a quadratic, on which values that meet go on as one.

    Parameters
    ----------
    hessian : ndarray of float64, shape (n_values, n_values)
    slope : ndarray of float64, shape (n_values,)
    upper, lower : ndarray of int, shape (n_edges,)
        Neighbouring values of a feature; n_values stands for what is held.
    gaps : ndarray of float64, shape (n_edges,)
        How far these are apart.
    """
    k = len(slope)
    own, moved = np.arange(k + 1), np.zeros(k + 1)  # which value each is by now; the last is held
    while len(slope):
        way = np.append(np.linalg.solve(hessian, -slope), 0.0)
        rate = (way[own[lower]] - way[own[upper]]).clip(min=0.0)
        share = np.divide(gaps, rate, out=np.full(len(gaps), np.inf), where=rate > 0)
        first = share.argmin()
        length = min(share[first], 1.0)
        moved += length * way[own]
        if length == 1.0:
            break
        gaps = np.maximum(gaps - length * rate, 0.0)
        slope = slope + length * (hessian @ way[:-1])
        gone, kept = sorted((own[upper[first]], own[lower[first]]))
        hessian, slope = _joined(hessian, slope, gone, kept)
        own[own == gone] = kept
        own -= own > gone
    return moved[:k]


def _joined(hessian, slope, gone, kept):
    """A quadratic in which one value goes with another one, or, past the last, is held."""
    hessian = hessian.copy()
    if kept < len(slope):
        hessian[kept] += hessian[gone]
        hessian[:, kept] += hessian[:, gone]
        slope[kept] += slope[gone]
    left = np.arange(len(slope)) != gone
    return hessian[left][:, left], slope[left]


def _values(T, target):
    """Unit moves of the values that each feature has, and which are neighbours.

    What is held is the value of the target, or of the first group.

    Returns
    -------
    moves : ndarray of float64, shape (n_values, n_groups, n_features)
    edges : tuple of ndarray, shapes (n_edges,)
        The upper and the lower of two neighbours, n_values where it is held, and their distance.
    """
    order = np.argsort(T, axis=0)
    ordered = np.take_along_axis(T, order, axis=0)
    rises = np.diff(ordered, axis=0)
    block = np.zeros(T.shape, dtype=int)
    block[1:] = np.cumsum(rises > 0, axis=0)
    n_more = block[-1]
    k = int(n_more.sum())
    if not 0 < k <= MOST_VALUES:
        return None
    codes = np.empty_like(block)
    np.put_along_axis(codes, order, block, axis=0)
    held, first = codes[target or 0], np.cumsum(n_more) - n_more

    def name(codes, features):
        own = first[features] + codes - (codes > held[features])
        return np.where(codes == held[features], k, own)

    moves = np.zeros((k + 1, *T.shape))
    groups, features = np.indices(T.shape).reshape(2, -1)
    moves[name(codes.ravel(), features), groups, features] = 1.0
    at, features = np.nonzero(rises > 0)
    lower = block[at, features]
    edges = name(lower + 1, features), name(lower, features), rises[at, features]
    return moves[:k], edges
