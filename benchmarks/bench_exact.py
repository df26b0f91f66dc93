"""The exact explainer on Adult: time, proofs, and by how much quick answers miss the optimum.

Run ``SKCF_DATA=... OMP_NUM_THREADS=1 python benchmarks/bench_exact.py``; see README.md beside it.
"""

import time

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from skcf import ExactExplainer, NearestExplainer
from skcf.datasets import fetch_adult

N_TRAIN, N_QUERIES, TIME_LIMIT = 6000, 100, 30.0


def classifiers(X):
    """Pipelines on raw rows: linear, boosted, a forest."""
    text = [name for name in X if X[name].dtype.kind not in "if"]
    numbers = [name for name in X if name not in text]
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    codes = make_column_transformer((ordinal, text), remainder="passthrough")
    dummies = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), text), (StandardScaler(), numbers)
    )
    boosting = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    forest = RandomForestClassifier(20, max_depth=5, random_state=0)
    return {
        "linear": make_pipeline(dummies, LogisticRegression(max_iter=1000)),
        "boosted, 30 x 31 leaves": make_pipeline(codes, boosting),
        "forest, 20 of depth 5": make_pipeline(codes, forest),
    }


def measured(model, X, y, queries, space):
    """Explain, and compare with the nearest rows, refined."""
    labels = model.fit(X, y).predict(X)
    options = {"target_class": ">50K", "feature_space": space}
    exact = ExactExplainer(model, time_limit=TIME_LIMIT, **options).fit(X, labels)
    start = time.perf_counter()
    result = exact.explain(queries)
    needed = np.sum(result.status != "already_target")
    seconds = (time.perf_counter() - start) / needed
    ratios = []
    for k in (3, 10, 30):
        quick = NearestExplainer(model, n_neighbors=k, **options).fit(X, labels).explain(queries)
        both = (result.status == "found") & (quick.status == "found")
        ratios.append(quick.cost[both].sum() / result.lower_bound[both].sum())
    return needed, result.summary()["proven"], seconds, ratios


def main():
    """Print a table."""
    X, y, space = fetch_adult()
    queries = X.iloc[40_000 : 40_000 + N_QUERIES]
    X, y = X.iloc[:N_TRAIN], y.iloc[:N_TRAIN]
    print("| model | rows | proven | s a row | k=3 / optimum | k=10 / optimum | k=30 / optimum |")
    print("|---|---|---|---|---|---|---|")
    for name, model in classifiers(X).items():
        needed, proven, seconds, ratios = measured(model, X, y, queries, space)
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {name} | {needed} | {proven:.1%} | {seconds:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
