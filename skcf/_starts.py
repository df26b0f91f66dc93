"""Where a search for counterfactuals starts: real rows of the target class, or nearly real ones."""

import numpy as np

from skcf._imposing import impose_on_targets
from skcf._targets import TargetRows

__all__ = ["StartRows"]


class StartRows:
    """Real rows to start from, those that are well inside of their class first.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    labels : ndarray of int, shape (n_rows,)
        Their class codes.
    oracle : Oracle
        Answers what the classifier says; its rows are these.
    targets : TargetRows
        The same rows, for those who have no other choice.
    space : FeatureSpace
        The constraints and the cost.
    min_margin : float
        How far inside is well inside, on the logit scale. 0: every row is.

    Attributes
    ----------
    is_safe : ndarray of bool, shape (n_rows,)
        Which training rows are well inside of their class.
    """

    def __init__(self, Z, labels, oracle, targets, space, min_margin):
        self.space, self.targets = space, targets
        self.safe, self.is_safe = targets, np.ones(len(Z), dtype=bool)
        if oracle.has_scores and min_margin > 0:
            self.is_safe = oracle.margin(Z, np.arange(len(Z)), labels) >= min_margin
            self.safe = TargetRows(Z[self.is_safe], labels[self.is_safe], space)

    def nearest(self, Z, own, rows, oracle, target, *, k, metric, n_jobs=None, verbose=0):
        """Find the nearest allowed rows of the target class.

        Rows that have none well inside get those near the boundary, which are better than none;
        and where no real row is allowed, real rows with the constraints imposed on them.

        Parameters
        ----------
        Z : ndarray of float64, shape (n, n_features)
            Encoded rows to move.
        own : ndarray of int, shape (n,)
            Their class codes.
        rows : ndarray of int, shape (n,)
            Which of the oracle's rows each of them is.
        oracle : Oracle
            Answers what the classifier says.
        target : int
            Class code to move them to, or `OTHER`.
        k : int
            Number of rows for each, where there are so many.
        metric : str
            See `FeatureSpace.cost`.
        n_jobs, verbose : int
            Number of threads, and whether to show progress.

        Returns
        -------
        of : ndarray of int, shape (n_found,)
            Position in Z of the row that each one is for.
        start : ndarray of float64, shape (n_found, n_features)
            Encoded rows, allowed and in the target class.
        code : ndarray of int, shape (n_found,)
            Their class codes.
        """
        options = {"k": k, "metric": metric, "n_jobs": n_jobs, "verbose": verbose}
        everyone = np.arange(len(Z))
        found = _nearest(self.safe, Z, own, everyone, target, options)
        stranded = np.setdiff1d(everyone, found[0])
        if len(stranded) and self.safe is not self.targets:
            found = _joined(found, _nearest(self.targets, Z, own, stranded, target, options))
            stranded = np.setdiff1d(stranded, found[0])
        if len(stranded):
            of, *imposed = impose_on_targets(
                self.targets,
                self.space,
                Z[stranded],
                own[stranded],
                rows[stranded],
                oracle,
                target,
                metric=metric,
                k=k,
            )
            found = _joined(found, (stranded[of], *imposed))
        return found


def _nearest(targets, Z, own, queries, target, options):
    """Nearest allowed target rows: for which query, the row, and its class code."""
    index, _ = targets.nearest(Z[queries], own[queries], target, **options)
    place, rank = np.nonzero(index >= 0)
    picked = index[place, rank]
    return queries[place], targets.Z[picked], targets.labels[picked]


def _joined(first, second):
    """Two sets of starting points as one."""
    return tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
