"""What a pair costs, without storing all pairs.

A `PairCost` gives blocks of pairs, quickly and roughly, for searching, and listed pairs
exactly, for everything that is reported.
"""

from abc import ABC, abstractmethod

import numpy as np
from scipy.spatial.distance import cdist

__all__ = ["METRICS", "MatrixCost", "PairCost", "PointCost"]

METRICS = ("sqeuclidean", "euclidean", "cityblock")


class PairCost(ABC):
    """Cost of moving each of m sources to each of n targets; infinite where forbidden.

    Attributes
    ----------
    shape : tuple of (int, int)
        Number of sources and of targets.
    """

    shape: tuple[int, int]

    @abstractmethod
    def pairs(self, rows, columns):
        """Costs of listed pairs, in float64; the same pair gives the same bits in any list.

        Parameters
        ----------
        rows, columns : ndarray of int, shape (n_pairs,)

        Returns
        -------
        ndarray of float64, shape (n_pairs,)
        """

    @abstractmethod
    def reduced(self, levels, prices):
        """Make ready to give reduced costs, ``C[i, j] + prices[j] - levels[i]``, tile by tile.

        Parameters
        ----------
        levels : ndarray of float64, shape (m,)
        prices : ndarray of float64, shape (n,)

        Returns
        -------
        tile : callable
            Takes a slice of sources and one of targets, and gives a new array of float32 or
            float64, right up to `rounding`.
        """

    @abstractmethod
    def take(self, rows, columns):
        """The cost of some of the sources and targets: slices or positions."""

    @abstractmethod
    def times(self, factor):
        """The cost multiplied by a positive number."""

    @abstractmethod
    def raised(self, power):
        """The cost raised to a power."""

    def rounding(self, levels, prices):
        """Largest error of `reduced`; what is smaller than that cannot be told apart."""
        return 0.0

    def pools(self):
        """Split the pairs into rectangles that hold all that are allowed.

        Returns
        -------
        list of (rows, columns)
            Slices or positions. Each source is in one of them at most.
        """
        return [(slice(0, self.shape[0]), slice(0, self.shape[1]))]

    def feasible(self):
        """Tell which sources have a target that they may move to, shape (m,)."""
        return np.ones(self.shape[0], dtype=bool)


class MatrixCost(PairCost):
    """Costs given as a matrix.

    Parameters
    ----------
    matrix : ndarray of float, shape (m, n)
        Infinite where a pair is forbidden.
    factor : float, default=1
        What it is multiplied by.
    """

    def __init__(self, matrix, factor=1.0):
        # a float64 that a float32 matrix does not turn to float32
        self.matrix, self.factor = matrix, np.float64(factor)
        self.shape = matrix.shape

    def pairs(self, rows, columns):
        """See `PairCost.pairs`."""
        return self.matrix[rows, columns] * self.factor

    def reduced(self, levels, prices):
        """See `PairCost.reduced`."""

        def tile(rows, columns):
            out = self.matrix[rows, columns] * self.factor
            out += prices[columns]
            out -= levels[rows, None]
            return out

        return tile

    def take(self, rows, columns):
        """See `PairCost.take`."""
        return MatrixCost(self.matrix[rows][:, columns], self.factor)

    def times(self, factor):
        """See `PairCost.times`."""
        return MatrixCost(self.matrix, self.factor * factor)

    def raised(self, power):
        """See `PairCost.raised`."""
        return MatrixCost(self.matrix ** np.float64(power), self.factor**power)

    def feasible(self):
        """See `PairCost.feasible`."""
        return np.isfinite(self.matrix.min(axis=1, initial=np.inf))


class PointCost(PairCost):
    """A power of the distance of points, times a factor.

    Parameters
    ----------
    X, Y : ndarray of float64, shapes (m, n_features) and (n, n_features)
        Sources and targets.
    metric : {"sqeuclidean", "euclidean", "cityblock"}
        The distance.
    exponent : float, default=1
        Power of the distance.
    factor : float, default=1
        What it is multiplied by.
    """

    def __init__(self, X, Y, metric="sqeuclidean", exponent=1.0, factor=1.0):
        self.X, self.Y = _checked_points(X, Y)
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
        self.metric, self.exponent, self.factor = metric, exponent, factor
        self.shape = len(X), len(Y)

    def pairs(self, rows, columns):
        """See `PairCost.pairs`."""
        total = np.zeros(len(rows))
        for x, y in zip(self.X.T, self.Y.T, strict=True):  # one sum at a time: the order is fixed
            step = x[rows] - y[columns]
            total += np.abs(step) if self.metric == "cityblock" else step * step
        return self._finished(total)

    def reduced(self, levels, prices):
        """See `PairCost.reduced`."""
        if self._is_product:
            return self._product(levels, prices)
        metric = "cityblock" if self.metric == "cityblock" else "sqeuclidean"

        def tile(rows, columns):
            out = self._finished(cdist(self.X[rows], self.Y[columns], metric))
            out += prices[columns]
            out -= levels[rows, None]
            return out

        return tile

    @property
    def _is_product(self):
        """Whether the cost is a sum of products: then one matrix product gives a block."""
        return self.metric == "sqeuclidean" and self.exponent == 1

    def _product(self, levels, prices):
        """Squared distances by one matrix product in float32, prices and levels in it."""
        centre = self.Y.mean(axis=0)
        X, Y = self.X - centre, self.Y - centre
        left = np.empty((len(X), X.shape[1] + 2), dtype=np.float32)
        right = np.empty((len(Y), X.shape[1] + 2), dtype=np.float32)
        left[:, :-2] = X * (-2 * self.factor)
        left[:, -2] = self.factor * np.einsum("ij,ij->i", X, X) - levels
        left[:, -1] = 1
        right[:, :-2] = Y
        right[:, -2] = 1
        right[:, -1] = self.factor * np.einsum("ij,ij->i", Y, Y) + prices
        return lambda rows, columns: left[rows] @ right[columns].T

    def rounding(self, levels, prices):
        """See `PairCost.rounding`."""
        if not self._is_product:
            return 0.0
        centre = self.Y.mean(axis=0)
        x, y = (np.einsum("ij,ij->i", Z - centre, Z - centre).max() for Z in (self.X, self.Y))
        largest = self.factor * (np.sqrt(x) + np.sqrt(y)) ** 2
        largest += np.abs(prices).max() + np.abs(levels).max()
        return (self.X.shape[1] + 4) * np.finfo(np.float32).eps * largest

    def take(self, rows, columns):
        """See `PairCost.take`."""
        return PointCost(self.X[rows], self.Y[columns], self.metric, self.exponent, self.factor)

    def times(self, factor):
        """See `PairCost.times`."""
        return PointCost(self.X, self.Y, self.metric, self.exponent, self.factor * factor)

    def raised(self, power):
        """See `PairCost.raised`."""
        return PointCost(self.X, self.Y, self.metric, self.exponent * power, self.factor**power)

    def _finished(self, total):
        """Take the root, the power and the factor of sums, in place."""
        power = self.exponent * (0.5 if self.metric == "euclidean" else 1.0)
        if power != 1:
            np.power(total, power, out=total)
        if self.factor != 1:
            total *= self.factor
        return total


def _checked_points(X, Y):
    """Points as floats, with what has no distance refused."""
    X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    if X.ndim != 2 or Y.ndim != 2 or X.shape[1] != Y.shape[1]:
        raise ValueError(
            "X and Y must be points with the same features, of shapes (m, n_features) and "
            f"(n, n_features), got {X.shape} and {Y.shape}."
        )
    for name, Z in (("X", X), ("Y", Y)):
        if not np.isfinite(Z).all():
            raise ValueError(f"{name} contains NaN or infinity: such a point has no distance.")
    return X, Y
