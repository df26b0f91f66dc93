"""BaseCounterfactual: the fit, transform, explain and score of every explainer."""

import warnings
from abc import ABCMeta, abstractmethod
from copy import deepcopy
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_consistent_length, check_scalar, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skcf._classifiers import codes_of, is_torch_module, read_classifier, unfrozen
from skcf._compat import HasMethods, check_y, checked_sample_weight, fit_context, get_output_config
from skcf._exceptions import InvalidCounterfactualWarning
from skcf._fitting import unchanged_on_failure
from skcf._oracle import Oracle, naming_missing_columns
from skcf._result import STATUSES, CounterfactualResult
from skcf._targets import OTHER, TargetRows, reached, target_code
from skcf.space import FeatureSpace
from skcf.space._constraints import same
from skcf.space._containers import BACKENDS, Table, backend_of, checked_container
from skcf.space._feature_space import checked_input_features

__all__ = ["BaseCounterfactual", "warn_of_failures"]

LARGEST_DISAGREEMENT = 0.05
MOST_COPIES = 100  # of a row, on average, that a surrogate is trained on rather than on weights


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

    _result_type = CounterfactualResult
    _shared_parameters: tuple[str, ...] = (
        "estimator",
    )  # which clones keep fitted: they are explained, not trained
    _surrogate_options: dict = {}  # of gradient boosting
    _use_of_y = "a surrogate is trained on y"  # where there is no estimator

    @abstractmethod
    def _learn(self, Z, labels, oracle, sample_weight):
        """Learn from encoded training rows.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        labels : ndarray of int, shape (n_rows,)
            The class codes that the classifier gives them.
        oracle : Oracle
            Answers what the classifier says; its rows are these.
        sample_weight : ndarray of float64, shape (n_rows,), or None
            How often each row counts; None where the explainer's ``fit`` takes no weights.
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
        Z_cf : ndarray of float64, shape (n_rows, n_features)
            Encoded counterfactuals, or the best attempts.
        details : dict of str to ndarray
            What the explainer's result says of each row beside what every result says.
        """

    def _search_several(self, Z, own, rows, oracle, n_counterfactuals):
        """Find several counterfactuals of each row, for explainers that can.

        Z holds each row `n_counterfactuals` times running; otherwise as `_search`. Where there
        are fewer, the rest are the rows themselves.
        """
        raise ValueError(
            f"{type(self).__name__} finds one counterfactual a row, got "
            f"n_counterfactuals={n_counterfactuals}."
        )

    def _details_of_the_rest(self, n_rows):
        """Details of rows that are not searched for, to be filled in where they are."""
        return {}

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

    def _fit(self, X, y, sample_weight=None):
        """Set every fitted attribute; `fit` takes them back if this fails."""
        X = checked_container(X)
        validate_data(self, X, reset=True, skip_check_array=True)
        y = self._checked_y(X, y)
        if sample_weight is not None:
            X, y, sample_weight = _rows_that_count(X, y, sample_weight)
        space = FeatureSpace() if self.feature_space is None else self.feature_space
        self.feature_space_ = clone(space)
        Z = self.feature_space_._fit_and_encode(X, sample_weight)
        table = self.feature_space_._tabulate(X)
        self.estimator_ = self._usable_estimator(X, y, sample_weight, Z)
        oracle, labels = self._read(table, y)
        self.classes_ = self._reader.classes
        self._target_code = self._resolved_target()
        self._warn_of_disagreement(y, labels)
        self._check_classes_present(labels)
        self._targets = TargetRows(Z, labels, self.feature_space_)
        self._learn(Z, labels, oracle, sample_weight)

    def _checked_y(self, X, y):
        if y is None:
            if self.estimator is None:
                raise ValueError(
                    f"This {type(self).__name__} estimator requires y to be passed, but the target "
                    f"y is None: without an estimator to explain, {self._use_of_y}."
                )
            return None
        y = check_y(y, estimator=self)
        check_consistent_length(X, y)
        return y

    def _usable_estimator(self, X, y, sample_weight, Z):
        """The classifier to explain, as it is, or a surrogate where there is none.

        Z are the rows X, encoded.
        """
        if self.estimator is None:
            seed = getattr(self, "random_state", None)
            options = {"random_state": seed, **self._surrogate_options}
            return _surrogate(X, y, sample_weight, self.feature_space, options)
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
        return oracle, self._training_labels(oracle, y)

    def _training_labels(self, oracle, y):
        """Class codes of the training rows: what the classifier says."""
        return oracle.origin_labels()

    def _resolved_target(self):
        """Code of the target class, or `OTHER`."""
        code = target_code(self.target_class, self.classes_)
        if code >= 0 and isinstance(self.target_class, str) and self.target_class == "other":
            warnings.warn(
                "target_class='other' is taken as the class of that name, not as any other "
                "class than a row's own.",
                UserWarning,
                stacklevel=5,
            )
        return code

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
        warn_of_failures(result, stacklevel=4)  # set_output wraps this method
        index = X.index if backend_of(X).name == "pandas" else None
        return self._in_output_container(result.X_cf, index)

    def explain(self, X: Any, *, n_counterfactuals: int = 1) -> CounterfactualResult:
        """Return counterfactuals with what is known of each.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            Rows as the classifier takes them.
        n_counterfactuals : int, default=1
            Number of counterfactuals for each row, where the explainer finds several: the
            result then has so many rows for each, running, the first being the best. Those
            that could not be found are rows too, not ``found``.

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
        check_scalar(n_counterfactuals, "n_counterfactuals", Integral, min_val=1)
        result = self._explain(X, n_counterfactuals)
        warn_of_failures(result, stacklevel=3)
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

    def _explain(self, X, n_counterfactuals=1):
        """Do the work of `explain`, without its warning; stores nothing on the estimator."""
        X = checked_container(X)
        validate_data(self, X, reset=False, skip_check_array=True)
        origin = self.feature_space_.encoding_.conform(Table.of(X))
        oracle = Oracle(self._reader, self.feature_space_, origin)
        own = oracle.origin_labels()
        if n_counterfactuals > 1:
            copies = np.repeat(np.arange(origin.n_rows), n_counterfactuals)
            X, own = Table.of(X).take(copies).container(), own[copies]
            oracle = oracle.repeated(copies)
        Z = oracle.encoded
        Z_cf, details = self._found(Z, own, oracle, n_counterfactuals)
        place = np.arange(len(Z))
        ranks = {"row": place // n_counterfactuals, "rank": place % n_counterfactuals}
        return self._judged(X, Z, Z_cf, own, oracle, {**details, **ranks})

    def _found(self, Z, own, oracle, n_counterfactuals):
        """Search for the rows that need a counterfactual; the others stay as they are."""
        constraints = self.feature_space_.constraints_
        needed = self._is_needed(own)
        rows = np.flatnonzero(needed & ~constraints.blocked(Z).any(axis=1))
        Z_cf, details = Z.copy(), self._details_of_the_rest(len(Z))
        if len(rows):
            if n_counterfactuals == 1:
                found, known = self._search(Z[rows], own[rows], rows, oracle)
            else:
                found, known = self._search_several(
                    Z[rows], own[rows], rows, oracle, n_counterfactuals
                )
            Z_cf[rows] = constraints.project(found, Z[rows])
            for name, values in known.items():
                details[name][rows] = values
        return Z_cf, details

    def _is_needed(self, own):
        """Which rows need a counterfactual, by their class codes."""
        return np.ones(len(own), bool) if self._target_code == OTHER else own != self._target_code

    def _judged(self, X, Z, Z_cf, own, oracle, details):
        """Ask the classifier about the very rows that are returned, and say what became of each."""
        space, needed = self.feature_space_, self._is_needed(own)
        changed = ~same(Z, Z_cf)
        moved = changed.any(axis=1)
        table = oracle.written(Z_cf, np.arange(len(Z)), keep=~moved)
        y_cf = own.copy()
        if moved.any():
            y_cf[moved] = oracle.labels_of(table.part(np.flatnonzero(moved)), np.flatnonzero(moved))
        valid = needed & reached(y_cf, own, self._target_code)
        status = np.where(needed, np.where(valid, "found", "not_found"), "already_target")
        lost = np.flatnonzero(status == "not_found")
        if len(lost):
            allowed = self._targets.any_allowed(Z[lost], own[lost], self._target_code)
            status[lost[~allowed]] = "infeasible"
        cost = np.where(needed, np.nan, 0.0)
        cost[valid] = space.costs_.between(Z_cf[valid], Z[valid], self._cost_metric())
        return self._result_type(
            X=X.clone() if backend_of(X).name == "polars" else X.copy(),
            X_cf=space._restore(table, X),
            y=oracle.names_of(own),
            y_cf=oracle.names_of(y_cf),
            status=status,
            cost=cost,
            n_changes=np.sum(changed, axis=1),
            n_queries=oracle.n_queries,
            n_calls=oracle.n_calls,
            **details,
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
        copies = {
            name: _kept(value) if name in self._shared_parameters else clone(value, safe=False)
            for name, value in self.get_params(deep=False).items()
        }
        copy = type(self)(**copies)
        for private in ("_sklearn_output_config", "_metadata_request"):
            if hasattr(self, private):
                setattr(copy, private, deepcopy(getattr(self, private)))
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


def warn_of_failures(result, stacklevel):
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


def _rows_that_count(X, y, sample_weight):
    """The rows of positive weight, with their labels and weights."""
    sample_weight = checked_sample_weight(sample_weight, X)
    counts = sample_weight > 0
    if counts.all():
        return X, y, sample_weight
    rows = np.flatnonzero(counts)
    X = Table.of(X).take(rows).container()
    return X, None if y is None else y[rows], sample_weight[rows]


def _surrogate(X, y, sample_weight, space, options):
    """A gradient-boosting classifier trained to imitate y."""
    check_classification_targets(y)
    if len(np.unique(y)) < 2:
        raise ValueError(
            "y contains 1 class, but a surrogate classifier needs at least 2: pass what the "
            "classifier predicts for rows of which it accepts some."
        )
    weights = {}
    if sample_weight is not None and _are_counts(sample_weight):
        # leaves and bins count rows, not weights
        copies = np.repeat(np.arange(len(y)), sample_weight.astype(np.intp))
        X, y = Table.of(X).take(copies).container(), y[copies]
    elif sample_weight is not None:
        weights = {"histgradientboostingclassifier__sample_weight": sample_weight}
    # leaves of 20 rows, scikit-learn's default, are too coarse for a few dozen rows
    smallest_leaf = int(np.clip(len(y) // 20, 1, 20))
    boosting = HistGradientBoostingClassifier(
        min_samples_leaf=smallest_leaf, early_stopping=False, **options
    )
    encoder = FeatureSpace() if space is None else clone(space)
    # whatever the global setting is when it is asked
    encoder.set_output(transform="default")
    return make_pipeline(encoder, boosting).fit(X, y, **weights)


def _are_counts(sample_weight):
    """Whether weights can be written out as repeated rows."""
    whole = np.all(sample_weight == np.rint(sample_weight))
    return whole and sample_weight.sum() <= MOST_COPIES * len(sample_weight)


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
