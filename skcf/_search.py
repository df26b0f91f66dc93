"""The search for cheap counterfactuals that explainers share."""

import numpy as np

from skcf._assemble import assemble
from skcf._diverse import find_several
from skcf._moves import Moves
from skcf._refine import refine
from skcf._starts import StartRows
from skcf._targets import OTHER

__all__ = ["Batch", "LocalSearch"]

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
        batch = Batch(Z, rows, oracle, self.space, self.metric)
        starts = self.starts(batch, own, target, k=k, n_jobs=n_jobs, verbose=verbose)
        pool = self.improved(batch, starts, target, verbose)
        return self.best(batch, pool, verbose)[:2]

    def find_several(self, Z, own, rows, oracle, target, n_wanted, **options):
        """Find several counterfactuals for each row, which differ in the features they change.

        See `find`, and `skcf._diverse.find_several`.

        Returns
        -------
        ndarray of float64, shape (n, n_wanted, n_features)
        """
        batch = Batch(Z, rows, oracle, self.space, self.metric)
        return find_several(self, batch, own, target, n_wanted, **options)

    def starts(self, batch, own, target, *, k, n_jobs=None, verbose=0):
        """Find the nearest rows of the target class.

        Parameters
        ----------
        batch : Batch
            The rows.
        own : ndarray of int, shape (n,)
            Their class codes.
        target : int
            Class code to move them to, or `OTHER`.
        k : int
            Number of nearest rows for each.
        n_jobs, verbose : int
            Number of threads, and whether to show progress.

        Returns
        -------
        of : ndarray of int, shape (n_found,)
            Position in the batch of the row that each is for.
        found : ndarray of float64, shape (n_found, n_features)
            Encoded rows, allowed and in the target class.
        code : ndarray of int, shape (n_found,)
            Their class codes.
        """
        options = {"k": k, "metric": self.metric, "n_jobs": n_jobs, "verbose": verbose}
        return self._starts.nearest(batch.Z, own, batch.rows, batch.oracle, target, **options)

    def improved(self, batch, starts, target, verbose=0):
        """Refine the nearest rows, and what is put together from single changes.

        Parameters
        ----------
        batch : Batch
            The rows.
        starts : tuple of ndarray
            As `starts` returns them.
        target : int
            Class code to move the rows to, or `OTHER`.
        verbose : int, default=0
            Whether to show progress.

        Returns
        -------
        tuple of ndarray
            Counterfactuals, likewise.
        """
        of, found, code = starts
        if self.mode == "nearest":
            return starts
        if self.mode == "thorough":
            place, aim = _aims(of, code, len(batch.Z), target)
            more = self._assembled(batch, place, batch.Z[place], aim)
            of, found, code = (np.concatenate(x) for x in zip(starts, more, strict=True))
        return of, self._refined(batch, of, found, code, verbose), code

    def best(self, batch, pool, verbose=0):
        """Take the cheapest candidate of each row, and exchange some of its changes.

        Parameters
        ----------
        batch : Batch
            The rows.
        pool : tuple of ndarray
            Counterfactuals, as `starts` returns them.
        verbose : int, default=0
            Whether to show progress.

        Returns
        -------
        best : ndarray of float64, shape (n, n_features)
            Encoded counterfactuals; the row itself where none was found.
        cost : ndarray of float64, shape (n,)
            Infinite where none was found.
        code : ndarray of int, shape (n,)
            Class codes; -1 where none was found.
        """
        best, cost, code = batch.cheapest(*pool)
        if self.mode != "thorough":
            return best, cost, code
        return self._exchanged(batch, best, cost, code, verbose)

    def without(self, batch, pool, banned, verbose=0):
        """Find more counterfactuals, in which some features stay as they are.

        Parameters
        ----------
        batch : Batch
            The rows.
        pool : tuple of ndarray
            What has been found, as `starts` returns it.
        banned : ndarray of bool, shape (n, n_features)
            The features that stay.
        verbose : int, default=0
            Whether to show progress.

        Returns
        -------
        tuple of ndarray
            Counterfactuals, likewise.
        """
        place, first = np.unique(pool[0], return_index=True)
        if self.mode != "thorough" or not len(place):
            return tuple(part[:0] for part in pool)
        of, found, code = self._assembled(
            batch, place, batch.Z[place], pool[2][first], banned=banned[place]
        )
        return of, self._refined(batch, of, found, code, verbose), code

    def _assembled(self, batch, place, current, code, banned=None):
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
            banned=banned,
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
            return best, cost, code
        found = self._refined(batch, of, found, to, verbose)
        everyone = np.flatnonzero(np.isfinite(cost))
        of = np.concatenate([everyone, of])  # in a tie, what was there already
        found = np.concatenate([best[everyone], found])
        return batch.cheapest(of, found, np.concatenate([code[everyone], to]))


def _aims(of, code, n_rows, target):
    """Rows and the classes to put counterfactuals together for: each that a nearest row has."""
    if target != OTHER:  # rows that no nearest row was found for, too
        return np.arange(n_rows), np.full(n_rows, target)
    pairs = np.unique(np.column_stack([of, code]), axis=0)
    return pairs[:, 0], pairs[:, 1]


class Batch:
    """The rows of one call, and what counterfactuals of them cost.

    Parameters
    ----------
    Z : ndarray of float64, shape (n, n_features)
        Encoded rows.
    rows : ndarray of int, shape (n,)
        Which of the oracle's rows each of them is.
    oracle : Oracle
        Answers what the classifier says.
    space : FeatureSpace
        The cost.
    metric : str
        See `FeatureSpace.cost`.
    """

    def __init__(self, Z, rows, oracle, space, metric):
        self.Z, self.rows, self.oracle = Z, rows, oracle
        self._costs, self._metric = space.costs_, metric

    def cost(self, of, found):
        """What candidates cost, shape (n_found,)."""
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
