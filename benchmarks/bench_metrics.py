"""What metrics cost and whether they can be trusted; and explainers side by side.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_metrics.py``; see README.md beside it.
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
from bench_collective import adult_two
from bench_nearest import boosted
from scipy.stats import binom
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neighbors import LocalOutlierFactor
from threadpoolctl import threadpool_limits

from skcf import CCEExplainer, FeatureSpace, NearestExplainer
from skcf.datasets import fetch_adult, fetch_credit_default, fetch_german_credit
from skcf.metrics import (
    compare_explainers,
    fit_autoencoders,
    get_scorer,
    im1,
    im2,
    knn_distance,
    local_outlier_factor,
    make_counterfactual_scorer,
    model_comparison_test,
    neighbour_share,
)
from skcf.metrics._explained import explained
from skcf.metrics._registry import METRICS, metric_of

DATA = {
    "adult": (fetch_adult, ">50K"),
    "credit_default": (fetch_credit_default, 0),
    "german_credit": (fetch_german_credit, "good"),
}
SCORED = (
    "validity", "coverage", "proximity", "sparsity", "constraint_violations",
    "gower_distance", "knn_distance", "neighbour_share", "margin", "isolation_score",
)  # fmt: skip
COMPARED = (
    "validity", "proximity", "sparsity", "constraint_violations", "knn_distance",
    "neighbour_share", "local_outlier_factor", "energy_distance", "effective_targets",
)  # fmt: skip


def population(name, n_rows):
    """Rows, what may change, a boosted model of them, its predictions, and the target."""
    fetch, target = DATA[name]
    X, y, space = fetch()
    X, y = X.iloc[:n_rows], y.iloc[:n_rows]
    model = boosted(X).fit(X, y)
    return X, space, model, model.predict(X), target


def timed(work):
    """CPU seconds, and what came of it."""
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


def measure_costs(n_rows):
    """CPU time of each metric, and of the row-by-row loops that they are usually written as."""
    X, space, model, y_pred, target = population("adult", 2 * n_rows)
    half = X.iloc[:n_rows], X.iloc[n_rows:]
    explainer = NearestExplainer(model, target_class=target, feature_space=space, refine="quick")
    explainer.fit(half[0], y_pred[:n_rows])
    of_explain, answers = timed(lambda: explained(explainer, half[1], reference=half[0]))
    print(
        f"\nCosts: Adult, {n_rows} rows against {n_rows}; explaining them took {of_explain:.2f} s"
    )
    print(f"{'metric':26s} {'CPU s':>8s} {'us a row':>9s}")
    _ = answers.y_reference
    for name in METRICS:
        metric = metric_of(name)
        if metric.needs_several:
            continue
        seconds, value = timed(lambda metric=metric: metric.value(answers))
        print(f"{name:26s} {seconds:8.3f} {1e6 * seconds / n_rows:9.1f}   = {value:.4g}")
    _against_loops(answers)


def _against_loops(answers, n_loop=200):
    """The same numbers, one row at a time."""
    space, result = answers.feature_space, answers.result
    found = np.flatnonzero(result.status == "found")[:n_loop]
    print(f"\nOne row at a time, {n_loop} rows: the same numbers by the same functions")
    given = {"reference": answers.reference, "feature_space": space}
    given["y_reference"] = answers.y_reference
    for metric in (knn_distance, neighbour_share):
        whole = partial(metric, result.X, result.X_cf, status=result.status, target=result.y_cf,
                        average=None, **given)  # fmt: skip
        batch, values = timed(whole)
        loop, single = timed(
            lambda metric=metric: [
                metric(result.X.iloc[[i]], result.X_cf.iloc[[i]], target=result.y_cf[i], **given)
                for i in found
            ]
        )
        assert np.allclose(values[found], single)
        ratio = (loop / n_loop) / (batch / len(values))
        print(f"{metric.__name__:26s} {1e3 * loop / n_loop:8.2f} ms a row, ratio {ratio:8.0f}")


def measure_scorer(n_rows):
    """One scorer of many metrics against one for each."""
    X, space, model, y_pred, target = population("adult", n_rows)
    explainer = NearestExplainer(model, target_class=target, feature_space=space)
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    run = partial(cross_validate, explainer, X, y_pred, cv=folds, error_score="raise")
    together, scores = timed(lambda: run(scoring=make_counterfactual_scorer(list(SCORED))))
    apart, others = timed(
        lambda: run(scoring={key[5:]: get_scorer(key[5:]) for key in scores if key[:5] == "test_"})
    )
    assert all(np.allclose(scores[key], others[key]) for key in others if key[:5] == "test_")
    print(f"\nScorers: Adult, {n_rows} rows, 2 folds, {len(SCORED)} metrics")
    print(
        f"one scorer {together:.2f} CPU s, one for each {apart:.2f}: ratio {apart / together:.1f}"
    )


def measure_outliers():
    """The local outlier factor among rows that occur many times."""
    X, y, _, _ = adult_two()
    X = X.iloc[:20_000]
    rich = X[(y.iloc[:20_000] == ">50K").to_numpy()]
    queries = X.drop(rich.index).iloc[:2_000]
    space = FeatureSpace().fit(X)
    points = rich.to_numpy(float) / space.scale_
    share = 1 - len(rich.drop_duplicates()) / len(rich)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of duplicates: that is the point
        plain = LocalOutlierFactor(novelty=True).fit(points)
    usual = -plain.score_samples(queries.to_numpy(float) / space.scale_)
    ours = local_outlier_factor(queries, queries, reference=rich, feature_space=space, average=None)
    print(f"\nLocal outlier factor: Adult, two columns, {share:.0%} of the rows occur before")
    for name, values in (("all rows", usual), ("distinct rows", ours)):
        print(f"{name:14s} median {np.median(values):10.3g}, largest {values.max():10.3g}")


def measure_level(n_times, n_rows=100):
    """How often the model comparison tests reject where all explainers are equally good."""
    print(f"\nModel comparison: share of rejections, {n_times} draws of {n_rows} rows, alpha 0.05")
    worst = binom.ppf(0.995, n_times, 0.05) / n_times
    print(f"(at most {worst:.3f} by chance, 99 %)")
    for method in ("relpsi", "relmulti"):
        for shift, what in ((0.0, "equally good"), (1.0, "one worse")):
            rejected = [_rejects(method, shift, n_rows, seed) for seed in range(n_times)]
            print(f"{method:9s} {what:13s} {np.mean(rejected):6.3f}")


def _rejects(method, shift, n_rows, seed):
    """Whether the second of two explainers is found to be worse."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(n_rows, 3))
    candidates = {
        "a": rng.normal(0.7, 1, (n_rows, 3)),
        "b": rng.normal(0.7, 1, (n_rows, 3)) + [shift, 0, 0],
    }
    test = model_comparison_test(candidates, reference=reference, method=method, random_state=seed)
    return any(test.rejected.values())


def measure_comparison(name, n_rows):
    """All explainers on one data set, with autoencoders of the training rows as judges."""
    X, space, model, y_pred, target = population(name, n_rows)
    given = {"target_class": target, "feature_space": space}
    explainers = {
        "real row": NearestExplainer(model, refine=False, **given),
        "nearest, quick": NearestExplainer(model, refine="quick", **given),
        "nearest": NearestExplainer(model, **given),
        "collective": CCEExplainer(model, random_state=0, **given),
    }
    judges = fit_autoencoders(X, y_pred, feature_space=FeatureSpace().fit(X), random_state=0)
    compared = {metric: metric for metric in COMPARED}
    compared["median_im1"] = partial(im1, autoencoders=judges, average="median")
    compared["median_im2"] = partial(im2, autoencoders=judges, average="median")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = compare_explainers(
            explainers,
            X,
            y_pred,
            metrics=compared,
            cv=StratifiedKFold(2, shuffle=True, random_state=0),
        )
    print(f"\nComparison: {name}, {n_rows} rows, 2 folds")
    means = table.pivot_table(
        index="metric", columns="explainer", values="value", sort=False, dropna=False
    )
    print(means.to_string(float_format=lambda value: f"{value:.4g}", na_rep=""))


def main():
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("costs", "scorer", "outliers", "level", "comparison")
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--n-rows", type=int, default=5_000)
    parser.add_argument("--n-times", type=int, default=400)
    arguments = parser.parse_args()
    asked = arguments.part or parts
    with threadpool_limits(1):
        if "costs" in asked:
            measure_costs(arguments.n_rows)
        if "scorer" in asked:
            measure_scorer(min(arguments.n_rows, 2_000))
        if "outliers" in asked:
            measure_outliers()
        if "level" in asked:
            measure_level(arguments.n_times)
        if "comparison" in asked:
            for name in DATA:
                measure_comparison(name, min(arguments.n_rows, 4_000))


if __name__ == "__main__":
    main()
