"""NearestExplainer on real data: validity, cost, changes, violations, calls, time.

Run ``SKCF_DATA=... python benchmarks/bench_nearest.py``; see README.md beside it.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer, _targets
from skcf._targets import TargetRows
from skcf.datasets import fetch_adult, fetch_german_credit

SINGLE_ROWS = 20
NAMES = {False: "nearest row", "quick": "k={}, quick", True: "k={}, thorough"}


def boosted(X):
    """Gradient boosting on raw mixed-type rows."""
    text = text_columns(X)
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, text), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))


def linear(X):
    """Logistic regression on one-hot and scaled columns."""
    text = text_columns(X)
    numbers = [name for name in X if name not in text]
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    onehot = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((onehot, text), (scaled, numbers))
    return make_pipeline(columns, LogisticRegression(max_iter=2000))


def text_columns(X):
    """Names of the columns that hold no numbers."""
    return [name for name in X if X[name].dtype.kind not in "if"]


def adult():
    """Rows, labels, feature space, favourable class, and the split that UCI gives."""
    X, y, space = fetch_adult()
    return X[:32561], y[:32561], X[32561:], space, ">50K"


def german_credit():
    """Half of the people to fit on, half to explain."""
    X, y, space = fetch_german_credit()
    X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.5, random_state=0)
    return X_train, y_train, X_test, space, "good"


def breast_cancer():
    """Half of the tumours to fit on, half to explain."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.5, random_state=0)
    return X_train, y_train, X_test, FeatureSpace(), 1


CASES = [(adult, boosted), (adult, linear), (german_credit, boosted), (german_credit, linear)]
CASES += [(breast_cancer, boosted), (breast_cancer, linear)]


def count_violations(X, X_cf, space, X_train):
    """Rows that break a rule, by the raw values: what FeatureSpace thinks does not count."""
    ranks = {
        name: {level: rank for rank, level in enumerate(levels)}
        for name, levels in (space.ordinal_features or {}).items()
    }
    broken = np.zeros(len(X), dtype=bool)
    for name in X:
        old, new = X[name], X_cf[name]
        kept = ((old == new) | (old.isna() & new.isna())).to_numpy()
        broken |= new.isna().to_numpy() & ~kept
        if name in (space.immutable_features or ()):
            broken |= ~kept
        if name in (space.change_direction or {}):
            old, new = (old.map(ranks[name]), new.map(ranks[name])) if name in ranks else (old, new)
            broken |= ((new - old) * space.change_direction[name] < 0).to_numpy()
        if X[name].dtype.kind in "iu":
            broken |= (X_cf[name] % 1 != 0).to_numpy()
        if name in text_columns(X):
            broken |= ~(kept | X_cf[name].isin(X_train[name]).to_numpy())
    for linked in space.linked_features or ():
        pairs = set(X_train[linked].itertuples(index=False, name=None))
        moved = ~(X[linked].to_numpy() == X_cf[linked].to_numpy()).all(axis=1)
        known = [pair in pairs for pair in X_cf[linked].itertuples(index=False, name=None)]
        broken |= moved & ~np.array(known)
    return int(broken.sum())


def explain_timed(explainer, X):
    """Result and seconds, of the wall clock: two threads share the work."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        result = explainer.explain(X)
    return result, time.perf_counter() - start


def run_case(load, make, n_rows):
    """Print one line for a data set, a model and each variant of the explainer."""
    X_train, y_train, X_test, space, target = load()
    model = make(X_train).fit(X_train, y_train)
    rejected = X_test[model.predict(X_test) != target][:n_rows]
    for refine, k in [(False, 1), ("quick", 1), ("quick", 3), (True, 3), (True, 10)]:
        explainer = NearestExplainer(
            model, target_class=target, feature_space=space, refine=refine, n_neighbors=k
        ).fit(X_train, model.predict(X_train))
        explainer.explain(rejected[:10])
        result, seconds = explain_timed(explainer, rejected)
        found = result.status == "found"
        singles = [
            explain_timed(explainer, rejected[i : i + 1])[1]
            for i in range(min(SINGLE_ROWS, len(rejected)))
        ]
        moved = np.isin(result.status, ["found", "not_found"])
        violations = count_violations(rejected[moved], result.X_cf[moved], space, X_train)
        valid = model.predict(result.X_cf) == target
        true_validity = np.mean(valid[result.status != "infeasible"])
        name = NAMES[refine].format(k)
        print(
            f"| {load.__name__} | {make.__name__} | {name} | {len(rejected)} "
            f"| {true_validity:.3f} | {np.sum(result.status == 'infeasible')} | {violations} "
            f"| {result.cost[found].mean():.3f} | {np.median(result.cost[found]):.3f} "
            f"| {result.n_changes[found].mean():.2f} | {result.n_queries.mean():.1f} "
            f"| {1e3 * np.median(singles):.1f} | {1e3 * seconds / len(rejected):.2f} "
            f"| {np.median(singles) * len(rejected) / seconds:.0f} |",
            flush=True,
        )


def against_scikit_learn(n_rows):
    """Exact nearest rows without constraints: the same answers as NearestNeighbors, and faster."""
    X_train, _, X_test, _space, _ = adult()
    free = FeatureSpace().fit(X_train)
    Z, Q = free.transform(X_train[:8000]), free.transform(X_test[:n_rows])
    numbers = [j for j in range(Z.shape[1]) if not free.constraints_.nominal[j]]
    text = [j for j in range(Z.shape[1]) if free.constraints_.nominal[j]]

    def onehot(Z):
        blocks = [Z[:, numbers] / free.scale_[numbers]]
        for j in text:
            codes = np.where(np.isnan(Z[:, j]), -1, Z[:, j])
            blocks.append(0.5 * (codes[:, None] == np.arange(-1, codes.max() + 1)))
        return np.column_stack(blocks)

    width = onehot(np.vstack([Z, Q]))
    reference, queries = width[: len(Z)], width[len(Z) :]
    start = time.process_time()
    theirs, _ = (
        NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cityblock")
        .fit(reference)
        .kneighbors(queries)
    )
    seconds_theirs = time.process_time() - start
    free.constraints_.forbids = lambda j, x, y: None  # as there: missing is one more category
    start = time.process_time()
    ours = np.concatenate(
        [free.costs_.pairwise(part, Z).min(axis=1) for part in np.array_split(Q, 10)]
    )
    seconds_ours = time.process_time() - start
    worst = np.abs(ours - theirs[:, 0]).max()
    print(
        f"\nNearest of {len(Z)} rows for {len(Q)} queries, exact, one thread: "
        f"{seconds_ours:.2f} s; scikit-learn's brute force on one-hot rows {seconds_theirs:.2f} s "
        f"(ratio {seconds_theirs / seconds_ours:.1f}; largest difference {worst:.1e})"
    )


def trees_against_blocks():
    """Where few plain numbers vary, a k-d tree finds the same rows sooner."""
    rng = np.random.default_rng(0)
    for n_features in (4, 8, 12):
        Z, Q = rng.normal(size=(10_000, n_features)), rng.normal(size=(2_000, n_features))
        space = FeatureSpace().fit(Z)
        targets = TargetRows(Z, np.zeros(len(Z), dtype=int), space)
        seconds, costs = {}, {}
        for name, most in (("tree", n_features), ("blocks", 0)):
            _targets.TREE_FEATURES = most  # a process of its own: nothing else is affected
            start = time.process_time()
            costs[name] = targets.nearest(Q, np.ones(len(Q), dtype=int), 0)[1]
            seconds[name] = time.process_time() - start
        print(
            f"Tree, {n_features} features: {seconds['tree']:.2f} s; blocks "
            f"{seconds['blocks']:.2f} s (ratio "
            f"{seconds['blocks'] / seconds['tree']:.1f}; largest difference "
            f"{np.abs(costs['tree'] - costs['blocks']).max():.1e})"
        )


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-rows", type=int, default=5000, help="rows to explain at most")
    arguments = parser.parse_args()
    print(
        "| data | model | explainer | rows | valid | infeasible | violations | mean cost "
        "| median cost | changes | asked a row | ms a row, one by one | ms a row, batch "
        "| ratio |"
    )
    print("|" + "---|" * 14)
    for load, make in CASES:
        run_case(load, make, arguments.n_rows)
    with threadpool_limits(1):
        against_scikit_learn(min(arguments.n_rows, 1000))
        trees_against_blocks()


if __name__ == "__main__":
    main()
