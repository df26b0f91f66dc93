"""Make valid counterfactuals smaller: fewer changes, each no larger than it must be.

Two steps, both in lock-step over all rows, so that a step is one question to the
classifier: undo changes one feature at a time, least effective first; then move what is
left back towards the row that is explained, to just inside the decision boundary.
"""

import numpy as np

from skcf._progress import progress
from skcf.space._constraints import same

__all__ = ["refine"]

N_HALVINGS = 16
"""Halvings of a line search: continuous changes end within 2**-16 of their size."""

INNER_STEP = 2.0**-7
"""Share of a change that is kept beyond the boundary where only labels are known."""


def refine(Z, start, rows, target, oracle, *, metric="cityblock", min_margin=1e-4, verbose=0):
    """Make counterfactuals cheaper and sparser, and keep them valid.

    A change is undone if the row stays valid without it: first the changes that buy the
    least margin for their cost, until none can be undone alone. Then each numeric or
    ordinal change that is left is shortened by bisection.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows that are explained.
    start : ndarray of float64, shape (n_rows, n_features)
        Feasible counterfactuals of them.
    rows : ndarray of int, shape (n_rows,)
        Which of the oracle's rows each of them is.
    target : ndarray of int, shape (n_rows,)
        Class code that each is to have.
    oracle : Oracle
        Answers what the classifier says.
    metric : {"cityblock", "euclidean", "sqeuclidean"}, default="cityblock"
        What is to become cheaper.
    min_margin : float, default=1e-4
        Margin on the logit scale that a shortened counterfactual keeps.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)
        Feasible, and valid wherever `start` was.
    """
    search = _Search(Z, rows, target, oracle, metric, min_margin)
    current, gain = search.undo(np.array(start), verbose)
    refined = search.shorten(current, gain, verbose)
    valid = oracle.labels(refined, rows) == target
    return np.where(valid[:, None], refined, start)


class _Search:
    """What both steps share: the rows, where undoing leads to, and how to ask.

    Undoing a change leads to the explained row's value, or to the nearest one in range
    where that is out of the permitted range.
    """

    def __init__(self, Z, rows, target, oracle, metric, min_margin):
        self.Z = Z
        self.rows = rows
        self.target = target
        self.oracle = oracle
        self.metric = metric
        self.min_margin = min_margin if oracle.has_scores else 0.0
        self.constraints = oracle.space.constraints_
        self.costs = oracle.space.costs_
        self.base = self.constraints.project(Z, Z)

    def margin(self, candidates, of):
        """Margins of candidates for the rows at positions ``of``."""
        return self.oracle.margin(candidates, self.rows[of], self.target[of])

    def undo(self, current, verbose):
        """Undo changes until none can be undone alone.

        Returns
        -------
        current : ndarray of float64, shape (n_rows, n_features)
            Rows with the changes that are needed.
        gain : ndarray of float64, shape (n_rows, n_features)
            Margin that each change was found to buy when it was last looked at.
        """
        gain = np.zeros(current.shape)
        margin = self.margin(current, np.arange(len(current)))
        untried = ~same(current, self.base)
        with progress(None, verbose, None, "undoing changes") as bar:
            while untried.any():
                of, feature = np.nonzero(untried)
                candidates = current[of]
                candidates[np.arange(len(of)), feature] = self.base[of, feature]
                reached = self.margin(candidates, of)
                gain[of, feature] = margin[of] - reached
                valid = reached >= self.min_margin
                untried[of[~valid], feature[~valid]] = False
                of, feature, reached = of[valid], feature[valid], reached[valid]
                chosen = self._least_effective(current, gain, of, feature)
                of, feature, reached = of[chosen], feature[chosen], reached[chosen]
                current[of, feature], margin[of] = self.base[of, feature], reached
                untried[of, feature] = False
                # what was needed before may not be now: look again once nothing else is left
                again = of[~untried[of].any(axis=1)]
                untried[again] = ~same(current[again], self.base[again])
                bar.update()
        return current, gain

    def _least_effective(self, current, gain, of, feature):
        """Pick one of each row's changes: the one that buys the least margin for its cost."""
        cost = self._cost_of_changes(current)[of, feature]
        worth = _ratio(gain[of, feature], cost)
        order = np.lexsort((feature, -cost, worth, of))
        return order[np.unique(of[order], return_index=True)[1]]

    def _cost_of_changes(self, current):
        return self.costs.shares(current, self.Z, self.metric)

    def shorten(self, current, gain, verbose):
        """Move numeric and ordinal changes back to just inside the boundary, one at a time."""
        changed = ~same(current, self.base) & self._has_place(self.base)
        worth = np.where(changed, _ratio(gain, self._cost_of_changes(current)), np.inf)
        order = np.argsort(worth, axis=1, kind="stable")
        n_changed = changed.sum(axis=1)
        turns = range(n_changed.max(initial=0))
        for turn in progress(turns, verbose, len(turns), "shortening changes"):
            of = np.flatnonzero(n_changed > turn)
            self._bisect(current, of, order[of, turn])
        return current

    def _has_place(self, Z):
        """Where a value lies on an axis: numbers, and ordinal categories that fit saw."""
        n_categories = np.array([f.n_categories for f in self.oracle.space.encoding_.features])
        return ~self.constraints.nominal & ~np.isnan(Z) & ((Z >= 0) | (n_categories == 0))

    def _bisect(self, current, of, feature):
        """Shorten one change of each row, in place, by halving the interval to its base."""
        invalid, valid = self.base[of, feature], current[of, feature]
        first = valid.copy()
        going = np.arange(len(of))
        for _ in range(N_HALVINGS):
            middle = (invalid[going] + valid[going]) / 2
            candidates = self._with_value(current, of[going], feature[going], middle)
            middle = candidates[np.arange(len(going)), feature[going]]
            new = (middle != invalid[going]) & (middle != valid[going])
            going, middle, candidates = going[new], middle[new], candidates[new]
            if not len(going):
                break
            inside = self.margin(candidates, of[going]) >= self.min_margin
            valid[going[inside]] = middle[inside]
            invalid[going[~inside]] = middle[~inside]
        if not self.oracle.has_scores:
            valid = self._step_inside(current, of, feature, valid, first)
        current[of, feature] = valid

    def _step_inside(self, current, of, feature, valid, first):
        """Keep some of a change in hand where there is no margin to keep."""
        candidates = self._with_value(current, of, feature, valid + INNER_STEP * (first - valid))
        inside = self.margin(candidates, of) >= self.min_margin
        return np.where(inside, candidates[np.arange(len(of)), feature], valid)

    def _with_value(self, current, of, feature, values):
        """Rows with one value of each replaced, by the nearest one that is allowed."""
        candidates = current[of]
        candidates[np.arange(len(of)), feature] = values
        return self.constraints.project(candidates, self.Z[of])


def _ratio(gain, cost):
    """Margin bought for the cost; what costs nothing is worth everything."""
    return np.divide(gain, cost, out=np.full(gain.shape, np.inf), where=cost > 0)
