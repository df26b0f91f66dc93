"""Categories on axes: each categorical feature becomes a coordinate that can move in small steps.

Numbers and ordinal categories have an axis already. Other categories are placed on one so that
those which the data treat alike are close; a coordinate is read back as the nearest category.
"""

import warnings

import numpy as np

from skcf.prototype._distances import abdm, mvdm
from skcf.prototype._scaling import embed_by_norm, embed_on_line, rank_correlation, stress

__all__ = ["CategoricalAxes"]

DISTANCES = ("mvdm", "abdm")
EMBEDDINGS = {"line": embed_on_line, "norm": embed_by_norm}
SCALINGS = ("minmax", "standard")

ENOUGH = 4
"""Fewer categories are held by an axis well enough, or have too few pairs to tell."""


class CategoricalAxes:
    """Coordinates of encoded rows, with an axis for each categorical feature.

    The coordinate of a number is its value over its scale in the feature space, that of an ordinal
    category its code over its scale: their order is their axis. The other categories of a feature
    are placed by their distances, MVDM or ABDM, which multidimensional scaling brings to one
    dimension ([1]_, section 3.4 and appendix D). Coordinates are in the units of the feature
    space's cost without its weights: 1 is the range of a number by default, the way through all of
    an order, and, by default, the length of an axis of categories.

    Parameters
    ----------
    space : FeatureSpace
        Fitted.
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    labels : ndarray of int, shape (n_rows,)
        Their class codes, from 0.
    categorical_distance : {"mvdm", "abdm"}, default="mvdm"
        By the labels, or by the other features.
    embedding : {"line", "norm"}, default="line"
        To one dimension at once, or to the plane, of which the norms are taken.
    alpha : float, default=1.0
        Power of the differences in MVDM.
    n_bins, smoothing : int, float, default=10, 1.0
        Bins of numbers, and rows added to each category, in ABDM.
    scaling : {"minmax", "standard"}, default="minmax"
        Each axis by itself: from 0 to 1; or mean 0 and standard deviation 1 over the training
        rows.
    least_gap : float, default=0.1
        Least distance of neighbours on an axis, as a share of that of evenly placed ones, from 0
        to 1. Two categories that are (nearly) one would otherwise be told apart by a rounding
        error. Larger gaps shrink by one factor, in what they are above the least, so that the
        axis stays as long.
    min_rank_correlation : float, default=0.5
        An axis of at least 4 categories whose rank correlation is lower is warned about.
    sample_weight : ndarray of float64, shape (n_rows,), optional
        How often each row counts. By default, once.

    Attributes
    ----------
    distances : dict of {int: ndarray of float64, shape (n_categories, n_categories)}
        Of each nominal feature, the distances of its categories.
    positions : dict of {int: ndarray of float64, shape (n_categories,)}
        Of each nominal feature, where its categories are.
    stress : dict of {int: float}
        Kruskal's stress-1 of the positions, from 0 (good) to 1.
    rank_correlation : dict of {int: float}
        Spearman's rank correlation of distances and positions, up to 1 (good).

    Raises
    ------
    ValueError
        If a parameter is none of its values, or if ABDM has no other feature to go by.

    Warns
    -----
    UserWarning
        If an axis does not keep the order of the distances.

    Notes
    -----
    An axis points to where the mean class code is higher: in a binary problem, to the categories
    with more of the second class; in a tie, to the commoner ones. By norms it starts at the
    outermost category instead. Which codes the categories have decides only between categories
    that are equal in distances, class and number. Where all distances are 0, the categories are
    evenly placed in that order.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcf import FeatureSpace
    >>> from skcf.prototype._axes import CategoricalAxes
    >>> X = pd.DataFrame({"job": ["cook", "nurse", "pilot", "nurse"], "age": [20, 30, 40, 70]})
    >>> space = FeatureSpace().fit(X)
    >>> Z = space.transform(X)
    >>> axes = CategoricalAxes(space, Z, np.array([0, 0, 1, 1]))
    >>> axes.positions
    {0: array([0. , 0.5, 1. ])}
    >>> U = axes.place(Z)
    >>> U
    array([[0. , 0.4],
           [0.5, 0.6],
           [1. , 0.8],
           [0.5, 1.4]])
    >>> axes.snap(U + [0.3, 0.0], Z, U)
    array([[ 1., 20.],
           [ 2., 30.],
           [ 2., 40.],
           [ 2., 70.]])
    """

    def __init__(
        self,
        space,
        Z,
        labels,
        *,
        categorical_distance="mvdm",
        embedding="line",
        alpha=1.0,
        n_bins=10,
        smoothing=1.0,
        scaling="minmax",
        least_gap=0.1,
        min_rank_correlation=0.5,
        sample_weight=None,
    ):
        _check("categorical_distance", categorical_distance, DISTANCES)
        _check("embedding", embedding, EMBEDDINGS)
        _check("scaling", scaling, SCALINGS)
        if not 0 <= least_gap <= 1:
            raise ValueError(f"least_gap must be from 0 to 1, got {least_gap!r}.")
        constraints = space.constraints_
        self.scale = space.scale_
        self.n_categories = np.array([feature.n_categories for feature in constraints.features])
        self.nominal = [int(j) for j in np.flatnonzero(constraints.nominal)]
        self.ordinal = [j for j in constraints.categorical if j not in self.nominal]
        self.empty = [j for j in constraints.categorical if self.n_categories[j] == 0]
        self.names = [feature.name for feature in constraints.features]
        weights = np.ones(len(Z)) if sample_weight is None else sample_weight
        if categorical_distance == "abdm":
            self._check_context()
            self.distances = abdm(
                Z, self.n_categories, self.nominal, n_bins, smoothing, sample_weight
            )
        else:
            self.distances = self._by_labels(Z, labels, alpha, sample_weight)
        self.positions = {}
        for j in self.nominal:
            counts, rate = _counts_and_rate(Z[:, j], labels, weights, self.n_categories[j])
            raw = EMBEDDINGS[embedding](self.distances[j], (rate, counts))
            axis = _spread(raw, least_gap, (rate, counts))
            self.positions[j] = axis if scaling == "minmax" else _standardised(axis, counts)
        self.stress = {j: stress(self.distances[j], self.positions[j]) for j in self.nominal}
        self.rank_correlation = {
            j: rank_correlation(self.distances[j], self.positions[j]) for j in self.nominal
        }
        self._warn_of_bad_axes(min_rank_correlation, categorical_distance, embedding)

    def place(self, Z):
        """Find the coordinates of encoded rows.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            NaN for missing values and for codes of values that are no category.
        """
        U = Z / self.scale
        for j in self.ordinal:
            U[Z[:, j] < 0, j] = np.nan
        for j, positions in self.positions.items():
            known = Z[:, j] >= 0
            U[:, j] = np.nan
            U[known, j] = positions[Z[known, j].astype(np.intp)]
        return U

    def snap(self, U, Z0, U0):
        """Read coordinates as encoded rows: numbers as they are, the nearest category otherwise.

        Parameters
        ----------
        U : ndarray of float64, shape (n_rows, n_features)
            Coordinates.
        Z0, U0 : ndarray of float64, shape (n_rows, n_features)
            Encoded rows that they come from, and the coordinates of these.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            Of two categories that are as near, the one with the lower code. Where a coordinate has
            not moved, or is NaN, the value of `Z0` to the bit, whatever its code is.
        """
        Z = U * self.scale
        for j in self.ordinal:
            codes = np.ceil(Z[:, j] - 0.5)  # halves go down
            Z[:, j] = np.clip(codes, 0, self.n_categories[j] - 1)
        for j, positions in self.positions.items():
            Z[:, j] = _nearest(positions, U[:, j])
        Z[:, self.empty] = Z0[:, self.empty]
        return np.where((U == U0) | np.isnan(U), Z0, Z)

    def axis(self, j):
        """Where the categories of a feature stand, nominal or ordinal, shape (n_categories,)."""
        if j in self.positions:
            return self.positions[j]
        return np.arange(self.n_categories[j]) / self.scale[j]

    def _by_labels(self, Z, labels, alpha, sample_weight):
        n_classes = int(np.max(labels, initial=0)) + 1
        return {
            j: mvdm(Z[:, j], labels, self.n_categories[j], n_classes, alpha, sample_weight)
            for j in self.nominal
        }

    def _check_context(self):
        if self.nominal and len(self.names) == 1:
            raise ValueError(
                'categorical_distance="abdm" compares categories by the other features, but '
                f'{self.names[0]!r} is the only one: use "mvdm".'
            )

    def _warn_of_bad_axes(self, least, categorical_distance, embedding):
        bad = {
            self.names[j]: round(value, 2)
            for j, value in self.rank_correlation.items()
            if value < least and self.n_categories[j] >= ENOUGH
        }
        if not bad:
            return
        advice = ['embedding="line"'] if embedding != "line" else []
        if categorical_distance == "abdm" or len(self.names) > 1:
            other = "mvdm" if categorical_distance == "abdm" else "abdm"
            advice.append(f'categorical_distance="{other}"')
        remedy = f"; try {' or '.join(advice)}" if advice else ""
        warnings.warn(
            "The distances of the categories do not fit on one axis (rank correlation below "
            f"{least}): {bad}. Their order on it says little{remedy}.",
            UserWarning,
            stacklevel=3,
        )


def _check(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}.")


def _counts_and_rate(codes, labels, weights, n_categories):
    """Of each category, how many rows it has and the mean of their class codes."""
    seen = codes >= 0
    codes, weights = codes[seen].astype(np.intp), weights[seen]
    counts = np.bincount(codes, weights, n_categories)
    totals = np.bincount(codes, weights * labels[seen], n_categories)
    mean = totals.sum() / counts.sum() if counts.any() else 0.0
    return counts, np.divide(totals, counts, out=np.full(n_categories, mean), where=counts > 0)


def _spread(positions, least_gap, keys):
    """Stretch an axis to go from 0 to 1, with no two neighbours closer than the least gap."""
    n = len(positions)
    if n < 2:
        return np.zeros(n)
    order = np.lexsort([*keys[::-1], positions])
    gaps = np.diff(positions[order])
    extent = gaps.sum()
    gaps = gaps / extent if extent > 0 else np.full(n - 1, 1 / (n - 1))
    least = least_gap / (n - 1)
    excess = np.maximum(gaps - least, 0.0)
    if (gaps < least).any():
        gaps = least + excess * (1 - least_gap) / excess.sum() if excess.any() else gaps * 0 + least
    spread = np.empty(n)
    spread[order] = np.concatenate([[0.0], np.cumsum(gaps) / gaps.sum()])
    return spread


def _standardised(positions, counts):
    """Mean 0 and standard deviation 1 over the rows; only mean 0 if they have one category."""
    if not counts.any():
        return positions
    centred = positions - np.average(positions, weights=counts)
    std = np.sqrt(np.average(centred**2, weights=counts))
    return centred / std if np.count_nonzero(counts) > 1 and std > 0 else centred


def _nearest(positions, coordinates):
    """Codes of the positions nearest to coordinates; the lower one in a tie."""
    places, codes = np.unique(positions, return_index=True)  # the lowest code of each place
    if len(places) < 2:
        return np.zeros(len(coordinates))
    above = np.clip(np.searchsorted(places, coordinates), 1, len(places) - 1)
    below = above - 1
    to_below, to_above = coordinates - places[below], places[above] - coordinates
    nearest = np.where(to_below < to_above, codes[below], codes[above])
    tied = to_below == to_above
    nearest[tied] = np.minimum(codes[below], codes[above])[tied]
    return nearest.astype(np.float64)
