"""PostedPrices: what the plans leave behind, which is all that new rows need."""

import numpy as np

from skcf._targets import OTHER
from skcf.collective._move_costs import MoveCosts, unconstrained
from skcf.collective._read_outs import barycentres, draw, soft_choices
from skcf.transport import cheapest

__all__ = ["PostedPrices"]


class PostedPrices:
    """Targets with prices of crowding, for the people of each plan.

    Parameters
    ----------
    space : FeatureSpace
        Says who may move where, and at what cost.
    population : Population
        Whose plans they are.
    results : list of TransportResult
        The plans of its movers.
    leaving : iterable of int
        Class codes that people come from, or only `OTHER`. Where the population has no movers
        of a class, nobody crowds, and all prices are 0.
    metric, power, scale : str, float, float
        How differences add up to a cost, its power, and the cost that counts as 1.
    by_mass : bool
        Whether the solver's entropy is relative to the targets' masses (Sinkhorn's is).

    Attributes
    ----------
    Z : ndarray of float64, shape (n_targets, n_features)
        Encoded targets.
    labels : ndarray of int, shape (n_targets,)
        Their class codes.
    prices, masses : dict of int to ndarray of float64, shape (n_targets,)
        Prices at the targets, infinite where these people do not go, and the masses that crowding
        is measured against, by class code.
    """

    def __init__(self, space, population, results, leaving, metric, power, scale, by_mass):
        self.space, self.metric, self.power, self.scale = space, metric, power, scale
        self.by_mass = by_mass
        self.Z = population.distinct.Z[population.targets]
        self.labels = population.distinct.labels[population.targets]
        self.prices = {code: np.where(self.labels == code, np.inf, 0.0) for code in leaving}
        self.masses = {code: np.zeros(len(self.Z)) for code in self.prices}
        self._slope = dict.fromkeys(self.prices, 1.0)
        self._softness = {code: np.zeros(len(self.Z)) for code in self.prices}
        for group, result in zip(population.movers, results, strict=True):
            self.prices[group.code], self.masses[group.code] = result.prices, group.b
            self._slope[group.code] = result.slope
            self._softness[group.code] = result.softness

    def by_plan(self, own):
        """Go through the plans that rows of some classes fall under: code, positions."""
        for code in self.prices:
            some = np.arange(len(own)) if code == OTHER else np.flatnonzero(own == code)
            if len(some):
                yield code, some

    def cheapest(self, Z, own, k=1, *, n_jobs=None, verbose=0):
        """The k targets of least effort plus price for each row, shape (n, k); -1 for none."""
        index = np.full((len(Z), k), -1)
        for code, some in self.by_plan(own):
            cost = self._effort(Z[some], code)
            index[some], _ = cheapest(cost, self.prices[code], k, n_jobs=n_jobs, verbose=verbose)
        return index

    def nearest(self, Z, own, *, n_jobs=None):
        """The target that each row stands nearest to, whatever it costs and forbids to go there."""
        index = np.full(len(Z), -1)
        for code, some in self.by_plan(own):
            offered = np.where(np.isfinite(self.prices[code]), 0.0, np.inf)
            distance = MoveCosts(unconstrained(self.space), Z[some], self.Z, self.metric)
            index[some] = cheapest(distance, offered, n_jobs=n_jobs)[0][:, 0]
        return index

    def drawn(self, Z, own, u):
        """A target for each row, drawn from its softened row by numbers in [0, 1); -1 for none."""
        index = np.full(len(Z), -1)
        for code, some in self.by_plan(own):
            index[some] = draw(*self._choices(Z[some], code), u[some])
        return index

    def barycentres(self, Z, own, ends):
        """Means of the softened rows in the numbers that may change; the rest as in ends."""
        constraints = self.space.constraints_
        numeric = constraints.numeric[~constraints.frozen[constraints.numeric]]
        middle = ends.copy()
        for code, some in self.by_plan(own):
            choices = self._choices(Z[some], code)
            middle[some] = barycentres(*choices, self.Z, ends[some], numeric)
        return middle

    def charges(self, Z, Z_cf, own, target):
        """Effort of each move, and the price at its target; NaN for no target."""
        effort = self.space.costs_.between(Z_cf, Z, self.metric) / self.scale
        effort, price = effort**self.power, np.full(len(Z), np.nan)
        for code, some in self.by_plan(own):
            effort[some] *= self._slope[code]
            led = some[target[some] >= 0]
            price[led] = self.prices[code][target[led]]
        return effort, price

    def divergence(self, index, own, kind):
        """Divergence of the targets that people stand at, each plan by its share of them."""
        total = 0.0
        for code, some in self.by_plan(own):
            mass = self.masses[code]
            occupied = np.bincount(index[some], minlength=len(mass)) / len(some)
            offered = mass > 0
            if offered.any():
                value = kind(1.0).value(occupied[offered], mass[offered])
                total += len(some) / len(own) * value
        return float(total)

    def _effort(self, Z, code):
        """What moving rows to the targets adds to the objective: the slope times ``c^q``."""
        cost = MoveCosts(self.space, Z, self.Z, self.metric)
        return cost.times(1 / self.scale).raised(self.power).times(self._slope[code])

    def _choices(self, Z, code):
        """Softened rows: as soft as the plan's."""
        masses = self.masses[code]
        weight = masses if self.by_mass and masses.any() else np.ones(len(masses))
        return soft_choices(self._effort(Z, code), self.prices[code], self._softness[code], weight)
