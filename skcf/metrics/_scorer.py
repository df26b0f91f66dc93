"""Scorers: metrics as scikit-learn's searches and cross-validation take them."""

from typing import Any

from skcf.metrics._explained import check_measure, explained
from skcf.metrics._points import reading_once
from skcf.metrics._registry import METRICS, metric_of, read_metrics

__all__ = ["get_scorer", "get_scorer_names", "make_counterfactual_scorer"]


def make_counterfactual_scorer(
    metrics: Any,
    *,
    feature_space: Any = None,
    reference: Any = None,
    y_reference: Any = None,
    n_counterfactuals: int = 1,
) -> Any:
    """Make a scorer of metrics, for `GridSearchCV`, `cross_validate` and the like.

    The scorer takes a fitted explainer, a Pipeline that ends in one, or a search over these, and
    rows; the rows are explained once, however many metrics there are. In a Pipeline, the metrics
    are taken in the space of the last step.

    Parameters
    ----------
    metrics : str, callable, list or dict
        Names (see `get_scorer_names`), functions of :mod:`skcf.metrics`, `functools.partial` of
        these with options set, or any function that takes a `CounterfactualResult` and gives a
        number, the greater the better. One gives a scorer that returns a float, which also serves
        `HalvingGridSearchCV`; a list, or a dict of {name: metric}, one that returns a dict. Where
        less is better, the score is the negative of the metric, and its key starts with
        ``neg_``.
    feature_space : FeatureSpace, default=None
        Where distances are measured, and whose constraints are counted, with the columns of the
        last step. Not fitted: it is fitted on the reference rows. None: each explainer's own, so
        that a search over its scale or weights changes the yardstick.
    reference : array-like or DataFrame, default=None
        Real rows, for metrics that compare with them, as the explainer or Pipeline takes them.
        None: the rows of the split, some of which must be in the target class then.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels. None: what the explainer's classifier predicts for them.
    n_counterfactuals : int, default=1
        Number of counterfactuals for each row, for metrics of diversity.

    Returns
    -------
    callable
        ``scorer(estimator, X, y=None) -> float or dict of {str: float}``; it pickles. y are the
        groups of the rows for `group_correctness` and `group_coverage` (None: what the explainer
        takes them for), and not used by other metrics.

    Raises
    ------
    ValueError
        If a name is none of a metric, or two metrics have one name.
    TypeError
        If a metric needs what a scorer cannot know, or gives one value a row.

    See Also
    --------
    refit_pareto : Which candidate a search takes.
    compare_explainers : The same metrics of several explainers.

    Notes
    -----
    A score is NaN where it is not defined: no row of a split has a counterfactual, say.
    scikit-learn ranks such candidates last; where all are NaN it warns and takes the first.
    `refit_best` and `refit_pareto` raise then.

    `InvalidCounterfactualWarning` is not raised while scoring: ``"validity"`` says it in a number.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.model_selection import GridSearchCV, StratifiedKFold
    >>> from sklearn.svm import SVC
    >>> from skcf import NearestExplainer
    >>> from skcf.metrics import make_counterfactual_scorer
    >>> X, y = make_moons(200, noise=0.2, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> search = GridSearchCV(
    ...     NearestExplainer(model),
    ...     {"refine": [False, True]},
    ...     scoring=make_counterfactual_scorer(["validity", "proximity"]),
    ...     refit="neg_proximity",
    ...     cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ... )
    >>> search.fit(X, model.predict(X)).best_params_
    {'refine': True}
    """
    scorer = CounterfactualScorer(
        read_metrics(metrics),
        isinstance(metrics, str) or callable(metrics),
        feature_space,
        reference,
        y_reference,
        n_counterfactuals,
    )
    scorer.check()
    return scorer


def get_scorer(name: str) -> Any:
    """Give the scorer of one metric, by name.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`.

    Returns
    -------
    callable
        ``scorer(estimator, X, y=None) -> float``, the greater the better; as
        ``make_counterfactual_scorer(name)`` makes it.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> from skcf.metrics import get_scorer
    >>> get_scorer("neg_proximity")
    make_counterfactual_scorer('neg_proximity')
    """
    if name not in get_scorer_names():
        raise ValueError(f"{name!r} is no scorer: expected one of {get_scorer_names()}.")
    return make_counterfactual_scorer(name)


def get_scorer_names() -> list[str]:
    """Names of the scorers that `get_scorer` knows.

    Returns
    -------
    list of str
        Sorted; those that start with ``neg_`` are negatives of metrics where less is better.
        Metrics of several counterfactuals are not among them: `make_counterfactual_scorer` takes
        their number.

    Examples
    --------
    >>> from skcf.metrics import get_scorer_names
    >>> get_scorer_names()[:2]
    ['congestion_utility', 'coverage']
    """
    metrics = [metric_of(name) for name in METRICS]
    return sorted(metric.key for metric in metrics if not metric.needs_several)


class CounterfactualScorer:
    """Scores explainers; see `make_counterfactual_scorer`."""

    def __init__(self, metrics, is_one, feature_space, reference, y_reference, n_counterfactuals):
        self.metrics = metrics
        self.is_one = is_one
        self.feature_space = feature_space
        self.reference = reference
        self.y_reference = y_reference
        self.n_counterfactuals = n_counterfactuals

    def check(self):
        """Refuse what cannot be scored, before any search begins."""
        check_measure(self.metrics, self.feature_space, self.n_counterfactuals)
        if self.y_reference is not None and self.reference is None:
            raise ValueError("y_reference holds the labels of reference, which is missing.")

    def __call__(self, estimator, X, y=None):
        """Score an explainer on rows.

        Parameters
        ----------
        estimator : estimator
            A fitted explainer, or a Pipeline that ends in one.
        X : array-like or DataFrame
            Rows, as it takes them.
        y : array-like of shape (n_rows,), default=None
            The groups of the rows, for metrics of groups. Else not used: what is valid is up to the
            classifier.

        Returns
        -------
        float or dict of {str: float}
        """
        answers = explained(
            estimator,
            X,
            y,
            feature_space=self.feature_space,
            reference=self.reference,
            y_reference=self.y_reference,
            several=self.n_counterfactuals,
        )
        with reading_once():
            scores = {metric.key: _signed(metric, answers) for metric in self.metrics}
        return next(iter(scores.values())) if self.is_one else scores

    def __repr__(self):
        """As it was made, as far as it is short."""
        keys = [metric.key for metric in self.metrics]
        return (
            f"make_counterfactual_scorer({keys[0]!r})"
            if self.is_one
            else (f"make_counterfactual_scorer({keys})")
        )


def _signed(metric, answers):
    """The metric, or its negative where less is better."""
    value = metric.value(answers)
    return value if metric.greater_is_better else -value
