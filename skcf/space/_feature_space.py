"""FeatureSpace: the columns' kinds, encoding to numbers and back, constraints, cost."""

from dataclasses import replace
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._compat import StrOptions, checked_sample_weight, fit_context
from skcf._fitting import unchanged_on_failure
from skcf.space._constraints import same
from skcf.space._containers import Table, backend_of, checked_container
from skcf.space._cost import METRICS, MoveCost
from skcf.space._encoding import Encoding
from skcf.space._features import UNSEEN
from skcf.space._specification import (
    Columns,
    build_constraints,
    build_features,
    build_scale,
    build_weights,
)

__all__ = ["FeatureSpace"]


class FeatureSpace(TransformerMixin, BaseEstimator):
    """What the columns are, what may change, and what a change costs.

    A feature is what may change as one thing: a column, or a group of one-hot or linked columns.
    ``transform`` writes each feature as one float: numbers as they are, categories as
    their position in ``categories_``, missing values as NaN. ``inverse_transform`` gives
    the rows back, with their values, dtypes and categories.

    Kinds are read off the dtypes. Categorical, string and boolean columns are
    categories (an ordered pandas categorical is ordinal); integer dtypes are whole
    numbers; floats are continuous, also where they hold whole numbers (see
    `integer_features`). An object column of a DataFrame is categories if it holds text;
    one of an array must hold numbers, or be named in `categorical_features`.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
            default="from_dtype"
        Columns that hold categories, beside those whose dtype says so: a mask, positions
        or names. None: only those whose dtype says so.
    integer_features : array-like of bool, int or str, default=None
        Columns that hold whole numbers, beside those of an integer dtype.
    ordinal_features : dict of {column: list of categories}, default=None
        Categorical columns whose categories have an order, from low to high. Categories
        that the data do not hold may be listed, and can then be proposed.
    immutable_features : array-like of bool, int or str, default=None
        Columns that no counterfactual may change.
    change_direction : dict of {column: +1 or -1}, default=None
        Columns that may only rise (+1) or only fall (-1). A missing value in such a column
        has nothing to rise from, and stays.
    permitted_range : dict of {column: (low, high) or list of categories}, default=None
        Values that a counterfactual may have, in the units of the column. A row outside
        has to come inside: where the column cannot move, it has no counterfactual. For an
        ordinal column a tuple of two is the lowest and the highest category. For a member
        of a one-hot group: (0, 0) rules its category out.
    feature_weights : dict of {column: float} or array-like, default=None
        Factors of the features' costs, 1 where none is given.
    scale : {"range", "std", "mad"}, default="range"
        The difference that costs 1, for numbers: the range, the standard deviation or the
        median absolute deviation of the column in fit. Where it is zero, the standard
        deviation, and 1 for a constant column.
    onehot_groups : list of lists of int or str, default=None
        Groups of columns that are the one-hot code of one variable (dropped or all-zero
        categories, and scaled columns, are fine). Each group is one feature.
    linked_features : list of lists of int or str, default=None
        Groups of columns that are several writings of one thing, of any kinds: ``[["education",
        "education_num"]]``. Each group is one feature, which takes the tuples of values seen in
        fit. The tuples are in the order of the first column that has an order and is different
        in each of them; if there is none, they are categories without an order. What other
        parameters say of one of the columns holds for the tuples.
    implications : dict of {column: column, (column, amount) or list of these}, default=None
        Rises that need others: with ``{"degree": ("age", 2)}``, if the degree rises by k, the
        age has to rise by at least 2 k. The amount is 1 where none is given. Numbers rise by
        their units, ordinal categories by steps of their order. A missing value neither rises nor
        has to. Linked columns of which some are missing, or with a tuple that fit did not see,
        stay where their rise needs another one, and nothing rises that needs theirs.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of str, shape (n_features_in_,)
        Names of the columns, where X has string names.
    feature_kinds_ : dict of {label: {"continuous", "integer", "category", "ordinal"}}
        Kind of each feature.
    categories_ : dict of {label: list}
        Categories of each categorical feature, in the order of their codes.
    scale_ : ndarray of float64, shape (n_features,)
        The difference of each feature that costs 1.
    weight_ : ndarray of float64, shape (n_features,)
        Factor of each feature's cost.
    constraints_ : Constraints
        The constraints on encoded rows; explainers work on it.
    costs_ : MoveCost
        The cost of moves between encoded rows; explainers work on it.
    encoding_ : Encoding
        How rows are encoded; explainers work on it.

    See Also
    --------
    NearestExplainer : The explainer that returns the nearest allowed real row, refined.

    Notes
    -----
    The default cost is Gower's distance [1]_ without its division by the number of
    features: the sum over the features of the weighted, scaled differences.

    A missing value, and a category that fit did not see, may be kept where the row to be
    explained has it; neither is ever proposed.

    References
    ----------
    .. [1] J. C. Gower. "A general coefficient of similarity and some of its properties."
       Biometrics 27 (1971), 857-871.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcf import FeatureSpace
    >>> X = pd.DataFrame({"age": [25, 40, 61], "job": ["clerk", "cook", "clerk"]})
    >>> space = FeatureSpace(change_direction={"age": +1}).fit(X)
    >>> space.transform(X)
    array([[25.,  0.],
           [40.,  1.],
           [61.,  0.]])
    >>> space.cost(X.iloc[[0]], X.iloc[[1]])
    array([1.41666667])
    >>> space.feasible(X.iloc[[1]], X.iloc[[0]])
    array([False])
    """

    _parameter_constraints = {
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "integer_features": ["array-like", None],
        "ordinal_features": [dict, None],
        "immutable_features": ["array-like", None],
        "change_direction": [dict, None],
        "permitted_range": [dict, None],
        "feature_weights": [dict, "array-like", None],
        "scale": [StrOptions({"range", "std", "mad"})],
        "onehot_groups": [list, tuple, None],
        "linked_features": [list, tuple, None],
        "implications": [dict, None],
    }

    def __init__(
        self,
        *,
        categorical_features="from_dtype",
        integer_features=None,
        ordinal_features=None,
        immutable_features=None,
        change_direction=None,
        permitted_range=None,
        feature_weights=None,
        scale="range",
        onehot_groups=None,
        linked_features=None,
        implications=None,
    ):
        self.categorical_features = categorical_features
        self.integer_features = integer_features
        self.ordinal_features = ordinal_features
        self.immutable_features = immutable_features
        self.change_direction = change_direction
        self.permitted_range = permitted_range
        self.feature_weights = feature_weights
        self.scale = scale
        self.onehot_groups = onehot_groups
        self.linked_features = linked_features
        self.implications = implications

    @fit_context
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn kinds, categories and scales from rows, and check the constraints.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows; pandas, polars or numpy.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            How often each row counts, in the scales and for the commonest category: a row of
            weight 3 as three equal rows, one of weight 0 as if it were not there (a category
            that only such rows hold is not seen). None: once each.

        Returns
        -------
        self : FeatureSpace
            Unchanged if the fit fails.

        Raises
        ------
        ValueError
            If a parameter names a column that X does not have or contradicts the data, if a
            column holds infinite values, or text where numbers are expected; if the weights
            are not one a row, if one is negative or not finite, or if all are zero.
        TypeError
            If a column is neither numeric nor categorical.

        Warns
        -----
        UserWarning
            If linked columns hold so many different tuples that they do not look like several
            writings of one thing.
        """
        with unchanged_on_failure(self):
            self._fit(X, sample_weight)
        return self

    @fit_context
    def _fit_and_encode(self, X, sample_weight=None):
        """Fit, and give the rows that count, encoded: scales are told by these anyway."""
        with unchanged_on_failure(self):
            return self._fit(X, sample_weight)

    def _fit(self, X, sample_weight):
        """Set every fitted attribute; taken back if this fails."""
        table = self._checked_table(X, reset=True)
        weights = checked_sample_weight(sample_weight, X)
        if weights is not None:
            present = np.flatnonzero(weights)
            table, weights = table.take(present), weights[present]
        columns = Columns(table.names, len(table.columns))
        features = build_features(self, table, columns, weights)
        dtypes = [column.dtype for column in table.columns]
        self.encoding_ = Encoding(features, table.backend.name, table.names, dtypes)
        self.constraints_ = build_constraints(self, features, columns)
        self.weight_ = build_weights(self.feature_weights, features, columns)
        Z = self._encode(table)
        self.scale_ = build_scale(self.scale, features, Z, weights)
        self.costs_ = MoveCost(self.constraints_, self.weight_, self.scale_)
        self.feature_kinds_ = {feature.name: feature.kind for feature in features}
        self.categories_ = {
            f.name: list(f.categories) for f in features if hasattr(f, "categories")
        }
        return Z

    def transform(self, X: Any) -> np.ndarray:
        """Write rows as floats, one column a feature.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows with the columns seen in fit.

        Returns
        -------
        Z : ndarray of float64, shape (n_samples, n_features)
            Numbers as they are, categories as positions in `categories_`, missing values as
            NaN, categories that fit did not see as -1; linked columns of which some are missing
            as -3 and below.
        """
        check_is_fitted(self)
        return self._encode(self._tabulate(X))

    def inverse_transform(self, X: Any, reference: Any = None) -> Any:
        """Write encoded rows as rows of the container, dtypes and columns seen in fit.

        Parameters
        ----------
        X : array-like or DataFrame of float, shape (n_samples, n_features)
            Encoded rows; as a DataFrame, its index is kept.
        reference : array-like or DataFrame of shape (n_samples, n_columns), default=None
            The rows that they come from: says what an unseen category was, and how a missing
            value was written, and gives its index.

        Returns
        -------
        X_rows : ndarray or DataFrame of shape (n_samples, n_columns)

        Raises
        ------
        ValueError
            If a code needs a reference and none is given, or is none of this space.
        """
        check_is_fitted(self)
        Z = self._checked_codes(X)
        if reference is None:
            decoded = self.encoding_.decoder()(Z)
            index = X.index if backend_of(X).name == "pandas" else None
            return replace(decoded, index=index).container()
        origin = self._tabulate(reference)
        if origin.n_rows != len(Z):
            raise ValueError(
                f"reference has {origin.n_rows} rows, but there are {len(Z)} encoded ones."
            )
        self._check_kept(Z, self._encode(origin))
        return self._restore(self.encoding_.decoder(origin)(Z), reference)

    def project(self, Z: Any, reference: Any) -> np.ndarray:
        """Find the nearest encoded rows that the constraints allow.

        Parameters
        ----------
        Z : array-like of float, shape (n_samples, n_features)
            Encoded rows.
        reference : array-like of float, shape (n_samples, n_features)
            The encoded rows that they are to replace.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_features)
            Nearest in each feature by itself. A feature that has no allowed value keeps the
            reference's. Where an implication is not kept, its second feature rises as much as is
            needed; if it cannot, the first rises less. Projecting twice changes nothing.

        See Also
        --------
        project_rows : The same on rows.
        """
        check_is_fitted(self)
        Z, reference = np.asarray(Z, dtype=float), np.asarray(reference, dtype=float)
        expected = (len(reference), len(self.scale_))
        if Z.shape != expected or reference.shape != expected:
            raise ValueError(
                f"project takes encoded rows of shape (n_samples, {expected[1]}), one reference "
                f"each; got shapes {Z.shape} and {reference.shape}."
            )
        return self.constraints_.project(Z, reference)

    def project_rows(self, X: Any, reference: Any) -> Any:
        """Find the nearest rows that the constraints allow.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows.
        reference : array-like or DataFrame of shape (n_samples, n_columns)
            The rows that they are to replace.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_columns)
            In the container of `reference`, with its index.
        """
        Z, R, origin = self._pair(X, reference)
        projected = self.constraints_.project(Z, R)
        return self._restore(self.encoding_.decoder(origin)(projected), reference)

    def feasible(self, X: Any, X_cf: Any) -> np.ndarray:
        """Tell which moves the constraints allow.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows.
        X_cf : array-like or DataFrame of shape (n_samples, n_columns)
            The rows that are to replace them.

        Returns
        -------
        ndarray of bool, shape (n_samples,)
        """
        Z_cf, Z, _ = self._pair(X_cf, X)
        return self.constraints_.feasible(Z_cf, Z)

    def cost(
        self, X: Any, X_cf: Any, *, metric: str = "cityblock", exponent: float = 1
    ) -> np.ndarray:
        """Cost of each move.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows.
        X_cf : array-like or DataFrame of shape (n_samples, n_columns)
            The rows that are to replace them.
        metric : {"cityblock", "euclidean", "sqeuclidean"}, default="cityblock"
            With d the scaled differences and w the weights: sum w d, its root of squares, or
            sum w d**2.
        exponent : float, default=1
            Power of the whole.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            Infinite where the constraints forbid the move.
        """
        _check_metric(metric, exponent)
        Z_cf, Z, _ = self._pair(X_cf, X)
        return self.costs_.between(Z_cf, Z, metric, exponent)

    def pairwise_cost(
        self, X: Any, Y: Any, *, metric: str = "cityblock", exponent: float = 1
    ) -> np.ndarray:
        """Cost of moving each row of X to each row of Y.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples_X, n_columns)
            Rows to move from.
        Y : array-like or DataFrame of shape (n_samples_Y, n_columns)
            Rows to move to.
        metric : {"cityblock", "euclidean", "sqeuclidean"}, default="cityblock"
            As in `cost`.
        exponent : float, default=1
            Power of the whole.

        Returns
        -------
        ndarray of float64, shape (n_samples_X, n_samples_Y)
            Infinite where the constraints forbid the move.
        """
        check_is_fitted(self)
        _check_metric(metric, exponent)
        unseen: list[dict] = [
            {} for _ in self.scale_
        ]  # shared: each unseen category differs from the others
        Z, W = (self._encode(self._tabulate(rows), unseen=unseen) for rows in (X, Y))
        return self.costs_.pairwise(Z, W, metric, exponent)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the encoded columns: the columns', and one for each group.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Column names, where fit saw none; otherwise they must be those seen in fit.

        Returns
        -------
        ndarray of str, shape (n_features,)
        """
        check_is_fitted(self)
        names = checked_input_features(self, input_features)
        features = self.encoding_.features
        return np.array(
            [str(f.name) if len(f.positions) > 1 else names[f.positions[0]] for f in features],
            dtype=object,
        )

    def _checked_table(self, X, reset):
        """Check a container and its column names, and split it into columns."""
        X = checked_container(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return Table.of(X)

    def _tabulate(self, X):
        """Check rows against those of fit, and split them into columns of fit's container."""
        return self.encoding_.conform(self._checked_table(X, reset=False))

    def _encode(self, table, origin=None, unseen=None):
        """Encode rows, and refuse infinite values."""
        Z = self.encoding_.encode(table, origin, unseen=unseen)
        self.encoding_.check_finite(Z, "X")
        return Z

    def _pair(self, X, reference):
        """Encode rows and the reference rows that they go with, one by one."""
        check_is_fitted(self)
        table, origin = self._tabulate(X), self._tabulate(reference)
        if table.n_rows != origin.n_rows:
            raise ValueError(
                f"Each row needs its reference row: got {table.n_rows} and {origin.n_rows} rows."
            )
        return self._encode(table, origin), self._encode(origin), origin

    def _checked_codes(self, X):
        """Check encoded rows that come from outside: their number of columns, their codes."""
        Z = np.asarray(X, dtype=np.float64)
        if Z.ndim != 2 or Z.shape[1] != len(self.scale_):
            raise ValueError(
                f"Encoded rows must have {len(self.scale_)} columns, one a feature; got shape "
                f"{Z.shape}."
            )
        for j in self.constraints_.categorical:
            feature, codes = self.encoding_.features[j], Z[:, j]
            wrong = (codes != np.rint(codes)) | (codes >= feature.n_categories) | (codes < UNSEEN)
            wrong &= ~np.isnan(codes) & ~np.isin(codes, feature.gap_codes)
            if wrong.any():
                raise ValueError(
                    f"{codes[wrong][0]} is no code of {feature.name!r}, which has categories 0 to "
                    f"{feature.n_categories - 1}; project rows before decoding them."
                )
        for j in self.constraints_.numeric:
            feature = self.encoding_.features[j]
            wrong = np.flatnonzero(~feature.holds(Z[:, j]))
            if len(wrong):
                raise ValueError(
                    f"{Z[wrong[0], j]:g} is no value of {feature.name!r}, whose dtype is "
                    f"{feature.dtype}; project rows before decoding them."
                )
        return Z

    def _check_kept(self, Z, reference):
        """What only the reference rows can say must be what they say."""
        kept = np.isnan(Z)
        kept[:, self.constraints_.categorical] |= Z[:, self.constraints_.categorical] < 0
        other = kept & ~same(Z, reference)
        if other.any():
            names = [self.encoding_.features[j].name for j in np.flatnonzero(other.any(axis=0))]
            raise ValueError(
                "Encoded rows hold missing values, or categories that were not seen in fit, where "
                f"their reference rows do not, in column(s) {names}."
            )

    def _restore(self, table, like):
        """Put a table of fit's container into the container of the rows that a user gave."""
        if self.encoding_.backend_name == "array":
            return table.container()
        return table.like(Table.of(checked_container(like))).container()

    def __sklearn_tags__(self):
        """Say that categories, text and missing values are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def checked_input_features(estimator, input_features):
    """Column names: those given, those seen in fit, or x0, x1, ….

    Raises
    ------
    ValueError
        If the names given are not those seen in fit, or not as many.
    """
    seen = getattr(estimator, "feature_names_in_", None)
    if input_features is None:
        if seen is not None:
            return seen
        return np.array([f"x{j}" for j in range(estimator.n_features_in_)], dtype=object)
    names = np.asarray(input_features, dtype=object)
    if seen is not None and not np.array_equal(names, seen):
        raise ValueError("input_features is not equal to feature_names_in_")
    if len(names) != estimator.n_features_in_:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({estimator.n_features_in_}), got {len(names)}"
        )
    return names


def _check_metric(metric, exponent):
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
    if not isinstance(exponent, Real) or not float(exponent) > 0:
        raise ValueError(f"exponent must be a positive number, got {exponent!r}.")
