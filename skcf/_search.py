"""The search for cheap counterfactuals that explainers share."""

import numpy as np

from skcf._assemble import assemble
from skcf._moves import Moves
from skcf._refine import refine
from skcf._starts import StartRows
from skcf._targets import OTHER

__all__ = ["LocalSearch"]

DEAREST = 1.5
"""How much dearer than the best an exchange may be before its changes are shortened."""


class LocalSearch:
    """Cheap counterfactuals, found quickly, for any classifier.

    It starts from the nearest rows of the target class, and from changes of single features that
    are put together. Of all these, changes that are not needed are undone, and the others
    shortened. In the best of what is left, changes are exchanged for cheaper ones, once.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    labels : ndarray of int, shape (n_rows,)
        Their class codes.
    oracle : Oracle
        Answers what the classifier says; its rows are these.
    targets : TargetRows
        The same rows.
    metric : str, default="cityblock"
        See `FeatureSpace.cost`.
    min_margin : float, default=1e-4
        Margin on the logit scale that counterfactuals are to have.
    mode : {"thorough", "quick", "nearest"}, default="thorough"
        "quick" only refines the nearest rows, and "nearest" takes them as they are.
    """

    def __init__(
        self, Z, labels, oracle, targets, *, metric="cityblock", min_margin=1e-4, mode="thorough"
    ):
        self.space, self.metric, self.mode = oracle.space, metric, mode
        self.min_margin = 0.0 if mode == "nearest" else min_margin
        if mode != "nearest":
            oracle.learn_shortcut()
        self._starts = StartRows(Z, labels, oracle, targets, self.space, self.min_margin)
        self._moves = Moves(Z, self.space.constraints_) if mode == "thorough" else None

    def find(self, Z, own, rows, oracle, target, *, k, n_jobs=None, verbose=0):
        """Find a counterfactual for each row.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows.
        own : ndarray of int, shape (n,)
            Their class codes.
        rows : ndarray of int, shape (n,)
            Which of the oracle's rows each of them is.
        oracle : Oracle
            Answers what the classifier says.
        target : int
            Class code to move them to, or `OTHER`.
        k : int
            Number of nearest rows to start from.
        n_jobs, verbose : int
            Number of threads, and whether to show progress.

        Returns
        -------
        best : ndarray of float64, shape (n, n_features)
            Encoded counterfactuals; the row itself where none was found.
        cost : ndarray of float64, shape (n,)
            What they cost; infinite where none was found.
        """
        asked = {"metric": self.metric, "n_jobs": n_jobs, "verbose": verbose}
        of, found, code = self._starts.nearest(Z, own, rows, oracle, target, k=k, **asked)
        batch = _Batch(Z, rows, oracle, self.space, self.metric)
        if self.mode == "nearest":
            return batch.cheapest(of, found, code)[:2]
        if self.mode == "thorough":
            aims = _aims(of, code, len(Z), target)
            more = self._assembled(batch, aims[0], Z[aims[0]], aims[1])
            of, found, code = (np.concatenate(x) for x in zip((of, found, code), more, strict=True))
        best, cost, code = batch.cheapest(of, self._refined(batch, of, found, code, verbose), code)
        if self.mode == "quick":
            return best, cost
        return self._exchanged(batch, best, cost, code, verbose)

    def _assembled(self, batch, place, current, code):
        """Counterfactuals put together from single changes of some rows, valid ones."""
        of, found = assemble(
            batch.Z[place],
            current,
            batch.rows[place],
            code,
            batch.oracle,
            self._moves,
            metric=self.metric,
            min_margin=self.min_margin,
        )
        return place[of], found, code[of]

    def _refined(self, batch, of, found, code, verbose):
        return refine(
            batch.Z[of],
            found,
            batch.rows[of],
            code,
            batch.oracle,
            metric=self.metric,
            min_margin=self.min_margin,
            verbose=verbose,
        )

    def _exchanged(self, batch, best, cost, code, verbose):
        """The same, or cheaper, by exchanging some changes for others."""
        some = np.flatnonzero(np.isfinite(cost) & (cost > 0))
        of, found, to = self._assembled(batch, some, best[some], code[some])
        near = batch.cost(of, found) < DEAREST * cost[of]
        of, found, to = of[near], found[near], to[near]
        if not len(of):
            return best, cost
        found = self._refined(batch, of, found, to, verbose)
        everyone = np.flatnonzero(np.isfinite(cost))
        of = np.concatenate([everyone, of])  # in a tie, what was there already
        found = np.concatenate([best[everyone], found])
        return batch.cheapest(of, found, np.concatenate([code[everyone], to]))[:2]


def _aims(of, code, n_rows, target):
    """Rows and the classes to put counterfactuals together for: each that a nearest row has."""
    if target != OTHER:  # rows that no nearest row was found for, too
        return np.arange(n_rows), np.full(n_rows, target)
    pairs = np.unique(np.column_stack([of, code]), axis=0)
    return pairs[:, 0], pairs[:, 1]


class _Batch:
    """The rows of one call, and what counterfactuals of them cost."""

    def __init__(self, Z, rows, oracle, space, metric):
        self.Z, self.rows, self.oracle = Z, rows, oracle
        self._costs, self._metric = space.costs_, metric

    def cost(self, of, found):
        """What candidates cost."""
        return self._costs.between(found, self.Z[of], self._metric)

    def cheapest(self, of, found, code):
        """The cheapest candidate of each row, its cost, and its class code (-1: there is none)."""
        cost = self.cost(of, found)
        order = np.lexsort((cost, of))
        with_any, first = np.unique(of[order], return_index=True)
        first = order[first]
        best, least = self.Z.copy(), np.full(len(self.Z), np.inf)
        to = np.full(len(self.Z), -1)
        best[with_any], least[with_any], to[with_any] = found[first], cost[first], code[first]
        return best, least, to
