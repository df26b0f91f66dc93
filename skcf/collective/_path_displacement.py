"""Straight routes: everybody moves to the counterfactual in a line, at constant speed."""

import numpy as np

from skcf.space._constraints import same

__all__ = ["Displacement"]

AT_ONCE = np.nextafter(0.0, 1.0)
"""Time of a switch away from a value that the constraints do not allow: any time but 0 is later."""


class Displacement:
    """States on the way from rows to their counterfactuals, ``(1 - t) x + t T(x)``.

    Numbers move in a line; whole numbers step when the line is halfway to the next one, and
    ordinal categories likewise, over the levels that are permitted. All other changes are
    switches: of a nominal category, or from a value without a place on the axis (missing, or
    unseen). Each happens once.

    A switch is a jump of its weight w. Between them, the switches of a row are to make up
    W t of its cost at time t, W being their sum; the staircase of their jumps is nearest to that
    line (least integral of squares) where each jump is halved by it: the i-th comes at the time
    ``(w_1 + ... + w_(i-1) + w_i / 2) / W``. Their order is chosen greedily: next is the one
    after which the classifier's margin is highest, the first feature in a tie.

    Values that the constraints do not allow are left at once: by a switch, or to the nearest
    allowed number, where the line then finds them.

    Parameters
    ----------
    space : FeatureSpace
        Says what is allowed, and what moves cost.
    Z, ends : ndarray of float64, shape (n_rows, n_features)
        Encoded rows and their counterfactuals, which the constraints allow.
    margin : callable
        ``margin(states, of)`` gives the classifier's margins of states of the rows at the
        positions ``of``.

    Attributes
    ----------
    switch_time : ndarray of float64, shape (n_rows, n_features)
        When each switch happens; NaN where there is none.
    """

    def __init__(self, space, Z, ends, margin):
        self.constraints, self.costs = space.constraints_, space.costs_
        self.Z, self.ends = Z, ends
        self._switching = self._switches()
        self.switch_time = np.full(Z.shape, np.nan)
        self._place_switches(margin)

    def at(self, t):
        """States of all rows at a time: the rows themselves at 0, the counterfactuals at 1."""
        switched = t >= self.switch_time  # False where there is no switch
        return self._moved(np.arange(len(self.Z)), np.full(len(self.Z), t), switched)

    def _switches(self):
        """Which features of which rows change in one jump."""
        placeless = np.isnan(self.Z)
        placeless[:, self.constraints.categorical] |= self.Z[:, self.constraints.categorical] < 0
        return ~same(self.Z, self.ends) & (placeless | self.constraints.nominal)

    def _place_switches(self, margin):
        """Set the times of the switches, one of each row at a turn."""
        rows = np.arange(len(self.Z))
        weight = np.where(self._switching, self.costs.shares(self.ends, self.Z), 0.0)
        free_of_cost = weight.sum(axis=1) == 0
        weight[free_of_cost] = self._switching[free_of_cost]
        total = weight.sum(axis=1)
        forced = self._switching & ~same(self.constraints.project(self.Z, self.Z), self.Z)
        self.switch_time[forced] = AT_ONCE
        made = np.where(forced, weight, 0.0).sum(axis=1)
        left = self._switching & ~forced
        while left.any():
            turn = rows[left.any(axis=1)]
            middle = (made[turn, None] + weight[turn] / 2) / total[turn, None]
            chosen = self._next(turn, left[turn], middle, margin)
            self.switch_time[turn, chosen] = middle[np.arange(len(turn)), chosen]
            made[turn] += weight[turn, chosen]
            left[turn, chosen] = False

    def _next(self, rows, left, times, margin):
        """The feature that each row switches next: of those left, the one of the highest margin."""
        chosen = left.argmax(axis=1)
        several = left.sum(axis=1) > 1
        place, feature = np.nonzero(left & several[:, None])
        if not len(place):
            return chosen
        of = rows[place]
        switched = ~np.isnan(self.switch_time[of])
        switched[np.arange(len(of)), feature] = True
        states = self._moved(of, times[place, feature], switched)
        # in single precision: what rounding alone tells apart is a tie, whatever the batch
        with np.errstate(over="ignore"):
            value = np.full(left.shape, -np.inf, dtype=np.float32)
            value[place, feature] = margin(states, of)
        best = np.where(left, value, -np.inf).max(axis=1, keepdims=True)
        return np.where(several, (left & (value == best)).argmax(axis=1), chosen)

    def _moved(self, rows, t, switched):
        """Allowed states of some rows, each at its own time, with the switches made so far."""
        Z, ends, t = self.Z[rows], self.ends[rows], t[:, None]
        line = np.clip(Z + t * (ends - Z), np.fmin(Z, ends), np.fmax(Z, ends))  # never back
        line = np.where(t < 1, line, ends)
        for j in self.constraints.categorical:
            if not self.constraints.nominal[j]:
                line[:, j] = self._nearest_level(j, line[:, j], Z[:, j], ends[:, j])
        jumped = np.where(switched, ends, Z)
        states = np.where(self._switching[rows] | same(Z, ends), jumped, line)
        return np.where(t > 0, self.constraints.project(states, Z), Z)

    def _nearest_level(self, j, line, start, end):
        """The permitted level between both ends that is nearest; the lower one in a tie."""
        levels = np.flatnonzero(self.constraints.permitted[j]).astype(np.float64)
        if not len(levels):
            return line
        lower, upper = np.fmin(start, end)[:, None], np.fmax(start, end)[:, None]
        steps = np.abs(levels - line[:, None])
        return levels[np.where((lower <= levels) & (levels <= upper), steps, np.inf).argmin(axis=1)]
