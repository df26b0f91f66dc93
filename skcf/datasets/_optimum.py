"""The cheapest way to be accepted by a linear rule, exactly."""

from itertools import product

import numpy as np

__all__ = ["cheapest_acceptance"]

INSIDE = 1e-10
"""How far inside the optimal rows lie, in points: rounding must not reject them."""


def cheapest_acceptance(X, rule, space, discrete, continuous):
    """Find the cheapest allowed changes that get rejected rows accepted.

    Minimises the cityblock cost of a feature space subject to a score of at least 0. Once
    the discrete features are settled, the continuous ones are a fractional knapsack, which
    the greedy order of points per unit of cost solves exactly [1]_; and of the discrete
    ones, all combinations are tried.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_columns)
        Rejected rows, inside their ranges.
    rule : LinearRule
        The rule. Features that are not named in `discrete` and `continuous` stay, so none of
        them may have an allowed change that adds points.
    space : FeatureSpace
        Fitted. Its cost must be that of whole and of continuous numbers, ordinal categories
        and truth values.
    discrete : dict of {str: ndarray of float64}
        Values to try of each discrete feature, as encoded by `space`.
    continuous : dict of {str: float}
        Continuous features with positive weights, and their highest values.

    Returns
    -------
    cost : ndarray of float64, shape (n_samples,)
        Infinite where nothing allowed suffices.
    Z : ndarray of float64, shape (n_samples, n_features)
        Encoded rows with that cost, inside by `INSIDE` points; those of X where the cost is
        infinite.

    References
    ----------
    .. [1] G. B. Dantzig. "Discrete-variable extremum problems." Operations Research 5
       (1957), 266-277.
    """
    names = list(X.columns)
    start = space.transform(X)
    missing = -rule.decision_function(X)
    prices = dict(zip(names, space.weight_ / space.scale_, strict=True))
    fill = _Filling(start, names, rule.weights, prices, continuous)
    best, plan = np.full(len(X), np.inf), start.copy()
    for values in product(*discrete.values()):
        trial = start.copy()
        trial[:, [names.index(name) for name in discrete]] = values
        change = trial - start
        paid = sum(prices[n] * np.abs(change[:, names.index(n)]) for n in discrete)
        paid[~space.constraints_.feasible(trial, start)] = np.inf
        left = missing - sum(rule.weights[n] * change[:, names.index(n)] for n in discrete)
        total = paid + fill.cost(left)
        better = total < best
        best[better] = total[better]
        plan[better] = fill.apply(trial, left + INSIDE)[better]
    return best, plan


class _Filling:
    """Continuous features, raised in the order of points per unit of cost.

    Parameters
    ----------
    start : ndarray of float64, shape (n_rows, n_features)
        Encoded rows.
    names : list of str
        Names of the features.
    weights, prices : dict of {str: float}
        Points, and cost, of one unit.
    highest : dict of {str: float}
        The features to raise, and how far they may rise.
    """

    def __init__(self, start, names, weights, prices, highest):
        order = sorted(highest, key=lambda name: prices[name] / weights[name])
        self.columns = [names.index(name) for name in order]
        self.weights = [weights[name] for name in order]
        self.prices = [prices[name] for name in order]
        self.highest = [highest[name] for name in order]
        self.rooms = [
            high - start[:, j] for high, j in zip(self.highest, self.columns, strict=True)
        ]

    def steps(self, points):
        """How far each feature is raised to gain some points, or as many as there are."""
        for weight, room in zip(self.weights, self.rooms, strict=True):
            step = np.clip(points / weight, 0, room)
            yield step
            points = points - weight * step

    def cost(self, points):
        """Cost of gaining points; infinite where there are not as many to gain."""
        capacity = sum(w * room for w, room in zip(self.weights, self.rooms, strict=True))
        cost = sum(p * step for p, step in zip(self.prices, self.steps(points), strict=True))
        return np.where(points <= capacity, cost, np.inf)

    def apply(self, Z, points):
        """Rows with the points gained, as far as possible."""
        filled = Z.copy()
        for j, high, step in zip(self.columns, self.highest, self.steps(points), strict=True):
            # a sum that is rounded up would leave the range
            filled[:, j] = np.minimum(filled[:, j] + step, high)
        return filled
