"""How different several counterfactuals of one row are from each other."""

from typing import Any, Literal

import numpy as np

from skcf.metrics._rows import average_of, check_average, read_pairs

__all__ = ["dpp_diversity", "pairwise_diversity"]


def pairwise_diversity(
    X: Any,
    X_cf: Any = None,
    *,
    row: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Mean distance of any two counterfactuals of one row ([1]_, section 4, as diversity).

    ``sum_{i < j} d(x'_i, x'_j) / (k (k - 1) / 2)`` with d the L1 distance on the scaled space, as
    in `proximity`.

    Range 0 to infinity, the more the better. A row with fewer than two counterfactuals has no
    value. Cost: quadratic in the number of counterfactuals of one row.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, repeated for each of their counterfactuals, or what
        ``explain(X, n_counterfactuals=k)`` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        The counterfactuals; None with a result.
    row : array-like of int, shape (n_samples,), default=None
        Which row each of them is for; a result knows it.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off X.
    status : array-like of str or bool, default=None
        What became of each.
    average : {"mean", "median"} or None, default="mean"
        None: one value for each distinct value of `row`, in their order.

    Returns
    -------
    float, or ndarray of float64 of shape (n_distinct_rows,)

    References
    ----------
    .. [1] R. K. Mothilal, A. Sharma, C. Tan. "Explaining machine learning classifiers through
       diverse counterfactual explanations." FAT* 2020.

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import pairwise_diversity
    >>> space = FeatureSpace().fit([[0.0, 0.0], [4.0, 4.0]])
    >>> X, X_cf = [[0.0, 0.0]] * 3, [[4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]
    >>> pairwise_diversity(X, X_cf, row=[0, 0, 0], feature_space=space)  # 2, 1 and 1
    1.3333333333333333
    """
    check_average(average)

    def mean_distance(distances):
        return distances[np.triu_indices_from(distances, 1)].mean()

    return _by_row(mean_distance, X, X_cf, row, feature_space, status, average)


def dpp_diversity(
    X: Any,
    X_cf: Any = None,
    *,
    row: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Determinant of the similarities of the counterfactuals of one row ([1]_, Eq. 2).

    ``det K`` with ``K_ij = 1 / (1 + d(x'_i, x'_j))`` and d the L1 distance on the scaled space, as
    in `proximity`: a determinantal point process draws diverse sets more often.

    Range 0 (two of them are equal) to 1 (all are far apart), the more the better; compare only
    sets of one size, since it falls with it. A row with fewer than two counterfactuals has no
    value. Cost: quadratic in the number of counterfactuals of one row, and a determinant.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, repeated for each of their counterfactuals, or what
        ``explain(X, n_counterfactuals=k)`` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        The counterfactuals; None with a result.
    row : array-like of int, shape (n_samples,), default=None
        Which row each of them is for; a result knows it.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off X.
    status : array-like of str or bool, default=None
        What became of each.
    average : {"mean", "median"} or None, default="mean"
        None: one value for each distinct value of `row`, in their order.

    Returns
    -------
    float, or ndarray of float64 of shape (n_distinct_rows,)

    References
    ----------
    .. [1] R. K. Mothilal, A. Sharma, C. Tan. "Explaining machine learning classifiers through
       diverse counterfactual explanations." FAT* 2020.

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import dpp_diversity
    >>> space = FeatureSpace().fit([[0.0], [4.0]])
    >>> dpp_diversity([[0.0]] * 2, [[0.0], [4.0]], row=[0, 0], feature_space=space)  # 1 - 1/2**2
    0.75
    """
    check_average(average)

    def determinant(distances):
        # similarities by L1 are positive definite (a Laplace mixture): rounding alone is negative
        return max(np.linalg.det(1 / (1 + distances)), 0.0)

    return _by_row(determinant, X, X_cf, row, feature_space, status, average)


def _by_row(measure, X, X_cf, row, feature_space, status, average):
    """Measure the counterfactuals of each row by the distances between them."""
    pairs = read_pairs(X, X_cf, feature_space, status)
    row = _checked_row(pairs, row)
    Z_cf, of = pairs.codes[1], row[pairs.places]
    distinct = np.unique(row)
    values = np.full(len(distinct), np.nan)
    for i, label in enumerate(distinct):
        own = Z_cf[of == label]
        if len(own) > 1:
            values[i] = measure(_distances(pairs.space, own))
    return values if average is None else average_of(values[~np.isnan(values)], average)


def _checked_row(pairs, row):
    if row is None:
        if pairs.result is None:
            raise ValueError("row is missing: it says which row each counterfactual is for.")
        return pairs.result.row
    row = np.asarray(row)
    if row.shape != pairs.found.shape:
        raise ValueError(f"row must have shape {pairs.found.shape}, got {row.shape}.")
    return row


def _distances(space, Z):
    """L1 distance of all pairs of some encoded rows, whether or not a move is allowed."""
    first, second = np.indices((len(Z), len(Z))).reshape(2, -1)
    return space.costs_.shares(Z[first], Z[second]).sum(axis=1).reshape(len(Z), len(Z))
