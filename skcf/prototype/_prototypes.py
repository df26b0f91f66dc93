"""Class prototypes: what counterfactuals are guided to (paper 5, sections 3.2 and 3.3)."""

import numpy as np
from scipy.spatial import cKDTree

from skcf._targets import OTHER

__all__ = ["KDTrees", "MeanEncodings"]

LEAST_TREE_ROWS = 200
"""Rows from which on scipy's tree is quicker than all distances."""


class ClassPoints:
    """Points of training rows, by class, and the nearest of them.

    Parameters
    ----------
    points : ndarray of float64, shape (n_rows, n_dimensions)
        The training rows as points.
    labels : ndarray of int, shape (n_rows,)
        The class codes that the classifier gives them.
    """

    def __init__(self, points, labels):
        self.points, self.labels = points, labels
        self._rows = {int(code): np.flatnonzero(labels == code) for code in np.unique(labels)}
        self._trees = {code: cKDTree(points[rows]) for code, rows in self._rows.items()}

    @property
    def sizes(self):
        """Number of rows of each class."""
        return {code: len(rows) for code, rows in self._rows.items()}

    def nearest(self, queries, code, k):
        """Distances to the k nearest rows of a class, and which they are, shape (n, k)."""
        k = min(k, len(self._rows[code]))
        distance, index = self._trees[code].query(queries, k=np.arange(1, k + 1))
        return distance, self._rows[code][index]

    def classes_for(self, own, target):
        """The classes that rows may go to: pairs of a class code and the rows' positions."""
        if target != OTHER:
            return [(target, np.arange(len(own)))]
        return [(code, np.flatnonzero(own != code)) for code in self._rows]


class KDTrees(ClassPoints):
    """Training rows themselves as prototypes, by a k-d tree for each class ([1]_, Algorithm 2).

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    def find(self, queries, own, target, k, n_prototypes):
        """Find the k-th nearest row of a class, and those that come after it.

        Parameters
        ----------
        queries : ndarray of float64, shape (n, n_dimensions)
            The rows to be explained, as points.
        own : ndarray of int, shape (n,)
            Their class codes.
        target : int
            Class code, or `OTHER`: of all other classes the one whose k-th row is nearest.
        k : int
            Which of the nearest rows comes first.
        n_prototypes : int
            How many there are to be for each, where the class has so many.

        Returns
        -------
        of : ndarray of int, shape (n_found,)
            Which query each prototype is for, in order, its nearest first.
        point : ndarray of float64, shape (n_found, n_dimensions)
            The prototypes.
        code : ndarray of int, shape (n_found,)
            Their classes.
        index : ndarray of int, shape (n_found,)
            The training rows that they are.
        """
        lots = []
        for code, rows in self.classes_for(own, target):
            distance, index = self.nearest(queries[rows], code, k + n_prototypes - 1)
            distance, index = distance[:, k - 1 :], index[:, k - 1 :]
            of = np.repeat(rows, distance.shape[1])
            lots.append((of, distance.ravel(), np.full(len(of), code), index.ravel()))
        of, distance, code, index = (np.concatenate(parts) for parts in zip(*lots, strict=True))
        kept = _first_of_each(of, distance, n_prototypes)
        return of[kept], self.points[index[kept]], code[kept], index[kept]


class MeanEncodings(ClassPoints):
    """Means of the k nearest encodings of a class as prototypes ([1]_, Algorithm 1, Eq. 7-8).

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    def find(self, queries, own, target, k, n_prototypes):
        """Find the mean of the k nearest encodings of a class, then of the k that come next.

        As `KDTrees.find`; the index of a mean is -1.
        """
        lots = []
        for code, rows in self.classes_for(own, target):
            _, index = self.nearest(queries[rows], code, k * n_prototypes)
            n_lots = index.shape[1] // k
            members = self.points[index[:, : n_lots * k]]
            width = self.points.shape[1]  # cannot be inferred where all rows are of this class
            means = members.reshape(len(rows), n_lots, k, width).mean(axis=2)
            distance = np.linalg.norm(means - queries[rows, None], axis=2)
            of = np.repeat(rows, n_lots)
            lots.append(
                (of, distance.ravel(), means.reshape(len(of), width), np.full(len(of), code))
            )
        of, distance, mean, code = (np.concatenate(parts) for parts in zip(*lots, strict=True))
        kept = _first_of_each(of, distance, n_prototypes)
        return of[kept], mean[kept], code[kept], np.full(len(kept), -1)


def _first_of_each(of, distance, n):
    """Positions of the n nearest of each query, by query, then by distance."""
    order = np.lexsort((distance, of))
    start = np.searchsorted(of[order], of[order])
    return order[np.arange(len(order)) - start < n]
