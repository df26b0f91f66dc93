"""BaseCounterfactual: the fit, transform, explain and score of every explainer."""

import warnings
from abc import ABCMeta, abstractmethod
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._classifiers import codes_of, is_torch_module, read_classifier, unfrozen
from skcf._compat import HasMethods, check_y, fit_context, get_output_config
from skcf._exceptions import InvalidCounterfactualWarning
from skcf._fitting import unchanged_on_failure
from skcf._oracle import Oracle, naming_missing_columns
from skcf._result import STATUSES, CounterfactualResult
from skcf._targets import OTHER, TargetRows
from skcf.space import FeatureSpace
from skcf.space._constraints import same
from skcf.space._containers import BACKENDS, Table, backend_of, checked_container
from skcf.space._feature_space import checked_input_features

__all__ = ["BaseCounterfactual"]

LARGEST_DISAGREEMENT = 0.05


class BaseCounterfactual(TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of the explainers.

    It checks rows and labels, reads the classifier, settles which rows need a
    counterfactual and what became of them. An explainer adds what it learns (`_learn`) and
    how it searches (`_search`), both on encoded rows.

    Parameters
    ----------
    estimator : object, default=None
        The classifier to explain, fitted: a scikit-learn classifier or Pipeline, a torch
        module that returns logits for encoded rows, a skorch net, or a function of rows that
        returns labels or scores of shape (n_samples, n_classes). None: a gradient-boosting
        surrogate is trained on what ``fit`` is given.
    target_class : object, default=None
        The class that rows are moved to. ``"other"``: each row leaves its own class for the
        nearest other one. None: ``classes_[1]`` of two classes, ``"other"`` with more.
    feature_space : FeatureSpace, default=None
        What may change, and at what cost. None: everything, with kinds read off the data.
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["predict"]), callable, None],
        "target_class": "no_validation",
        "feature_space": [FeatureSpace, None],
    }

    def __init__(self, estimator=None, *, target_class=None, feature_space=None):
        self.estimator = estimator
        self.target_class = target_class
        self.feature_space = feature_space

    @abstractmethod
    def _learn(self, Z, labels, oracle):
        """Learn from encoded training rows.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        labels : ndarray of int, shape (n_rows,)
            The class codes that the classifier gives them.
        oracle : Oracle
            Answers what the classifier says; its rows are these.
        """

    def _cost_metric(self):
        """How the cost of a counterfactual is measured; an explainer may have a parameter."""
        return "cityblock"

    @abstractmethod
    def _search(self, Z, own, rows, oracle):
        """Find counterfactuals of rows that need one.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows, none of them in the target class.
        own : ndarray of int, shape (n_rows,)
            Their class codes.
        rows : ndarray of int, shape (n_rows,)
            Which of the oracle's rows each of them is.
        oracle : Oracle
            Answers what the classifier says.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            Encoded counterfactuals, or the best attempts.
        """

    @fit_context
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows and what the classifier predicts for them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        y : array-like of shape (n_samples,), default=None
            What the classifier predicts for X (y_pred). None: it is asked.

        Returns
        -------
        self : object
            Unchanged if the fit fails or is interrupted.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError
            If X or y cannot be used, or no row is predicted as the target class.
        """
        with unchanged_on_failure(self):
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        """Set every fitted attribute; `fit` takes them back if this fails."""
        X = checked_container(X)
        validate_data(self, X, reset=True, skip_check_array=True)
        y = self._checked_y(X, y)
        space = FeatureSpace() if self.feature_space is None else self.feature_space
        self.feature_space_ = clone(space).fit(X)
        table = self.feature_space_._tabulate(X)
        self.estimator_ = self._usable_estimator(X, y)
        oracle, labels = self._read(table, y)
        self.classes_ = self._reader.classes
        self._target_code = self._resolved_target()
        self._warn_of_disagreement(y, labels)
        Z = self.feature_space_._encode(table)
        self._check_classes_present(labels)
        self._targets = TargetRows(Z, labels, self.feature_space_)
        self._learn(Z, labels, oracle)

    def _checked_y(self, X, y):
        if y is None:
            if self.estimator is None:
                raise ValueError(
                    f"This {type(self).__name__} estimator requires y to be passed, but the target "
                    "y is None: without an estimator to explain, a surrogate is trained on y."
                )
            return None
        y = check_y(y, estimator=self)
        check_consistent_length(X, y)
        return y

    def _usable_estimator(self, X, y):
        """The classifier to explain, as it is, or a surrogate where there is none."""
        if self.estimator is None:
            return _surrogate(X, y, self.feature_space, getattr(self, "random_state", None))
        if not _is_fitted(self.estimator):
            raise NotFittedError(
                f"The classifier to explain, {self.estimator!r}, is not fitted. Fit it before the "
                "explainer: it is explained, never trained. In a parameter grid, whose values are "
                "cloned, wrap it in sklearn.frozen.FrozenEstimator."
            )
        return self.estimator

    def _read(self, table, y):
        """Settle how the classifier is read, and ask it about the training rows."""
        with naming_missing_columns(table):
            self._reader = read_classifier(self.estimator_, self.feature_space_, table, y)
        oracle = Oracle(self._reader, self.feature_space_, table)
        return oracle, oracle.origin_labels()

    def _resolved_target(self):
        """Code of the target class, or `OTHER`."""
        wanted, classes = self.target_class, self.classes_
        if wanted is None:
            return 1 if len(classes) == 2 else OTHER
        code = int(codes_of(np.array([wanted]), classes)[0]) if np.ndim(wanted) == 0 else -1
        if code >= 0:
            if isinstance(wanted, str) and wanted == "other":
                warnings.warn(
                    "target_class='other' is taken as the class of that name, not as any other "
                    "class than a row's own.",
                    UserWarning,
                    stacklevel=5,
                )
            return code
        if isinstance(wanted, str) and wanted == "other":
            return OTHER
        raise ValueError(
            f"target_class={wanted!r} is not a class of the classifier: expected 'other' or one of "
            f"{classes.tolist()}."
        )

    def _warn_of_disagreement(self, y, labels):
        if y is None or self.estimator is None:
            return
        share = np.mean(codes_of(y, self.classes_) != labels)
        if share > LARGEST_DISAGREEMENT:
            warnings.warn(
                f"The classifier disagrees with y on {share:.0%} of the rows. y should be what it "
                "predicts for X; it may be another model's, or X may be in another space.",
                UserWarning,
                stacklevel=5,
            )

    def _check_classes_present(self, labels):
        """Refuse to fit where there is nowhere to go."""
        if np.any(labels < 0):
            raise ValueError(
                "The classifier predicts labels that are none of its classes_, "
                f"{self.classes_.tolist()}."
            )
        present = np.unique(labels)
        if self._target_code == OTHER and len(present) < 2:
            raise ValueError(
                "The classifier puts all rows in 1 class, "
                f"{self.classes_.tolist()[present[0]]!r}: there is no other class to move them to."
            )
        if self._target_code != OTHER and self._target_code not in present:
            raise ValueError(
                "The classifier puts no row of X in the target class "
                f"{self.classes_.tolist()[self._target_code]!r}: fit on rows of which it accepts "
                "some."
            )

    def transform(self, X: Any) -> Any:
        """Return one counterfactual a row.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.

        Returns
        -------
        X_cf : ndarray or DataFrame of shape (n_samples, n_columns)
            With the columns and index of X, and the dtypes seen in fit. Rows already predicted as
            the target are unchanged; where no counterfactual was found, the best attempt.

        Warns
        -----
        InvalidCounterfactualWarning
            Once, if rows are left without a valid counterfactual.
        """
        check_is_fitted(self)
        result = self._explain(X)
        _warn_of_failures(result, stacklevel=4)  # set_output wraps this method
        index = X.index if backend_of(X).name == "pandas" else None
        return self._in_output_container(result.X_cf, index)

    def explain(self, X: Any) -> CounterfactualResult:
        """Return counterfactuals with what is known of each.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.

        Returns
        -------
        CounterfactualResult
            ``X_cf`` is what `transform` returns; ``status``, ``cost``, ``n_changes`` and more
            are given for each row.

        Warns
        -----
        InvalidCounterfactualWarning
            Once, if rows are left without a valid counterfactual.
        """
        check_is_fitted(self)
        result = self._explain(X)
        _warn_of_failures(result, stacklevel=3)
        return result

    def score(self, X: Any, y: Any = None) -> float:
        """Share of the rows that needed a counterfactual that got a valid one.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        y : None
            Ignored.

        Returns
        -------
        float
            Between 0 and 1; 1.0 if no row needed one.
        """
        check_is_fitted(self)
        return self._explain(X).summary()["validity"]

    def _explain(self, X):
        """Do the work of `explain`, without its warning; stores nothing on the estimator."""
        X = checked_container(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        space = self.feature_space_
        origin = space._tabulate(X)
        Z = space._encode(origin)
        oracle = Oracle(self._reader, space, origin)
        own = oracle.origin_labels()
        needed = np.ones(len(Z), bool) if self._target_code == OTHER else own != self._target_code
        rows = np.flatnonzero(needed & ~space.constraints_.blocked(Z).any(axis=1))
        Z_cf = Z.copy()
        if len(rows):
            found = self._search(Z[rows], own[rows], rows, oracle)
            Z_cf[rows] = space.constraints_.project(found, Z[rows])
        return self._judged(X, origin, Z, Z_cf, own, needed, oracle)

    def _judged(self, X, origin, Z, Z_cf, own, needed, oracle):
        """Ask the classifier about the very rows that are returned, and say what became of each."""
        space = self.feature_space_
        moved = ~same(Z, Z_cf).all(axis=1)
        table = oracle.written(Z_cf, np.arange(len(Z)), keep=~moved)
        y_cf = own.copy()
        if moved.any():
            y_cf[moved] = oracle.labels_of(table.take(np.flatnonzero(moved)), np.flatnonzero(moved))
        reached = y_cf != own if self._target_code == OTHER else y_cf == self._target_code
        reached &= y_cf >= 0
        status = np.where(needed, np.where(reached, "found", "not_found"), "already_target")
        lost = np.flatnonzero(status == "not_found")
        if len(lost):
            allowed = self._targets.any_allowed(Z[lost], own[lost], self._target_code)
            status[lost[~allowed]] = "infeasible"
        cost = np.where(needed, np.nan, 0.0)
        found = np.flatnonzero(status == "found")
        cost[found] = space.costs_.between(Z_cf[found], Z[found], self._cost_metric())
        return CounterfactualResult(
            X=X.clone() if backend_of(X).name == "polars" else X.copy(),
            X_cf=space._restore(table, X),
            y=oracle.names_of(own),
            y_cf=oracle.names_of(y_cf),
            status=status,
            cost=cost,
            n_changes=np.sum(~same(Z, Z_cf), axis=1),
            n_queries=oracle.n_queries,
        )

    def _in_output_container(self, X_cf, index):
        """Follow ``set_output``: a typed frame where one is asked for."""
        wanted = get_output_config("transform", self)["dense"]
        if wanted in ("default", backend_of(X_cf).name):
            return X_cf
        frame = Table.of(X_cf).converted(BACKENDS[wanted], list(self.get_feature_names_out()))
        return replace(frame, index=index if wanted == "pandas" else None).container()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of a counterfactual: those of the rows.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Column names, where fit saw none; otherwise they must be those seen in fit.

        Returns
        -------
        ndarray of str, shape (n_features_in_,)
        """
        check_is_fitted(self)
        return checked_input_features(self, input_features)

    def __sklearn_clone__(self):
        """Clone the parameters, but keep a fitted classifier: it is what is explained."""
        params = self.get_params(deep=False)
        estimator = params.pop("estimator")
        copies = {name: clone(value, safe=False) for name, value in params.items()}
        copy = type(self)(estimator=_kept(estimator), **copies)
        for private in ("_sklearn_output_config", "_metadata_request"):
            if hasattr(self, private):
                setattr(copy, private, dict(getattr(self, private)))
        return copy

    def __sklearn_tags__(self):
        """Say what input is taken, and that y is needed where a surrogate is trained."""
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = _takes_missing(self.estimator)
        tags.target_tags.required = self.estimator is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _warn_of_failures(result, stacklevel):
    """Warn once, where the user called, if rows are left without a valid counterfactual."""
    failed = {status: int(np.sum(result.status == status)) for status in STATUSES[2:]}
    if any(failed.values()):
        reasons = ", ".join(f"{count} {status}" for status, count in failed.items() if count)
        warnings.warn(
            f"{sum(failed.values())} of {len(result.status)} rows got no valid counterfactual "
            f"({reasons}); explain(X).status tells which.",
            InvalidCounterfactualWarning,
            stacklevel=stacklevel,
        )


def _surrogate(X, y, space, random_state):
    """A gradient-boosting classifier trained to imitate y."""
    check_classification_targets(y)
    if len(np.unique(y)) < 2:
        raise ValueError(
            "y contains 1 class, but a surrogate classifier needs at least 2: pass what the "
            "classifier predicts for rows of which it accepts some."
        )
    # leaves of 20 rows, scikit-learn's default, are too coarse for a few dozen rows
    smallest_leaf = int(np.clip(len(y) // 20, 1, 20))
    boosting = HistGradientBoostingClassifier(
        min_samples_leaf=smallest_leaf, early_stopping=False, random_state=random_state
    )
    encoder = FeatureSpace() if space is None else clone(space)
    # whatever the global setting is when it is asked
    encoder.set_output(transform="default")
    return make_pipeline(encoder, boosting).fit(X, y)


def _is_fitted(estimator):
    """Whether a classifier can be asked; functions and torch modules always can."""
    estimator = unfrozen(estimator)
    if is_torch_module(estimator) or not hasattr(estimator, "fit"):
        return True
    if not hasattr(estimator, "__sklearn_tags__"):
        return True  # not one that scikit-learn can tell of
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _kept(estimator):
    """A classifier that a clone may share: frozen if it is fitted, a clone of it if not."""
    is_estimator = hasattr(estimator, "fit") and hasattr(estimator, "get_params")
    if estimator is None or is_torch_module(estimator) or not is_estimator:
        return estimator
    if isinstance(estimator, FrozenEstimator):
        return estimator
    return FrozenEstimator(estimator) if _is_fitted(estimator) else clone(estimator)


def _takes_missing(estimator):
    """Whether a classifier says that it takes missing values; the surrogate does."""
    if estimator is None:
        return True
    estimator = unfrozen(estimator)
    if isinstance(estimator, type) or not hasattr(estimator, "__sklearn_tags__"):
        return False
    return get_tags(estimator).input_tags.allow_nan
