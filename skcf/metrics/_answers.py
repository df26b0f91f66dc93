"""What the classifier says of rows and of their counterfactuals."""

import numpy as np

from skcf._classifiers import read_classifier, unfrozen
from skcf._oracle import Oracle
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
    reader : object
        Made by `skcf._classifiers.read_classifier`.
    """

    def __init__(self, estimator, pairs, target_class):
        names = _labels_of_function(estimator, pairs)
        self.reader = read_classifier(estimator, pairs.space, pairs.before, names)
        self._oracle = Oracle(self.reader, pairs.space, pairs.before)
        self.own = self._oracle.origin_labels()
        self.target = target_code(target_class, self.reader.classes)

    @property
    def needed(self):
        """Which rows are not where they are to go, shape (n_rows,)."""
        return ~reached(self.own, self.own, self.target)

    def valid(self, table, rows):
        """Tell which rows are where the rows at these positions were to go."""
        return reached(self._oracle.labels_of(table, rows), self.own[rows], self.target)

    def margins(self, table, rows):
        """Signed distance of rows beyond the boundary; +1 and -1 where only labels are known."""
        if self.target == OTHER:  # out of their own class
            return -self._oracle.margin_of(table, rows, self.own[rows])
        return self._oracle.margin_of(table, rows, np.full(len(rows), self.target))


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
