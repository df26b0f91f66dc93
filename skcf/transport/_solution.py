"""What every solver hands back."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

__all__ = ["Solution", "magnitude", "relative_gap"]

NEXT_TO_NOTHING = 1e-3  # costs being 1 on average


@dataclass(frozen=True)
class Solution:
    """A plan and prices, each bounding the optimum from its side.

    Attributes
    ----------
    prices : ndarray of float64, shape (n,)
        Prices g of crowding at the targets.
    plan : csr_array of shape (m, n)
        The plan P.
    primal, dual : float
        What the plan pays, and the lower bound that prices give.
    n_iter : int
        Steps of the innermost kind: Newton, gradient or Sinkhorn.
    n_passes : int
        Passes over all pairs.
    softness : float or ndarray of float64, shape (n,)
        Smoothing at which the plan was read off the prices, of each target where pools of them
        differ; 0 for none.
    source_prices : ndarray of float64, shape (m,), or None
        Least full price of each source, where the solver knows it exactly.
    """

    prices: np.ndarray
    plan: csr_array
    primal: float
    dual: float
    n_iter: int
    n_passes: int
    softness: float | np.ndarray
    source_prices: np.ndarray | None = None

    @property
    def gap(self):
        """Relative duality gap."""
        return relative_gap(self.primal, self.dual)


def relative_gap(primal, dual):
    """How far two bounds are apart, relative to the upper one."""
    return (primal - dual) / magnitude(primal)


def magnitude(primal):
    """What errors of an objective are relative to: itself, but not next to nothing."""
    return max(abs(primal), NEXT_TO_NOTHING)
