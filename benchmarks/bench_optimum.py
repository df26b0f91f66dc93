"""How far quick counterfactuals are from the proven optimum.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_optimum.py``; see README.md beside it.
The denominator is `ExactExplainer`'s answer, or its lower bound where that is not proven within
the time limit.
"""

import argparse
import time
import warnings

import numpy as np
from bench_nearest import (
    adult,
    breast_cancer,
    count_violations,
    german_credit,
    linear,
    text_columns,
)
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from skcf import ExactExplainer, InvalidCounterfactualWarning, NearestExplainer
from skcf.datasets import fetch_credit_default

EXPLAINERS = {
    "nearest row": {"refine": False, "n_neighbors": 1},
    "quick": {"refine": "quick"},
    "thorough (default)": {},
    "thorough, 10 starts": {"n_neighbors": 10},
}
MEAN, MEDIAN = 1.5, 1.2  # what issue 4 asks for of the default


def credit_default():
    """A tenth of the clients to fit on, the rest to explain."""
    X, y, space = fetch_credit_default()
    X_train, X_test, y_train, _ = train_test_split(
        X, y, train_size=3000, stratify=y, random_state=0
    )
    favourable = sorted(set(y), key=str)[0]
    return X_train, y_train, X_test, space, favourable


def small_boosted(X):
    """Thirty trees of eight leaves on raw mixed-type rows."""
    text = text_columns(X)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, text), remainder="passthrough")
    boosting = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0)
    return make_pipeline(columns, boosting)


def bounded(space, X):
    """The feature space with numbers between those seen: an amount below zero is no advice."""
    numbers = [name for name in X if name not in text_columns(X)]
    ranges = {name: (float(X[name].min()), float(X[name].max())) for name in numbers}
    for linked in space.linked_features or ():
        ranges = {name: limits for name, limits in ranges.items() if name not in linked}
    frozen = space.immutable_features or ()
    ranges = {name: limits for name, limits in ranges.items() if name not in frozen}
    return clone(space).set_params(permitted_range={**ranges, **(space.permitted_range or {})})


DATA = [adult, german_credit, credit_default, breast_cancer]


def run_case(load, make, n_rows, time_limit):
    """Print one line for a data set, a model and each way of searching."""
    X_train, y_train, X_test, space, target = load()
    space = bounded(space, X_train)
    model = make(X_train).fit(X_train, y_train)
    y = model.predict(X_train)
    rejected = X_test[model.predict(X_test) != target][:n_rows]
    exact = ExactExplainer(
        model, target_class=target, feature_space=space, time_limit=time_limit, n_jobs=2
    ).fit(X_train, y)
    start = time.perf_counter()
    optimum = exact.explain(rejected)
    seconds = time.perf_counter() - start
    proven = np.mean(optimum.gap[optimum.status == "found"] <= 1e-3)
    for name, params in EXPLAINERS.items():
        explainer = NearestExplainer(model, target_class=target, feature_space=space, **params)
        start = time.process_time()
        result = explainer.fit(X_train, y).explain(rejected)
        spent = time.process_time() - start
        both = (result.status == "found") & (optimum.lower_bound > 0)
        both &= np.isfinite(optimum.lower_bound)
        assert np.all(result.cost[both] >= (1 - 1e-6) * optimum.lower_bound[both])
        ratio = result.cost[both] / optimum.lower_bound[both]
        broken = count_violations(rejected[both], result.X_cf[both], space, X_train)
        print(
            f"| {load.__name__} | {make.__name__} | {name} | {both.sum()} | {ratio.mean():.2f} "
            f"| {np.median(ratio):.3f} | {np.quantile(ratio, 0.9):.2f} | {ratio.max():.1f} "
            f"| {result.cost[both].sum() / optimum.lower_bound[both].sum():.2f} | {broken} "
            f"| {result.n_queries.mean():.0f} | {1e3 * spent / len(rejected):.1f} "
            f"| {seconds / len(rejected):.2f} | {proven:.2f} |",
            flush=True,
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--time-limit", type=float, default=20.0)
    parser.add_argument("--only", default="", help="run data sets whose name contains this")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", InvalidCounterfactualWarning)
    print(
        "| data | model | explainer | rows | mean ratio | median | 9 in 10 | largest "
        "| ratio of sums | violations | asked a row | CPU ms a row, fit included "
        "| exact, s a row | proven |"
    )
    print("|" + "---|" * 14)
    with threadpool_limits(1):
        for load in DATA:
            for make in (linear, small_boosted):
                if arguments.only in load.__name__:
                    run_case(load, make, arguments.rows, arguments.time_limit)


if __name__ == "__main__":
    main()
