"""The cheapest counterfactual of a smooth classifier, by a sequence of linearised problems."""

import numpy as np

from skcf.prototype._fista import bounds
from skcf.prototype._losses import lead_and_slope

__all__ = ["minimise_linearised"]

MOST_ROUNDS = 40
"""Linearised problems that are solved for each row."""

SHORTER, LONGER, SHORTEST = 0.5, 1.5, 0.02
"""What becomes of the step of a row that has a counterfactual and found no cheaper one, or did;
and where it rests."""

SEARCHING = 0.9
"""What becomes of the step of a row that has none yet, each round: between two linear pieces of a
network full steps may go to and fro."""

SCALES = np.array([0.85, 1.0, 1.15, 1.4, 2.0])
"""Multiples of the changes that are asked about in each round."""

HALVINGS = 40
"""Of the interval that holds the multiplier, which is exact then."""

SLACK = 0.02
"""Of a logit, that is asked for beyond the margin at first: the linearisation is not exact."""

RAISED, LOWERED, LARGEST_SLACK = 1.5, 0.5, 5.0
"""What becomes of the slack of a row whose last solution was not valid, or was."""

SECTIONS = 63
"""Points on the way back that are asked about in the end."""


def minimise_linearised(pairs, theta):
    """Minimise the elastic net and the prototype loss, subject to the margin.

    ``min sum_j w_j (beta |d_j| + d_j**2) + theta ||d - D||**2`` over the changes d that are
    permitted and have ``margin(x + d) >= min_margin``. The prediction loss of [1]_, Eq. 2, on the
    logit scale is the constraint's penalty, and its weight c the multiplier, which is found
    rather than searched for. In each round the margin is linearised where the row stands; the
    problem that is left has a closed form for each multiplier, in which the linearised margin
    rises, so that the multiplier is bisected. An improvement of ours; it needs gradients.

    Parameters
    ----------
    pairs : Pairs
        What is to be solved.
    theta : float
        Weight of the prototype loss; 0 leaves it out.

    Returns
    -------
    found : ndarray of float64, shape (n_pairs, n_features)
        Encoded counterfactuals; the rows themselves where there is none.
    is_valid : ndarray of bool, shape (n_pairs,)
        Where there is one.
    weight : ndarray of float64, shape (n_pairs,)
        The multiplier: the weight of the prediction loss that gives it.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """
    found, cost = pairs.Z.copy(), np.full(len(pairs), np.inf)
    weight = np.full(len(pairs), np.nan)
    walk = _Walk(pairs, theta)
    for _ in range(MOST_ROUNDS):
        Z, value = walk.look()
        better = value < cost[walk.at]
        at = walk.at[better]
        found[at], cost[at], weight[at] = Z[better], value[better], walk.multiplier[better]
        walk.settle(better, Z, np.isfinite(cost[walk.at]))
        if not len(walk.at):
            break
        walk.step()
    is_valid = np.isfinite(cost)
    _shorten(pairs, found, cost, np.flatnonzero(is_valid))
    return found, is_valid, weight


def _shorten(pairs, found, cost, at):
    """Go back towards the rows as far as the counterfactuals stay valid and get cheaper."""
    if not len(at):
        return
    pairs = pairs.take(np.repeat(at, SECTIONS))
    start = pairs.start
    end = pairs.axes.place(np.repeat(found[at], SECTIONS, axis=0))
    share = np.tile(np.arange(1, SECTIONS + 1) / (SECTIONS + 1), len(at))[:, None]
    Z = pairs.hardened(start + share * (end - start), start)
    value = np.where(pairs.valid(Z), pairs.elastic_net(Z), np.inf).reshape(len(at), SECTIONS)
    best = value.argmin(axis=1)
    rows = np.arange(len(at))
    better = value[rows, best] < cost[at]
    found[at[better]] = Z.reshape(len(at), SECTIONS, -1)[rows, best][better]


class _Walk:
    """Where the rows that still move stand, and how they go on.

    Parameters
    ----------
    pairs : Pairs
        What is to be solved.
    theta : float
        Weight of the prototype loss.
    """

    def __init__(self, pairs, theta):
        self.pairs, self.theta, self.at = pairs, theta, np.arange(len(pairs))
        self.start = pairs.start
        self.low, self.high = (side - self.start for side in bounds(pairs, self.start))
        self.pull = np.zeros(self.start.shape)
        if theta > 0:
            self.pull = theta * np.nan_to_num(pairs.prototype - self.start)
        self.multiplier, self.slack = np.zeros(len(pairs)), np.full(len(pairs), SLACK)
        self.length = np.ones(len(pairs))
        self.change = self._changes(np.zeros(self.start.shape), self.multiplier)
        self.centre = self.change

    def look(self):
        """The cheapest valid row near where the rows stand, and its cost: infinite for none."""
        n_scales = len(SCALES)
        pairs = self.pairs.take(np.repeat(np.arange(len(self.at)), n_scales))
        change = (self.change[:, None] * SCALES[:, None]).clip(
            self.low[:, None], self.high[:, None]
        )
        start = np.repeat(self.start, n_scales, axis=0)
        Z = pairs.hardened(start + change.reshape(start.shape), start)
        valid = pairs.valid(Z)
        value = np.where(valid, pairs.elastic_net(Z), np.inf).reshape(-1, n_scales)
        is_there = valid.reshape(-1, n_scales)[:, SCALES == 1.0][:, 0]
        self.slack = np.clip(self.slack * np.where(is_there, LOWERED, RAISED), SLACK, LARGEST_SLACK)
        rows, best = np.arange(len(self.at)), value.argmin(axis=1)
        return Z.reshape(len(rows), n_scales, -1)[rows, best], value[rows, best]

    def settle(self, better, Z, has_any):
        """Take up where it is cheapest, adapt the steps, and leave out the rows that rest."""
        here = self.pairs.axes.place(Z) - self.start
        here = np.where(better[:, None], here, self.change)
        self.centre = np.where((better | ~has_any)[:, None], here, self.centre)
        factor = np.where(better, LONGER, np.where(has_any, SHORTER, SEARCHING))
        self.length = np.minimum(self.length * factor, 1.0)
        going = np.flatnonzero(self.length >= SHORTEST)
        if len(going) < len(self.at):
            self.pairs = self.pairs.take(going)
            for name in ("at", "start", "low", "high", "pull", "multiplier", "slack", "length",
                         "change", "centre"):  # fmt: skip
                setattr(self, name, getattr(self, name)[going])

    def step(self):
        """Solve the problem as it looks from here, and go towards the solution."""
        Z = self.pairs.hardened(self.start + self.centre, self.start)
        lead, slope = lead_and_slope(self.pairs, Z, probabilities=False)
        slope, centre = np.nan_to_num(slope), np.nan_to_num(self.centre)
        lacking = self.pairs.min_margin + self.slack - lead
        self.multiplier = self._solved(slope, lacking + np.sum(slope * centre, axis=1))
        solution = self._changes(slope, self.multiplier)
        self.change = self.centre + self.length[:, None] * (solution - self.centre)

    def _solved(self, slope, wanted):
        """The multiplier at which the linearised margin is as large as wanted."""

        def is_short(multiplier):
            changes = np.nan_to_num(self._changes(slope, multiplier))
            return np.sum(slope * changes, axis=1) < wanted

        low, high = np.zeros(len(slope)), np.ones(len(slope))
        for _ in range(HALVINGS):
            short = is_short(high)
            if not short.any():
                break
            low, high = np.where(short, high, low), np.where(short, 4 * high, high)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            short = is_short(middle)
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return np.where(is_short(np.zeros(len(slope))), high, 0.0)

    def _changes(self, slope, multiplier):
        """Minimise what is left for a multiplier, feature by feature."""
        weight = self.pairs.space.weight_
        push = self.pull + multiplier[:, None] * slope / 2
        steps = np.maximum(np.abs(push) - self.pairs.beta * weight / 2, 0) / (weight + self.theta)
        return np.clip(np.sign(push) * steps, self.low, self.high)
