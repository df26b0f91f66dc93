"""An unbalanced transport problem: what is minimised, and what bounds it from below.

min over P >= 0 of  <C, P> + D1(P 1 | a) + D2(P' 1 | b)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcf.transport._costs import PairCost

__all__ = ["TransportProblem"]


@dataclass(frozen=True)
class TransportProblem:
    """Costs, masses and divergences.

    Attributes
    ----------
    cost : PairCost
        What pairs cost.
    a, b : ndarray of float64, shapes (m,) and (n,)
        Positive masses of the sources and of the targets.
    source, target : object
        Divergences of `skcf.transport._divergences`.
    """

    cost: PairCost
    a: np.ndarray
    b: np.ndarray
    source: Any
    target: Any

    @property
    def shape(self):
        """Number of sources and of targets."""
        return self.cost.shape

    def take(self, rows, columns):
        """The problem on a sample of the sources and targets, of the same total masses."""
        a, b = self.a[rows], self.b[columns]
        a, b = a * (self.a.sum() / a.sum()), b * (self.b.sum() / b.sum())
        return TransportProblem(self.cost.take(rows, columns), a, b, self.source, self.target)

    def alone(self, rows, columns):
        """The problem of some sources and targets alone, the sources' masses summing to 1.

        (An objective is proportional to the masses of its plan and of its marginals.)
        """
        mass = self.a[rows].sum()
        a, b = self.a[rows] / mass, self.b[columns] / mass
        return TransportProblem(self.cost.take(rows, columns), a, b, self.source, self.target)

    def dual(self, least, prices):
        """Lower bound that prices give: least is ``min_j C[i, j] + prices[j]``, exact."""
        h = self.source.dual(least, self.a)
        return float(np.sum(h) - np.sum(self.target.conjugate(prices, self.b)))

    def level(self, prices):
        """The best number to add to all prices.

        All mass of a hard source is served whatever the level of the prices, so the best level
        is where as much is wanted. Soft sources are served by what they pay, which holds the
        level in place: for them it is 0.
        """
        if np.isfinite(self.source.penalty):
            return 0.0
        return self.target.level(prices, self.b, self.a.sum())

    def primal(self, transport_cost, p, q):
        """What a plan of given cost and marginals pays."""
        return transport_cost + self.source.value(p, self.a) + self.target.value(q, self.b)
