"""TransportResult: a plan with prices, and the proof of how good it is."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

__all__ = ["TransportResult"]


@dataclass(frozen=True, repr=False, eq=False)
class TransportResult:
    """Solution of an unbalanced transport problem.

    Attributes
    ----------
    plan : csr_array of shape (m, n)
        Mass moved from each source to each target.
    prices : ndarray of float64, shape (n,)
        Price of crowding at each target: what one more unit of mass there adds to the target
        penalty. Infinite at targets without mass, which are left out.
    source_prices : ndarray of float64, shape (m,)
        Least full price of each source, ``min_j C[i, j] + prices[j]`` (see `slope`); infinite
        where nothing is allowed. With `prices`, the potentials of the dual problem.
    source_marginal, target_marginal : ndarray of float64, shapes (m,) and (n,)
        The plan's marginals.
    transport_cost : float
        ``<C, P>``, or its root where there is a cost power.
    source_divergence, target_divergence : float
        What the plan pays for its marginals: penalty times divergence.
    primal, dual : float
        The objective of the plan, and the lower bound that the prices prove.
    gap : float
        ``(primal - dual) / primal``, or relative to a thousandth of the mean cost where that is
        more. (With a cost power, of the last subproblem.)
    n_iter, n_passes : int
        Steps of the innermost kind, and passes over all pairs.
    infeasible : ndarray of bool, shape (m,)
        Sources that have mass, but no target that they may move to. They are left out.
    slope : float
        What a unit of ``C^r`` adds to the objective: full prices are ``slope * C^r + prices``.
        1 where the cost power r is 1.
    softness : ndarray of float64, shape (n,)
        Smoothing at which the plan was read off the prices, in units of the cost; 0 for none. It
        differs between targets where the allowed pairs fall apart into separate problems.
    """

    plan: csr_array
    prices: np.ndarray
    source_prices: np.ndarray
    source_marginal: np.ndarray
    target_marginal: np.ndarray
    transport_cost: float
    source_divergence: float
    target_divergence: float
    primal: float
    dual: float
    gap: float
    n_iter: int
    n_passes: int
    infeasible: np.ndarray
    slope: float
    softness: np.ndarray

    def __repr__(self):
        """One line: the size, the objective and how well it is certified."""
        m, n = self.plan.shape
        return f"<TransportResult {m} x {n}: objective {self.primal:.6g}, gap {self.gap:.1e}>"
