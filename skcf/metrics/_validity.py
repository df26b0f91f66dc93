"""How many rows got a counterfactual, and how far beyond the boundary it is."""

from typing import Any, Literal

import numpy as np

from skcf.metrics._answers import Answers
from skcf.metrics._rows import check_average, encode, read_pairs

__all__ = ["coverage", "margin", "validity"]


def validity(
    X: Any,
    X_cf: Any = None,
    *,
    estimator: Any = None,
    target_class: Any = None,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Share of the rows that needed a counterfactual whose counterfactual is valid.

    ``sum_i [f(x'_i) is the target] / n`` over the n rows with f(x_i) elsewhere [1]_.

    Range 0 to 1, the more the better; 1.0 if no row needed one. Rows without a counterfactual
    count as not valid. Cost: the classifier is asked once about X and once about X_cf.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    estimator : object, default=None
        The classifier, asked anew. None: what the status says is believed.
    target_class : object, default=None
        Label that the rows were to get; as explainers take it. Only with `estimator`.
    feature_space : FeatureSpace, default=None
        Fitted. None: read off X.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If neither `estimator` nor a status says what is valid.

    References
    ----------
    .. [1] R. K. Mothilal, A. Sharma, C. Tan. "Explaining machine learning classifiers through
       diverse counterfactual explanations." FAT* 2020, section 4.

    Examples
    --------
    >>> from skcf.metrics import validity
    >>> X, X_cf = [[0.0], [1.0], [5.0]], [[4.0], [2.0], [5.0]]
    >>> def accepts(X):
    ...     return X[:, 0] > 3
    >>> validity(X, X_cf, estimator=accepts, target_class=True)
    0.5
    >>> validity(X, X_cf, status=["found", "not_found", "already_target"])
    0.5
    """
    pairs = read_pairs(X, X_cf, feature_space, status)
    if estimator is None:
        if status is None and pairs.result is None:
            raise ValueError("Give estimator, or the status of each row, to say what is valid.")
        return _share(pairs.found, pairs.needed)
    answers = Answers(estimator, pairs, target_class)
    valid = np.zeros(len(pairs.found), dtype=bool)
    valid[pairs.places] = answers.valid(pairs.after.take(pairs.places), pairs.places)
    return _share(valid, answers.needed)


def coverage(X: Any, X_cf: Any = None, *, feature_space: Any = None, status: Any = None) -> float:
    """Share of the rows that needed a counterfactual that have a finite, feasible one.

    Feasible: the constraints of the feature space allow the move (`FeatureSpace.feasible`);
    finite: no infinite value, and none missing that the row itself does not miss. Whether it is
    valid is not asked, see `validity`.

    Range 0 to 1, the more the better; 1.0 if no row needed one. Rows without a counterfactual
    count as not covered. Cost: linear in the number of values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    feature_space : FeatureSpace, default=None
        Fitted. None: read off X, which knows no constraints beyond kinds and categories.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import coverage
    >>> X, X_cf = [[20.0], [30.0], [40.0]], [[25.0], [28.0], [float("inf")]]
    >>> space = FeatureSpace(change_direction={0: +1}).fit(X)
    >>> coverage(X, X_cf, feature_space=space)
    0.3333333333333333
    """
    pairs = read_pairs(X, X_cf, feature_space, status)
    origin = pairs.before.take(pairs.places)
    Z = encode(pairs.space, origin)
    Z_cf = encode(pairs.space, pairs.after.take(pairs.places), origin)
    finite = ~(np.isinf(Z_cf) | np.isinf(Z)).any(axis=1)
    covered = np.zeros(len(pairs.found), dtype=bool)
    feasible = pairs.space.constraints_.feasible(Z_cf[finite], Z[finite])
    covered[pairs.places[finite]] = feasible
    return _share(covered, pairs.needed)


def margin(
    X: Any,
    X_cf: Any = None,
    *,
    estimator: Any,
    target_class: Any = None,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Confidence of the counterfactuals beyond the decision boundary, on the logit scale.

    ``s_t(x') - max_{c != t} s_c(x')`` with the target t and the scores s: log-probabilities or
    decision values (in a binary problem, the logit). With ``target_class="other"``, the best
    score of another class less that of the row's own. Only labels known: +1 and -1.

    Any real number: above zero beyond the boundary, so that the more, the safer is the answer
    against small changes; not the better, since a larger margin costs effort. Rows without a
    counterfactual, and rows that needed none by the status, have no value. Cost: the classifier
    is asked once about X and once about X_cf.

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
        Fitted. None: read off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skcf.metrics import margin
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
    >>> model = LogisticRegression().fit(X, y)
    >>> far = margin([[0.0]], [[3.0]], estimator=model)
    >>> near = margin([[0.0]], [[2.0]], estimator=model)
    >>> round(far / near, 3)
    3.0
    """
    check_average(average)
    pairs = read_pairs(X, X_cf, feature_space, status)
    answers = Answers(estimator, pairs, target_class)
    values = answers.margins(pairs.after.take(pairs.places), pairs.places)
    return pairs.averaged(values, average)


def _share(good, needed):
    """Share of those that needed one; 1.0 if none did."""
    return float(np.mean(good[needed])) if needed.any() else 1.0
