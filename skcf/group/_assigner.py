"""The group of a row, where no classifier tells."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skcf._neighbours import holding, nearest_distances

__all__ = ["GroupAssigner", "is_ungrouped", "no_group_like", "radius_of"]

LEVEL = 0.95
"""Share of each group's rows that have another one of it within the radius."""


def no_group_like(labels):
    """What stands for "no group" among labels: -1, or an empty text where they are texts."""
    return -1 if labels.dtype.kind in "iufb" else ""


def is_ungrouped(labels):
    """Which rows belong to no group, by their labels: -1 as in scikit-learn's clusters, or ""."""
    if labels.dtype.kind == "b":
        return np.zeros(labels.shape, dtype=bool)
    return labels == no_group_like(labels)


def radius_of(represented):
    """The least radius within which nearly all rows of each group have another one of it.

    Parameters
    ----------
    represented : list of ndarray of float64, shapes (n_rows_of_group, n_outputs)
        Representations of the rows of each group.

    Returns
    -------
    float
        As `skcf.metrics.calibrate_epsilon` finds it, for the plain distance. Where that is 0, since
        rows are alike (the scores of a forest are), that of distinct ones.
    """
    radius = _radius(represented)
    distinct = [np.unique(r, axis=0) for r in represented] if radius == 0 else []
    several = [r for r in distinct if len(r) > 1]
    return _radius(several) if several else radius


def _radius(represented):
    return max(holding(nearest_distances(r, r, apart=True), LEVEL) for r in represented)


class GroupAssigner:
    """Puts a row in the group of the nearest training row, by their representations.

    It stands for the classifier where groups come without one: its ``predict`` takes rows as the
    explainer does.

    Parameters
    ----------
    space : FeatureSpace
        How rows are encoded.
    representation : Map
        r, of encoded rows.
    represented : ndarray of float64, shape (n_rows, n_outputs)
        r of the training rows.
    labels : ndarray of shape (n_rows,)
        Their groups.
    eps : float, default=None
        Radius beyond which a row belongs to no group. None: `radius_of` the groups.

    Attributes
    ----------
    classes_ : ndarray of shape (n_groups,)
        The groups.
    eps : float
        The radius.
    """

    def __init__(self, space, representation, represented, labels, eps=None):
        self.space, self.representation, self.represented = space, representation, represented
        self.classes_, self._codes = np.unique(labels, return_inverse=True)
        groups = [represented[self._codes == code] for code in range(len(self.classes_))]
        self.eps = radius_of(groups) if eps is None else float(eps)
        self._neighbours = NearestNeighbors(n_neighbors=1).fit(represented)

    def predict(self, X):
        """The group of each row; -1, or an empty text, for rows beyond the radius."""
        Z = self.space._encode(self.space._tabulate(X))
        distances, nearest = self._neighbours.kneighbors(self.representation.values(Z))
        labels = self.classes_[self._codes[nearest[:, 0]]]
        return np.where(distances[:, 0] <= self.eps, labels, no_group_like(self.classes_))
