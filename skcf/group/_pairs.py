"""The pairs of groups between which there are translations."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Pairs", "pairs_of", "pairwise"]


@dataclass(frozen=True)
class Pairs:
    """Ordered pairs of groups, or the pairs that lead to one target.

    Translations T hold a vector t for each group, and ``delta_ij = t_j - t_i``: so they are
    symmetric and transitive, and a vector added to all of them changes nothing.

    Attributes
    ----------
    n_groups : int
        Number of groups.
    source, end : ndarray of int, shape (n_pairs,)
        From which group to which.
    weights : ndarray of float64, shape (n_pairs,)
        What each pair counts in the datafit; they sum to 1.
    target : int or None
        The only end. None: all ordered pairs of two groups.
    """

    n_groups: int
    source: np.ndarray
    end: np.ndarray
    weights: np.ndarray
    target: int | None = None

    def __len__(self):
        return len(self.source)

    def deltas(self, T):
        """Translations of the pairs, shape (..., n_pairs, n_features)."""
        return T[..., self.end, :] - T[..., self.source, :]

    def gathered(self, G):
        """Gradient by T, from that by the pairs' translations; 0 for the target, which is held."""
        incidence = np.zeros((self.n_groups, len(self)))
        at = np.arange(len(self))
        incidence[self.source, at] = -1
        if self.target is None:
            incidence[self.end, at] = 1
        return incidence @ G

    def within(self, T, reach):
        """Translations with no pair's larger than a reach; of shape (..., n_groups, n_features).

        Groups are brought to the middle of the outermost ones, or to the target.
        """
        if self.target is not None:
            return np.clip(T - T[..., self.target, None, :], -reach, reach)
        centre = (T.max(axis=-2, keepdims=True) + T.min(axis=-2, keepdims=True)) / 2
        return np.clip(T, centre - reach / 2, centre + reach / 2)

    def curvature(self):
        """Largest eigenvalue of the sum over pairs of ``w (e_j - e_i)(e_j - e_i)'``."""
        moves = np.zeros((len(self), self.n_groups))
        at = np.arange(len(self))
        moves[at, self.source] = -1
        if self.target is None:
            moves[at, self.end] = 1
        return float(np.linalg.eigvalsh(moves.T * self.weights @ moves)[-1])


def pairs_of(n_groups, target=None, weights=None):
    """All ordered pairs of two groups, or those that lead to a target.

    Parameters
    ----------
    n_groups : int
        At least 2.
    target : int, default=None
        The only end.
    weights : array-like of shape (n_groups, n_groups), default=None
        What each pair counts in the datafit, from i to j at [i, j]; scaled to the sum 1. None:
        all the same.

    Returns
    -------
    Pairs
    """
    if n_groups < 2:
        raise ValueError(f"There must be at least two groups, got {n_groups}.")
    source, end = np.nonzero(~np.eye(n_groups, dtype=bool))
    if target is not None:
        if not 0 <= target < n_groups:
            raise ValueError(f"target must be one of the {n_groups} groups, got {target}.")
        source, end = source[end == target], end[end == target]
    w = np.ones(len(source)) if weights is None else np.asarray(weights, float)[source, end]
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise ValueError("weights must be finite, not negative, and not all zero.")
    return Pairs(n_groups, source, end, w / w.sum(), target)


def pairwise(T):
    """Translations of all pairs, from i to j at [..., i, j, :]."""
    return T[..., None, :, :] - T[..., :, None, :]
