"""One row to be explained: what each of its features may become."""

import numpy as np

from skcf.exact._moves import Choice, Filled, Slide, add_implication

__all__ = ["Row"]

FARTHEST = 1e6
"""Scales that a number without bounds may move by, where an implication needs bounds."""


class Row:
    """A row, and the prices of its changes.

    Parameters
    ----------
    space : FeatureSpace
        The constraints and the cost.
    z : ndarray of float64, shape (n_features,)
        The encoded row.
    x : ndarray of float64, shape (d,)
        How it enters the model.
    effects : dict of {int: ndarray of float64, shape (d,)}
        What values that are missing or unseen add to the reference of the embedding.
    seen : tuple of ndarray of float64, shape (n_features,)
        Lowest and highest number of each feature in fit: what a missing one is filled with.
    dearest : float
        The price of a counterfactual that is known: no change that costs more is of use.
    """

    def __init__(self, space, z, x, effects, seen, dearest=np.inf):
        self.space, self.z, self.x, self.effects = space, z, x, effects
        self.dearest = dearest
        self._seen = seen
        self.constraints, self.costs = space.constraints_, space.costs_
        reference = z[None]
        self.base = self.constraints.project(reference, reference)[0]
        self.low, self.high = (bound[0] for bound in self.constraints.intervals(reference))

    def price(self, j, values):
        """What the change of one feature to each of some values costs."""
        return self.costs.share(j, np.full(len(values), self.z[j]), values, "cityblock")

    def is_fixed(self, j):
        """Whether a feature has one allowed value only."""
        if self.constraints.frozen[j]:
            return True
        if j in self.constraints.permitted:
            return len(self.categories(j)[0]) < 2
        # a missing number with a direction has nothing to rise from
        missing = np.isnan(self.z[j])
        return (missing and self.constraints.direction[j] != 0) or self.low[j] >= self.high[j]

    def categories(self, j):
        """Values that a categorical feature may have, and what they cost; the origin's first."""
        allowed = self.constraints.reachable(j, self.z[[j]])[0]
        codes = np.flatnonzero(allowed).astype(np.float64)
        if not self.z[j] >= 0 and self.constraints.may_stay(j, self.z[[j]])[0]:
            codes = np.append(codes, self.z[j])
        costs = self.price(j, codes)
        use = costs <= self.dearest
        return codes[use], costs[use]

    def number(self, programme, j):
        """Variables of a number that may be anything in its interval."""
        z, scale, weight = self.z[j], self.costs.scale[j], self.costs.weight[j]
        is_whole = bool(self.constraints.integer[j])
        if np.isnan(z):
            return Filled(programme, *self.filling(j), weight, is_whole)
        farthest = self._farthest(j)
        low, high = max(self.low[j], z - farthest), min(self.high[j], z + farthest)
        is_whole = is_whole and z == np.rint(z)
        if is_whole:
            low, high = np.ceil(low), np.floor(high)
        return Slide(programme, z, low, high, weight / scale, is_whole)

    def _farthest(self, j):
        """How far a number may move at no more than what is known to be enough."""
        scale, weight = self.costs.scale[j], self.costs.weight[j]
        is_implied = j in self.constraints.implications.order
        farthest = FARTHEST * scale if is_implied else np.inf
        return min(farthest, self.dearest * scale / weight) if weight > 0 else farthest

    def filling(self, j):
        """Lowest and highest number that a missing one may be filled with."""
        low, high = (np.clip(seen[j], self.low[j], self.high[j]) for seen in self._seen)
        if self.constraints.integer[j]:
            low, high = np.ceil(low), np.floor(high)
        return float(low), float(high)

    def category(self, programme, j):
        """Variables of a category."""
        codes, costs = self.categories(j)
        implications = self.constraints.implications
        return Choice(programme, codes, costs, False, implications.heights(j, codes))

    def imply(self, programme, moves):
        """Add the implications between features, those that stay included."""
        implications = self.constraints.implications
        for rule in implications.rules:
            origin = {
                j: float(implications.heights(j, self.z[[j]])[0]) for j in (rule.first, rule.second)
            }
            if np.isnan(list(origin.values())).any() or rule.first not in moves:
                continue
            second = moves.get(rule.second)
            if second is None:
                second = Choice(programme, self.z[[rule.second]], np.zeros(1), True)
                second.heights = np.array([origin[rule.second]])
            room = self._room(rule.second, origin[rule.second])
            add_implication(
                programme,
                moves[rule.first],
                origin[rule.first],
                second,
                origin[rule.second],
                rule.amount,
                room,
            )

    def _room(self, j, origin):
        """How far a feature's height may fall."""
        implications = self.constraints.implications
        if j in implications.category_heights:
            return float(origin - implications.category_heights[j].min())
        return float(min(origin - self.low[j], self._farthest(j)))
