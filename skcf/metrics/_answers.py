"""What the classifier says of rows and of their counterfactuals."""

import numpy as np

from skcf._classifiers import as_taken, read_classifier, unfrozen
from skcf._targets import OTHER, reached, target_code

__all__ = ["Answers"]


class Answers:
    """A classifier, asked about pairs of rows.

    Parameters
    ----------
    estimator : object
        Anything that an explainer takes.
    pairs : Pairs
        Rows and their counterfactuals.
    target_class : object
        As explainers take it.

    Attributes
    ----------
    own : ndarray of int, shape (n_rows,)
        Class codes of the rows before.
    target : int
        Class code, or `OTHER`.
    """

    def __init__(self, estimator, pairs, target_class):
        self._space = pairs.space
        names = _labels_of_function(estimator, pairs)
        self._reader = read_classifier(estimator, pairs.space, pairs.before, names)
        self.own = self.labels(pairs.before)
        self.target = target_code(target_class, self._reader.classes)

    def labels(self, table):
        """Class codes of rows; no rows, no question."""
        if not table.n_rows:
            return np.empty(0, dtype=np.intp)
        return self._reader.labels(as_taken(self._reader, self._space, table))

    @property
    def needed(self):
        """Which rows are not where they are to go, shape (n_rows,)."""
        return ~reached(self.own, self.own, self.target)

    def valid(self, table, rows):
        """Tell which rows are where the rows at these positions were to go."""
        return reached(self.labels(table), self.own[rows], self.target)

    def margins(self, table, rows):
        """Signed distance of rows beyond the boundary; +1 and -1 where only labels are known."""
        if not self._reader.has_scores:
            return np.where(self.valid(table, rows), 1.0, -1.0)
        if not table.n_rows:
            return np.empty(0)
        scores = self._reader.scores(as_taken(self._reader, self._space, table))
        wanted = np.zeros(scores.shape, dtype=bool)
        if self.target == OTHER:
            wanted[:] = np.arange(scores.shape[1]) != self.own[rows, None]
        else:
            wanted[:, self.target] = True
        best = np.where(wanted, scores, -np.inf).max(axis=1)
        return best - np.where(wanted, -np.inf, scores).max(axis=1)


def _labels_of_function(estimator, pairs):
    """The labels that a plain function gives to both sides: it cannot name its classes itself."""
    function = unfrozen(estimator)
    if hasattr(function, "predict") or not callable(function) or hasattr(function, "parameters"):
        return None
    answers = [np.asarray(function(table.container())) for table in _both(pairs)]
    return np.concatenate([a.ravel() for a in answers]) if answers[0].ndim == 1 else None


def _both(pairs):
    yield pairs.before
    if pairs.found.any():
        yield pairs.after.take(pairs.places)
