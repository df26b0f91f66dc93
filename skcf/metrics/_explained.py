"""What an explainer, or a Pipeline that ends in one, says of some rows; asked once."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if

from skcf._classifiers import as_taken, unfrozen
from skcf._exceptions import InvalidCounterfactualWarning
from skcf._oracle import Oracle
from skcf._result import CounterfactualResult
from skcf.base import BaseCounterfactual
from skcf.metrics._rows import check_positive
from skcf.space import FeatureSpace
from skcf.space._containers import Table, checked_container

__all__ = ["Explained", "check_measure", "explained", "last_step", "predicted", "quietly"]


@dataclass(frozen=True)
class Explained:
    """The counterfactuals of some rows, with what metrics compare them with.

    Attributes
    ----------
    explainer : BaseCounterfactual
        Fitted.
    result : CounterfactualResult
        Of the rows.
    given_space : FeatureSpace or None
        To measure in; None: the explainer's own.
    given_rows : array-like or DataFrame, or None
        Real rows, as the explainer takes them; None: the rows that were explained.
    given_labels : array-like or None
        Their labels; None: the classifier is asked.
    given_groups : array-like or None
        The groups of the rows that were explained; None: the explainer is asked.
    """

    explainer: BaseCounterfactual
    result: CounterfactualResult
    given_space: Any = None
    given_rows: Any = None
    given_labels: Any = None
    given_groups: Any = None

    @property
    def estimator(self):
        """The classifier, with the classes that the explainer knows."""
        own, reader = self.explainer.estimator_, self.explainer._reader
        names_itself = hasattr(unfrozen(own), "classes_") and not reader.takes_encoded
        return own if names_itself else _AsRead(self.explainer)

    @property
    def target_class(self):
        """The class that rows were to get."""
        return self.explainer.target_class

    @cached_property
    def reference(self):
        """Real rows."""
        if self.given_rows is not None:
            return self.given_rows
        return self.rows

    @cached_property
    def y_reference(self):
        """What the classifier predicts for them."""
        if self.given_labels is not None:
            return self.given_labels
        if self.given_rows is None:
            return self.result.y[self.result.rank == 0]
        return predicted(self.explainer, self.given_rows)

    @property
    def rows(self):
        """The rows that were explained, each once."""
        return self._one_a_row(self.result.X)

    @property
    def groups(self):
        """Their groups."""
        if self.given_groups is not None:
            return np.asarray(self.given_groups)
        return self.result.y[self.result.rank == 0]

    @cached_property
    def feature_space(self):
        """Where distances are measured."""
        space = self.given_space
        if space is None:
            return self.explainer.feature_space_
        if hasattr(space, "scale_"):
            return space
        return clone(space).fit(checked_container(self.reference))

    def _one_a_row(self, X):
        """The rows, each once, where they have several counterfactuals."""
        first = self.result.rank == 0
        return X if first.all() else Table.of(X).take(first.nonzero()[0]).container()


class _AsRead:
    """A classifier that tells neither its classes nor its columns, as an explainer reads it.

    A few rows are not enough to read a function or a torch module by: they may lack a class, and
    another feature space may encode them otherwise.
    """

    def __init__(self, explainer):
        self._explainer = explainer
        self.classes_ = explainer.classes_

    def predict(self, X):
        return predicted(self._explainer, X)

    @available_if(lambda self: self._explainer._reader.has_scores)
    def decision_function(self, X):
        reader, space = self._explainer._reader, self._explainer.feature_space_
        scores = reader.scores(as_taken(reader, space, space._tabulate(X)))
        return np.asarray(scores)


def check_measure(metrics, feature_space, n_counterfactuals):
    """Refuse what cannot be measured, before any work.

    Parameters
    ----------
    metrics : list of Metric
        What is to be measured.
    feature_space : object
        Must be a FeatureSpace or None.
    n_counterfactuals : object
        Must be a whole number above zero; above one, where a metric is about several.
    """
    check_positive(n_counterfactuals, "n_counterfactuals")
    if not isinstance(feature_space, FeatureSpace | None):
        raise TypeError(f"feature_space must be a FeatureSpace or None, got {feature_space!r}.")
    several = [metric.name for metric in metrics if metric.needs_several]
    if several and n_counterfactuals == 1:
        raise ValueError(
            f"{several} is about several counterfactuals of a row: give n_counterfactuals."
        )


def explained(
    estimator, X, y=None, *, feature_space=None, reference=None, y_reference=None, several=1
):
    """Ask an explainer, once, for counterfactuals.

    Parameters
    ----------
    estimator : estimator
        A fitted explainer; a Pipeline that ends in one, whose other steps the rows go through
        first; or a search over one of these, whose best estimator is taken.
    X : array-like or DataFrame
        Rows, as `estimator` takes them.
    y : array-like of shape (n_rows,), default=None
        Their groups, for metrics of groups.
    feature_space, reference, y_reference : object
        See `Explained`; the reference goes through the Pipeline's other steps too.
    several : int, default=1
        Number of counterfactuals for each row.

    Returns
    -------
    Explained
    """
    before, explainer = last_step(estimator)
    result = quietly(explainer, before(X), several)
    rows = None if reference is None else before(reference)
    return Explained(explainer, result, feature_space, rows, y_reference, y)


def last_step(estimator):
    """The explainer, and what rows go through before it.

    Parameters
    ----------
    estimator : estimator
        An explainer, a Pipeline that ends in one, or a search over these, one in another; what
        a search has not refitted is as it was given.

    Returns
    -------
    before : callable
        Takes rows to the explainer.
    explainer : BaseCounterfactual

    Raises
    ------
    TypeError
        If there is no explainer at the end.
    """
    earlier, explainer = [], unfrozen(estimator)
    while isinstance(explainer, Pipeline) or _is_search(explainer):
        if isinstance(explainer, Pipeline):
            earlier += [explainer[:-1]] if len(explainer.steps) > 1 else []
            explainer = unfrozen(explainer.steps[-1][1])
        else:
            explainer = unfrozen(getattr(explainer, "best_estimator_", explainer.estimator))
    if not isinstance(explainer, BaseCounterfactual):
        raise TypeError(
            "Counterfactual metrics score an explainer of skcf, or a Pipeline that ends in one; "
            f"got {estimator!r}."
        )

    def before(X):
        for steps in earlier:
            X = steps.transform(X)
        return X

    return before, explainer


def _is_search(estimator):
    """Whether it chooses among candidates and refits the best."""
    return isinstance(estimator, MetaEstimatorMixin) and hasattr(estimator, "refit")


def quietly(explainer, X, several=1):
    """Explain rows, without a warning of those that got nothing: the metrics say it.

    Parameters
    ----------
    explainer : BaseCounterfactual
        Fitted.
    X : array-like or DataFrame
        Rows, as it takes them.
    several : int, default=1
        Number of counterfactuals for each.

    Returns
    -------
    CounterfactualResult
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X, n_counterfactuals=several)


def predicted(explainer, X):
    """What the explainer's classifier predicts for rows.

    Parameters
    ----------
    explainer : BaseCounterfactual
        Fitted.
    X : array-like or DataFrame
        Rows, as it takes them.

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    space = explainer.feature_space_
    oracle = Oracle(explainer._reader, space, space._tabulate(X))
    return oracle.names_of(oracle.origin_labels())
