"""How far the counterfactuals are from the rows, and in how many features."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from sklearn.base import clone

from skcf.metrics._answers import Answers
from skcf.metrics._rows import check_average, checked_space, encode, read_pairs
from skcf.space._constraints import same

__all__ = ["gower_distance", "mad_distance", "proximity", "redundancy", "sparsity"]

NORMS = ("l1", "l2", "linf")


def proximity(
    X: Any,
    X_cf: Any = None,
    *,
    norm: Literal["l1", "l2", "linf"] = "l1",
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Distance between rows and their counterfactuals, on the scaled space.

    With d_j the scaled difference of feature j (0 or 1 for categories, steps over the number of
    steps for ordinal ones) and w_j its weight: ``sum w d`` (l1), ``sqrt(sum w d**2)`` (l2) or
    ``max w d`` (linf). For moves that the constraints allow, l1 and l2 are `FeatureSpace.cost`
    in its metrics "cityblock" and "euclidean".

    Range 0 to infinity, the less the better. Rows without a counterfactual are left out. Cost:
    linear in the number of values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    norm : {"l1", "l2", "linf"}, default="l1"
        How the features' differences add up.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import proximity
    >>> space = FeatureSpace().fit([[0.0, 0.0], [10.0, 5.0]])
    >>> X, X_cf = [[0.0, 0.0], [1.0, 1.0]], [[3.0, 2.0], [1.0, 2.0]]
    >>> proximity(X, X_cf, feature_space=space, average=None)
    array([0.7, 0.2])
    >>> proximity(X, X_cf, feature_space=space, norm="l2", average=None)
    array([0.5, 0.2])
    """
    check_average(average)
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}.")
    pairs = read_pairs(X, X_cf, feature_space, status)
    if norm == "l1":
        values = _shares(pairs).sum(axis=1)
    elif norm == "l2":
        values = np.sqrt(_shares(pairs, "sqeuclidean").sum(axis=1))
    else:
        values = _shares(pairs).max(axis=1)
    return pairs.averaged(values, average)


def mad_distance(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """L1 distance in median absolute deviations ([1]_, Eq. 4 and 5).

    ``sum_j w_j |x'_j - x_j| / MAD_j``, with ``MAD_j = median_i |x_ij - median_l x_lj|`` over the
    reference rows; where it is zero the standard deviation takes its place, and 1 in a constant
    column. Categories count 0 or 1, ordinal ones the share of the order that they cross.

    Range 0 to infinity, the less the better. Rows without a counterfactual are left out. Cost:
    linear in the number of values, and sorting the reference rows.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame, default=None
        Real rows, of any class, that the deviations are taken from. None: the feature space has
        them, if it was fitted with ``scale="mad"``; without a feature space, X.
    feature_space : FeatureSpace, default=None
        Fitted: kinds and weights. None: read off the reference rows, else off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If nothing says what the deviations are.

    References
    ----------
    .. [1] S. Wachter, B. Mittelstadt, C. Russell. "Counterfactual explanations without opening
       the black box." Harvard Journal of Law & Technology 31 (2018), 841-887.

    Examples
    --------
    >>> from skcf.metrics import mad_distance
    >>> reference = [[0.0], [1.0], [2.0], [3.0], [100.0]]  # median 2, deviations 2 1 0 1 98
    >>> mad_distance([[0.0]], [[3.0]], reference=reference)
    3.0
    """
    check_average(average)
    pairs = _rescaled(X, X_cf, feature_space, status, reference, "mad")
    return pairs.averaged(_shares(pairs).sum(axis=1), average)


def gower_distance(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Gower's distance: the weighted mean of the features' differences over their ranges [1]_.

    ``sum_j w_j d_j / sum_j w_j`` with ``d_j = |x'_j - x_j| / range_j`` for numbers (of a constant
    column, over 1), 0 or 1 for categories, and the share of the order that they cross for ordinal
    ones.

    Range 0 to 1 (beyond it only where values leave the range of the reference rows), the less the
    better. Rows without a counterfactual are left out. Cost: linear in the number of values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame, default=None
        Real rows, of any class, that the ranges are taken from. None: the feature space has
        them, if it was fitted with ``scale="range"``; without a feature space, X.
    feature_space : FeatureSpace, default=None
        Fitted: kinds and weights. None: read off the reference rows, else off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If nothing says what the ranges are.

    References
    ----------
    .. [1] J. C. Gower. "A general coefficient of similarity and some of its properties."
       Biometrics 27 (1971), 857-871.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcf.metrics import gower_distance
    >>> X = pd.DataFrame({"age": [20.0, 40.0], "job": ["cook", "nurse"]})
    >>> X_cf = pd.DataFrame({"age": [30.0, 40.0], "job": ["nurse", "nurse"]})
    >>> gower_distance(X, X_cf, average=None)
    array([0.75, 0.  ])
    """
    check_average(average)
    pairs = _rescaled(X, X_cf, feature_space, status, reference, "range")
    values = _shares(pairs).sum(axis=1) / pairs.space.weight_.sum()
    return pairs.averaged(values, average)


def sparsity(
    X: Any,
    X_cf: Any = None,
    *,
    share: bool = False,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Number of features that the counterfactuals change, or their share.

    ``sum_j [x'_j != x_j]``, or that over the number of features. A one-hot group, and a group of
    linked columns, is one feature. Two missing values are equal; numbers are compared as the
    dtype of their column holds them.

    Range 0 to the number of features (or 1), the less the better. Rows without a counterfactual
    are left out. Cost: linear in the number of values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    share : bool, default=False
        Whether to divide by the number of features.
    feature_space : FeatureSpace, default=None
        Fitted: which columns are one feature. None: each by itself.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import sparsity
    >>> X, X_cf = [[1, 0, 5], [0, 1, 5]], [[0, 1, 5], [0, 1, 6]]
    >>> sparsity(X, X_cf, average=None)
    array([2., 1.])
    >>> space = FeatureSpace(onehot_groups=[[0, 1]]).fit(X)
    >>> sparsity(X, X_cf, feature_space=space, average=None)
    array([1., 1.])
    """
    check_average(average)
    pairs = read_pairs(X, X_cf, feature_space, status)
    changed = ~same(*pairs.codes)
    values = changed.mean(axis=1) if share else changed.sum(axis=1).astype(float)
    return pairs.averaged(values, average)


def redundancy(
    X: Any,
    X_cf: Any = None,
    *,
    estimator: Any,
    target_class: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Number of changes that can be undone, one by one, with the counterfactual still valid.

    ``sum_j [x'_j != x_j and f(x' with x_j) is the target]`` (after [1]_, where it is called
    redundancy). Each change is undone alone, with all others kept: two that can be undone, not
    necessarily both. A change that the constraints do not allow to be undone alone (an
    implication asks for it) does not count. A group of columns that is one feature is undone as
    one.

    Range 0 to the number of changes, the less the better. Rows without a counterfactual, and
    those whose counterfactual is not valid itself, are left out. Cost: the classifier is asked
    about one row for each change, in one call a feature.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    estimator : object
        The classifier.
    target_class : object, default=None
        Label that the rows were to get; as explainers take it.
    feature_space : FeatureSpace, default=None
        Fitted: which columns are one feature, and the constraints. None: read off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    References
    ----------
    .. [1] M. Pawelczyk, S. Bielawski, J. van den Heuvel, T. Richter, G. Kasneci. "CARLA: a Python
       library to benchmark algorithmic recourse and counterfactual explanation algorithms."
       NeurIPS Datasets and Benchmarks 2021.

    Examples
    --------
    >>> from skcf.metrics import redundancy
    >>> def accepts(X):
    ...     return X[:, 0] + X[:, 1] > 3
    >>> X, X_cf = [[0.0, 0.0], [0.0, 2.0]], [[4.0, 1.0], [2.0, 2.0]]
    >>> redundancy(X, X_cf, estimator=accepts, target_class=True, average=None)
    array([1., 0.])
    """
    check_average(average)
    pairs = read_pairs(X, X_cf, feature_space, status)
    answers = Answers(estimator, pairs, target_class)
    valid = answers.valid(pairs.after.take(pairs.places), pairs.places)
    found = np.zeros_like(pairs.found)
    found[pairs.places[valid]] = True
    pairs = replace(pairs, found=found)
    changed = ~same(*pairs.codes)
    needless = np.zeros(changed.shape, dtype=bool)
    for j in range(changed.shape[1]):
        at = np.flatnonzero(changed[:, j])
        needless[at, j] = _can_undo(pairs, answers, j, at)
    return pairs.averaged(needless.sum(axis=1).astype(float), average)


def _can_undo(pairs, answers, j, at):
    """Tell of which counterfactuals one change can be undone."""
    rows = pairs.places[at]
    undone, origin = pairs.after.take(rows), pairs.before.take(rows)
    columns = list(undone.columns)
    for position in pairs.space.encoding_.features[j].positions:
        columns[position] = origin.columns[position]
    undone = replace(undone, columns=columns)
    kept, allowed = (
        pairs.space.constraints_.feasible(encode(pairs.space, table, origin), pairs.codes[0][at])
        for table in (pairs.after.take(rows), undone)
    )
    # a counterfactual that breaks constraints as it is cannot be held to them
    return answers.valid(undone, rows) & (allowed | ~kept)


def _shares(pairs, metric="cityblock"):
    """What each feature adds to the distance of each pair, shape (n_found, n_features)."""
    Z, Z_cf = pairs.codes
    return pairs.space.costs_.shares(Z_cf, Z, metric)


def _rescaled(X, X_cf, feature_space, status, reference, scale):
    """Read pairs on a space whose scale is of one kind, taken from the reference rows."""
    pairs = read_pairs(X, X_cf, feature_space, status, reference=reference)
    space = pairs.space
    if reference is None and feature_space is not None:
        if space.scale != scale:
            raise ValueError(
                f"feature_space was fitted with scale={space.scale!r}: give the reference rows "
                f"that the scale {scale!r} is to be taken from."
            )
        return pairs
    rows = reference if reference is not None else pairs.before.container()
    rescaled = clone(checked_space(space, rows)).set_params(scale=scale).fit(rows)
    return read_pairs(X, X_cf, rescaled, status)
