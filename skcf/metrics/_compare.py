"""Explainers side by side: the same metrics, the same rows, the same splits."""

import time
import tracemalloc
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv

from skcf._progress import progress
from skcf._result import CounterfactualResult
from skcf._targets import OTHER, target_code
from skcf.metrics._explained import Explained, check_measure, last_step, predicted, quietly
from skcf.metrics._points import reading_once
from skcf.metrics._registry import read_metrics
from skcf.metrics._rows import check_positive
from skcf.space._containers import Table, checked_container

__all__ = ["REAL_ROWS", "compare_explainers"]

REAL_ROWS = "real target-class rows"
"""What the line is called that says how real rows do."""

RESOURCES = (
    "fit_time",
    "time_per_row",
    "time_per_row_single",
    "peak_memory",
    "n_calls",
    "n_queries",
)
"""What the table says beside the metrics."""

DEFAULT_METRICS = ("validity", "proximity", "sparsity", "constraint_violations", "neighbour_share")


def compare_explainers(
    explainers: dict[str, Any],
    X: Any,
    y: Any = None,
    *,
    metrics: Any = DEFAULT_METRICS,
    cv: Any = None,
    feature_space: Any = None,
    reference: Any = None,
    n_counterfactuals: int = 1,
    n_single: int = 5,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Any:
    """Compare explainers on the same rows.

    Each is fitted on the training rows of each split and explains its test rows, once for all
    metrics and once more for the memory that it takes. The classifiers stay as they are: they are
    explained, not trained.

    Parameters
    ----------
    explainers : dict of {str: estimator}
        Explainers, Pipelines that end in one, or searches over these, by name. They are cloned,
        but for ``cv="prefit"``.
    X : array-like or DataFrame of shape (n_samples, n_columns)
        Rows, as all of them take them.
    y : array-like of shape (n_samples,), default=None
        What the classifier predicts for X. None: each explainer asks its own.
    metrics : str, callable, list or dict, default=("validity", "proximity", "sparsity", \
"constraint_violations", "neighbour_share")
        As `make_counterfactual_scorer` takes them. The values are the metrics themselves, not
        their negatives.
    cv : int, splitter, iterable or "prefit", default=None
        The splits: folds that are stratified by y where y is given; None: five. "prefit": the
        explainers are fitted, and explain all of X.
    feature_space : FeatureSpace, default=None
        Where distances are measured, and whose constraints are counted, the same for all. Not
        fitted: it is fitted on the reference rows of each split. None: each explainer's own,
        which may differ in scale, weights and constraints.
    reference : array-like or DataFrame, default=None
        Real rows that counterfactuals are compared with. None: the training rows of the split;
        with "prefit", X.
    n_counterfactuals : int, default=1
        Number of counterfactuals for each row, for metrics of diversity.
    n_single : int, default=5
        Number of rows, spread over the test rows, that are also explained one at a time, for the
        time that this takes.
    n_jobs : int, default=None
        Number of runs at a time, as in joblib. Times are worth comparing with 1 only.
    verbose : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    pandas.DataFrame
        One line for each explainer, split and metric:

        - ``explainer``, ``split``, ``metric``;
        - ``value``: NaN where the run failed, or the metric is not defined;
        - ``rank``: among the explainers of this split, 1 the best; equal values share the mean of
          their ranks, and failures the last ones;
        - ``error``: why there is no value, else None.

        Beside the metrics, of each run: ``fit_time`` and, to explain, ``time_per_row`` (all test
        rows at once), ``time_per_row_single`` (one at a time), all in seconds; ``peak_memory`` in
        MB, what Python and numpy allocate while all test rows are explained (torch's own memory
        is not seen); ``n_calls`` and ``n_queries``, the calls of the classifier for the batch,
        and the rows that it was asked about for each row.

        The explainer ``"real target-class rows"`` says what metrics that compare with real rows
        give for real ones: the test rows that the classifier puts in the target, held against the
        reference, as the first explainer that does not fail sees them. It has no rank, and no
        value where no test row is in the target. It is what a good counterfactual comes near to.
        `im1` needs a class that a row has left: that of the counterfactuals that came to its own.
        `effective_targets` counts, and there may be more or fewer real rows than counterfactuals:
        compare it with ``normalize=True``.

    Raises
    ------
    ValueError
        If there are no explainers, or a name or metric cannot be used.
    TypeError
        If one of them is no explainer.

    Warns
    -----
    FitFailedWarning
        If a run failed; the others go on.

    See Also
    --------
    make_counterfactual_scorer : The same metrics in a search.
    skcf.inspection.ComparisonDisplay : The comparison as a picture.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.svm import SVC
    >>> from skcf import CCEExplainer, NearestExplainer
    >>> from skcf.metrics import compare_explainers
    >>> X, y = make_moons(200, noise=0.2, random_state=0)
    >>> model = SVC().fit(X, y)
    >>> explainers = {
    ...     "nearest": NearestExplainer(model), "collective": CCEExplainer(model, random_state=0)
    ... }
    >>> table = compare_explainers(explainers, X, model.predict(X), cv=2, metrics=["proximity"])
    >>> table[table["metric"] == "proximity"].groupby("explainer")["rank"].mean()
    explainer
    collective    2.0
    nearest       1.0
    Name: rank, dtype: float64
    """
    read = _checked(explainers, metrics, feature_space, n_counterfactuals, n_single)
    X = checked_container(X)
    run = _Run(read, feature_space, reference, n_counterfactuals, n_single)
    splits = _splits(X, y, cv)
    tasks = [
        delayed(run)(name, k, explainer, X, y, split, is_first=name == next(iter(explainers)))
        for k, split in enumerate(splits)
        for name, explainer in explainers.items()
    ]
    done = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
    lines = [line for some in progress(done, verbose, len(tasks), "comparing") for line in some]
    lines += _missing_real_rows(run, lines, explainers, X, y, splits)
    _warn_of_failures(lines)
    return _table(lines, read)


def _checked(explainers, metrics, feature_space, n_counterfactuals, n_single):
    """Read the metrics, and refuse what cannot be compared, before any work."""
    if not isinstance(explainers, dict) or not explainers:
        raise ValueError(f"explainers must be a dict of {{name: explainer}}, got {explainers!r}.")
    if REAL_ROWS in explainers:
        raise ValueError(f"No explainer may be called {REAL_ROWS!r}: the table has a line of it.")
    for explainer in explainers.values():
        last_step(explainer)
    check_measure(metrics := read_metrics(metrics), feature_space, n_counterfactuals)
    check_positive(n_single, "n_single")
    taken = sorted({metric.name for metric in metrics} & set(RESOURCES))
    if taken:
        raise ValueError(f"No metric may be called {taken}: the table has lines of that name.")
    return metrics


def _splits(X, y, cv):
    """Pairs of training and test positions; no training positions where all are fitted."""
    n_rows = Table.of(X).n_rows
    if isinstance(cv, str) and cv == "prefit":
        return [(None, np.arange(n_rows))]
    return list(check_cv(cv, y, classifier=y is not None).split(np.empty((n_rows, 1)), y))


@dataclass(frozen=True)
class _Line:
    """One value of the table."""

    explainer: str
    split: int
    metric: str
    value: float = np.nan
    error: str | None = None


@dataclass(frozen=True)
class _Run:
    """What is measured of each explainer, in each split."""

    metrics: list
    feature_space: Any
    reference: Any
    n_counterfactuals: int
    n_single: int

    def __call__(self, name, k, explainer, X, y, split, is_first):
        """Fit, explain and measure; a failure is a line too."""
        try:
            explainer, used, of_fit = _fitted(explainer, X, y, split[0])
            before, last = last_step(explainer)
            queries = before(_rows(X, split[1]))
            reference = before(self.reference) if self.reference is not None else before(used)
            result, resources = self._timed(last, queries)
            labels = predicted(last, reference) if self.metrics_of_real_rows else None
            answers = Explained(last, result, self.feature_space, reference, labels)
        except Exception as error:  # it goes into the table, and the others go on
            return [_failed(name, k, metric, error) for metric in self.metrics]
        lines = _measured(name, k, self.metrics, answers)
        if is_first:
            real = replace(answers, result=_real_rows(answers))
            lines += _measured(REAL_ROWS, k, self.metrics_of_real_rows, real)
        resources = of_fit | resources
        return lines + [_Line(name, k, what, value) for what, value in resources.items()]

    @property
    def metrics_of_real_rows(self):
        """The metrics that real rows have too."""
        return [metric for metric in self.metrics if metric.compares]

    def _timed(self, explainer, queries):
        """Explain a batch, and what that takes."""
        start = time.perf_counter()
        result = quietly(explainer, queries, self.n_counterfactuals)
        batch = time.perf_counter() - start
        n_rows = Table.of(queries).n_rows
        single = []
        # spread: tables are often sorted by class, and rows of the target take no time
        for i in np.linspace(0, n_rows - 1, min(self.n_single, n_rows)):
            row = _rows(queries, [int(i)])
            start = time.perf_counter()
            quietly(explainer, row, self.n_counterfactuals)
            single.append(time.perf_counter() - start)
        return result, {
            "time_per_row": batch / n_rows,
            "time_per_row_single": float(np.mean(single)),
            "peak_memory": _peak(lambda: quietly(explainer, queries, self.n_counterfactuals)),
            "n_calls": result.n_calls,
            "n_queries": result.n_queries.sum() / n_rows,
        }


def _fitted(explainer, X, y, training):
    """A fitted explainer, the rows that it knows, and what the fit took."""
    if training is None:
        return explainer, X, {}
    explainer, used = clone(explainer), _rows(X, training)
    labels = None if y is None else np.asarray(y)[training]
    start = time.perf_counter()
    explainer.fit(used, labels)
    return explainer, used, {"fit_time": time.perf_counter() - start}


def _rows(X, places):
    return Table.of(X).take(np.asarray(places)).container()


def _peak(work):
    """Megabytes that Python allocates at the most, beyond what it had."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return (tracemalloc.get_traced_memory()[1] - before) / 1e6
    finally:
        if not was_tracing:
            tracemalloc.stop()


def _failed(name, k, metric, error):
    return _Line(name, k, metric.name, error=f"{type(error).__name__}: {error}")


def _measured(name, k, metrics, answers):
    """Each metric; if one fails, the others go on."""
    if not len(answers.result.status):  # no real row is in the target
        return [_Line(name, k, metric.name) for metric in metrics]
    lines = []
    with reading_once():
        for metric in metrics:
            try:
                lines.append(_Line(name, k, metric.name, metric.value(answers)))
            except Exception as error:
                lines.append(_failed(name, k, metric, error))
    return lines


def _real_rows(answers):
    """The explained rows that are in the target, as if counterfactuals had become them."""
    result, explainer = answers.result, answers.explainer
    target = target_code(explainer.target_class, explainer.classes_)
    there = result.rank == 0
    if target != OTHER:
        there &= result.y == explainer.classes_[target]
    real, labels = _rows(result.X, np.flatnonzero(there)), result.y[there]
    return CounterfactualResult(
        X=real,
        X_cf=real,
        y=_origins(labels, answers),
        y_cf=labels,
        status=np.full(len(labels), "found"),
        cost=np.zeros(len(labels)),
        n_changes=np.zeros(len(labels), dtype=np.intp),
        n_queries=np.zeros(len(labels), dtype=np.intp),
    )


def _origins(labels, answers):
    """Labels that rows of some labels may have come from: those of counterfactuals there."""
    origins, result = labels.copy(), answers.result
    for label in np.unique(labels):
        came = result.y[(result.status == "found") & (result.y_cf == label)]
        # where nobody came: any other row, or any other class
        pools = [pool[pool != label] for pool in (came, result.y, answers.explainer.classes_)]
        pool = next(pool for pool in pools if len(pool))
        origins[labels == label] = np.resize(pool, np.sum(labels == label))
    return origins


def _missing_real_rows(run, lines, explainers, X, y, splits):
    """Real rows of the splits in which the first explainer failed, by the next that does not."""
    if not run.metrics_of_real_rows:
        return []
    seen = {line.split for line in lines if line.explainer == REAL_ROWS}
    done = {(line.explainer, line.split) for line in lines if line.metric == "n_calls"}
    missing = []
    for k, split in enumerate(splits):
        name = next((name for name in explainers if (name, k) in done), None)
        if k not in seen and name is not None:
            again = run(name, k, explainers[name], X, y, split, is_first=True)
            missing += [line for line in again if line.explainer == REAL_ROWS]
    return missing


def _warn_of_failures(lines):
    """Warn once of what failed."""
    errors = [line for line in lines if line.error is not None]
    if errors:
        names = sorted({line.explainer for line in errors})
        warnings.warn(
            f"{len(errors)} values are missing, of {names}; the column 'error' says why. The "
            f"first: {errors[0].error}",
            FitFailedWarning,
            stacklevel=3,
        )


def _table(lines, metrics):
    """The lines as a frame, with ranks."""
    import pandas as pd

    columns = ("explainer", "split", "metric", "value", "error")
    table = pd.DataFrame({name: [getattr(line, name) for line in lines] for name in columns})
    table["error"] = table["error"].astype(object)
    table.insert(4, "rank", np.nan)
    better_if_greater = {metric.name for metric in metrics if metric.greater_is_better}
    ranked = table[table["explainer"] != REAL_ROWS]
    for (_, metric), group in ranked.groupby(["split", "metric"]):
        value = group["value"].to_numpy()
        value = -value if metric in better_if_greater else value
        table.loc[group.index, "rank"] = rankdata(np.where(np.isnan(value), np.inf, value))
    return table
