"""What every metric is about: pairs of rows, which of them count, and their average."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcf._result import STATUSES, CounterfactualResult
from skcf.space import FeatureSpace
from skcf.space._containers import Table, checked_container
from skcf.space._features import NumericFeature, read_floats

__all__ = [
    "Pairs",
    "average_of",
    "check_average",
    "check_positive",
    "checked_space",
    "encode",
    "read_pairs",
]


@dataclass(frozen=True)
class Pairs:
    """Rows and their counterfactuals.

    Attributes
    ----------
    space : FeatureSpace
        Kinds, scales and constraints, fitted.
    before, after : Table
        All rows, and their counterfactuals, in the container that the space knows.
    found : ndarray of bool, shape (n_rows,)
        Which rows have a counterfactual.
    needed : ndarray of bool, shape (n_rows,)
        Which rows needed one.
    result : CounterfactualResult or None
        What they come from.
    """

    space: FeatureSpace
    before: Table
    after: Table
    found: np.ndarray
    needed: np.ndarray
    result: CounterfactualResult | None = None

    @cached_property
    def places(self):
        """Positions of the rows that have a counterfactual."""
        return np.flatnonzero(self.found)

    @cached_property
    def codes(self):
        """Encoded rows that have a counterfactual, and those, both finite or missing."""
        origin = self.before.take(self.places)
        Z = encode(self.space, origin)
        Z_cf = encode(self.space, self.after.take(self.places), origin)
        self.space.encoding_.check_finite(Z)
        self.space.encoding_.check_finite(Z_cf)
        return Z, Z_cf

    def averaged(self, values, average):
        """Average the values of the rows that have a counterfactual, or give one a row.

        Parameters
        ----------
        values : ndarray of float64, shape (n_found,)
            Their values, in their order.
        average : {"mean", "median"} or None
            None: one value a row, NaN where there is no counterfactual.

        Returns
        -------
        float, or ndarray of float64 of shape (n_rows,)
            NaN where no row has one.
        """
        if average is None:
            rows = np.full(len(self.found), np.nan)
            rows[self.places] = values
            return rows
        return average_of(values, average)


def average_of(values, average):
    """Mean or median of some values, NaN of none."""
    if not len(values):
        return float("nan")
    return float(np.mean(values) if average == "mean" else np.median(values))


def check_average(average):
    """Refuse what is no average, before any work.

    Raises
    ------
    ValueError
        If it is none of "mean", "median" and None.
    """
    if average not in ("mean", "median", None):
        raise ValueError(f"average must be 'mean', 'median' or None, got {average!r}.")


def read_pairs(X, X_cf, feature_space, status, *, reference=None):
    """Check what a metric is given; the one place that takes a `CounterfactualResult` apart.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows, or what `explain` returned.
    X_cf : array-like or DataFrame, or None
        Their counterfactuals; None with a result.
    feature_space : FeatureSpace or None
        Fitted; None: read off `reference`, else off X.
    status : array-like of str or bool, or None
        What became of each row.
    reference : array-like or DataFrame, optional
        Real rows.

    Returns
    -------
    Pairs
    """
    result = X if isinstance(X, CounterfactualResult) else None
    if result is not None:
        if X_cf is not None:
            raise TypeError("A CounterfactualResult brings its own X_cf: do not give another.")
        X, X_cf = result.X, result.X_cf
        status = result.status if status is None else status
    elif X_cf is None:
        raise TypeError("X_cf is missing: give X and X_cf, or a CounterfactualResult.")
    space = checked_space(feature_space, X if reference is None else reference)
    before, after = space._tabulate(X), space._tabulate(X_cf)
    if before.n_rows != after.n_rows:
        raise ValueError(
            f"X and X_cf must have as many rows, one counterfactual a row: got {before.n_rows} "
            f"and {after.n_rows}."
        )
    return Pairs(space, before, after, *_masks(status, before.n_rows), result)


def checked_space(feature_space, rows):
    """The feature space that is given, which must be fitted, or one that is read off rows."""
    if feature_space is None:
        return FeatureSpace().fit(checked_container(rows))
    if not isinstance(feature_space, FeatureSpace):
        raise TypeError(f"feature_space must be a FeatureSpace or None, got {feature_space!r}.")
    check_is_fitted(feature_space)
    return feature_space


def _masks(status, n_rows):
    """Which rows have a counterfactual, and which needed one."""
    if status is None:
        return np.ones(n_rows, dtype=bool), np.ones(n_rows, dtype=bool)
    status = np.asarray(status)
    if status.shape != (n_rows,):
        raise ValueError(f"status must have shape ({n_rows},), got {status.shape}.")
    if status.dtype == bool:
        return status, np.ones(n_rows, dtype=bool)
    unknown = sorted({str(name) for name in status.tolist()} - set(STATUSES))
    if unknown:
        raise ValueError(f"status must be a mask, or hold {STATUSES}; got {unknown}.")
    return status == "found", status != "already_target"


def encode(space, table, origin=None, unseen=None):
    """Encode rows as the space does, but take any numbers: judging them is up to the metric.

    The space refuses fractions in a column of integers, which other tools may well return.

    Parameters
    ----------
    space : FeatureSpace
        Fitted.
    table : Table
        Rows.
    origin, unseen : Table, list of dict, optional
        As `Encoding.encode` takes them.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)
    """
    rows, features = np.arange(table.n_rows), space.encoding_.features
    columns = [
        feature.snap(read_floats(table, feature.positions[0]))
        if isinstance(feature, NumericFeature)
        else feature.encode(table, origin, rows, codes)
        for feature, codes in zip(features, unseen or [None] * len(features), strict=True)
    ]
    return np.column_stack(columns)


def check_positive(value, name):
    """Refuse what is no whole number above zero."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number above zero, got {value!r}.")
