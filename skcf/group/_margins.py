"""The classifier itself as a representation: by how much each class leads."""

import numpy as np

from skcf._maps import N_CHECKS, STEP, Map
from skcf._oracle import Oracle
from skcf._representations import WIDE_STEP, share_unmoved

__all__ = ["MarginMap"]

LIMIT = 15.0
"""Margins beyond which none is told from another: probabilities within 3e-7 of 1."""


class MarginMap(Map):
    """Logit margins: the score of each class less the best one of another; of two, the second's.

    Of a classifier without known gradients, margins beyond +-`LIMIT` are no larger than the
    largest within it: where the trees of a forest agree, the logarithm of what the others get is
    that of the smallest float.

    Parameters
    ----------
    oracle : Oracle
        Answers about the training rows, of which one is kept.
    Z : ndarray of float64, shape (n_rows, n_features)
        These rows, encoded, without missing values. Where small steps change nothing, as with
        trees, or there are whole numbers, differences are taken of wide ones.
    """

    def __init__(self, oracle, Z):
        self.reader, self.space = oracle.reader, oracle.space
        self._row = oracle.origin.take(np.arange(1))
        n_classes = len(self.reader.classes)
        self._codes = [1] if n_classes == 2 else list(range(n_classes))
        self._limit = None if oracle.has_gradients else self._largest(Z)
        self.is_smooth = oracle.has_gradients or self._has_slopes(Z)
        self._step = STEP if self.is_smooth else WIDE_STEP

    def _largest(self, Z):
        """The largest margin of a row that is no larger than the limit."""
        self._limit = np.inf
        sizes = np.abs(self.values(Z))
        return sizes[sizes < LIMIT].max(initial=0.0) or LIMIT

    def _has_slopes(self, Z):
        """Whether most rows change with a small step of all numbers."""
        constraints = self.space.constraints_
        if constraints.integer.any():
            return False  # whole numbers take whole steps
        Z = Z[np.linspace(0, len(Z) - 1, min(len(Z), N_CHECKS)).astype(int)]
        numbers = np.isin(np.arange(Z.shape[1]), constraints.numeric)
        return share_unmoved(self, Z, np.where(numbers, self.space.scale_, 0.0)) <= 0.5

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        oracle, rows = self._about(Z)
        margins = [self._margins(oracle, Z, rows, np.full(len(Z), c)) for c in self._codes]
        margins = np.column_stack(margins)
        return margins if self._limit is None else np.clip(margins, -self._limit, self._limit)

    def leads(self, values, code):
        """Whether rows of some margins are of a class."""
        if len(self._codes) > 1:
            return values[:, code] > 0
        return values[:, 0] > 0 if code == 1 else values[:, 0] < 0

    def _margins(self, oracle, Z, rows, target):
        """Margins where gradients are those of them: not of rows whose numbers are made whole."""
        if oracle.has_gradients:
            return oracle.margin_and_grad(Z, rows, target)[0]
        return oracle.margin(Z, rows, target)

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``, as if there were no limit where there is one."""
        oracle, rows = self._about(Z)
        grad = np.zeros(Z.shape)
        for code, v in zip(self._codes, V.T, strict=True):
            target = np.full(len(Z), code)
            if oracle.has_gradients:
                of_code = oracle.margin_and_grad(Z, rows, target)[1]
            else:
                of_code = oracle.central_differences(Z, rows, target, self._step)
            grad += v[:, None] * of_code
        return grad

    def _about(self, Z):
        """An oracle, and the row that stands for what codes cannot say."""
        return Oracle(self.reader, self.space, self._row), np.zeros(len(Z), dtype=np.intp)
