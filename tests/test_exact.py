"""ExactExplainer against solvers that know nothing of it: all combinations, and closed forms."""

import pickle
import warnings
from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from scipy.optimize import linprog
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris, make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skcf import ExactExplainer, FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf.datasets import make_recourse_population

RANKS = ["low", "mid", "high"]
VALUES = {
    "a": range(10),
    "b": range(-3, 4),
    "c": ["u", "v", "w", "x"],
    "d": RANKS,
    "e": [False, True],
}


def small_table(n=150, seed=0, gaps=False, n_classes=2, dtype="int64"):
    """Few enough values that all rows there can be are listed: 1680."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "a": rng.integers(0, 9, n).astype(dtype),
            "b": rng.integers(-3, 3, n).astype(dtype),
            "c": pd.Categorical(rng.choice(VALUES["c"], n), VALUES["c"]),
            "d": pd.Categorical(rng.choice(RANKS, n), RANKS, ordered=True),
            "e": rng.random(n) < 0.5,
        }
    )
    score = X["a"] / 3 + X["b"] * 0.7 + (X["c"] == "u") - (X["c"] == "x") + X["e"]
    score += X["d"].cat.codes * 0.8 + rng.normal(0, 0.5, n)
    cuts = np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1] ** 0.7)
    y = np.array(["no", "yes", "perhaps"])[np.digitize(score, cuts)]
    if gaps:
        X["a"] = X["a"].astype(float).mask(rng.random(n) < 0.15)
        X["c"] = X["c"].mask(rng.random(n) < 0.15)
    return X, y


def encoded(model, scaler="passthrough", impute=False, onehot=True):
    """A Pipeline on such tables."""
    number = make_pipeline(SimpleImputer(), scaler) if impute else scaler
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    category = OneHotEncoder(handle_unknown="ignore") if onehot else OrdinalEncoder(**unknown)
    columns = make_column_transformer(
        (number, ["a", "b"]),
        (category, ["c"]),
        (OrdinalEncoder(categories=[RANKS]), ["d"]),
        ("passthrough", ["e"]),
    )
    return make_pipeline(columns, model)


def boosting(**options):
    return HistGradientBoostingClassifier(
        max_iter=8, max_leaf_nodes=6, min_samples_leaf=3, random_state=0, **options
    )


MODELS = {
    "tree": lambda: encoded(DecisionTreeClassifier(random_state=0), StandardScaler()),
    "forest": lambda: encoded(
        RandomForestClassifier(7, max_depth=4, random_state=0), MinMaxScaler(), onehot=False
    ),
    "extra": lambda: encoded(ExtraTreesClassifier(7, max_depth=4, random_state=0)),
    "gradient": lambda: encoded(
        GradientBoostingClassifier(n_estimators=8, random_state=0), RobustScaler(), impute=True
    ),
    "histogram": lambda: boosting(categorical_features="from_dtype"),
    "mask": lambda: encoded(boosting(categorical_features=[2]), onehot=False),
    "logistic": lambda: encoded(LogisticRegression(), StandardScaler(), impute=True),
    "ridge": lambda: encoded(RidgeClassifier(), MinMaxScaler(), impute=True),
    "sgd": lambda: encoded(SGDClassifier(random_state=0), RobustScaler(), impute=True),
    "svc": lambda: encoded(LinearSVC(random_state=0), StandardScaler(), impute=True),
    "lda": lambda: encoded(LinearDiscriminantAnalysis(), impute=True, onehot=False),
    "kernel": lambda: encoded(SVC(kernel="linear"), MinMaxScaler(), impute=True),
}
TAKE_GAPS = ["forest", "gradient", "histogram", "mask", "logistic", "svc"]


def margins(model, X, target):
    """By how much the target leads, asked of the classifier."""
    if hasattr(model, "decision_function"):
        scores = model.decision_function(X)
        if scores.ndim == 1:
            scores = np.column_stack([np.zeros(len(scores)), scores])
    else:
        scores = np.log(np.maximum(model.predict_proba(X), 1e-300))
    k = list(model.classes_).index(target)
    return scores[:, k] - np.delete(scores, k, axis=1).max(axis=1)


def cheapest_of_all(space, model, query, targets, min_margin=1e-4):
    """Cost of the cheapest valid row, of all that there can be."""
    values = []
    for name in query:
        own = query[name].iloc[0]
        values.append([*VALUES[name], *([] if own in VALUES[name] else [own])])
    rows = pd.DataFrame(list(product(*values)), columns=list(query)).astype(query.dtypes)
    cost = space.cost(query.iloc[np.zeros(len(rows), int)].set_axis(rows.index), rows)
    labels = model.predict(rows)
    valid = np.zeros(len(rows), dtype=bool)
    for target in targets:
        valid |= (labels == target) & (margins(model, rows, target) >= min_margin)
    return np.where(valid, cost, np.inf).min()


def explain_quietly(explainer, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X)


def assert_optimal(model, space, X, queries, target="yes", **options):
    """Valid by the classifier, within the rules, and as cheap as anything can be."""
    explainer = ExactExplainer(model, target_class=target, feature_space=space, **options)
    result = explain_quietly(explainer.fit(X, model.predict(X)), queries)
    assert_array_equal(model.predict(result.X_cf), result.y_cf)
    for i in np.flatnonzero(result.status != "already_target"):
        others = [name for name in model.classes_ if name != result.y[i]]
        targets = others if target == "other" else [target]
        query = queries.iloc[[i]]
        best = cheapest_of_all(explainer.feature_space_, model, query, targets)
        if np.isinf(best):
            assert result.status[i] != "found"
            assert result.lower_bound[i] == np.inf
            continue
        assert result.status[i] == "found"
        assert result.cost[i] == pytest.approx(best, rel=2e-4, abs=1e-12)
        assert best * (1 - 2e-4) - 1e-12 <= result.lower_bound[i] <= result.cost[i]
    found = result.status == "found"
    assert (result.gap[found] <= 2e-4).all()
    return result


INSIDE = {"permitted_range": {"a": (0, 9), "b": (-3, 3)}, "integer_features": ["a", "b"]}
SPACES = {
    "free": {},
    "one-way": {"change_direction": {"a": +1, "d": +1}, "immutable_features": ["e"]},
    "ranges": {"permitted_range": {"a": (2, 7), "b": (-2, 2), "c": ["u", "v", "w"]}},
    "weights": {"feature_weights": {"a": 2.5, "b": 0.0, "c": 0.2}},
    "ordinal first": {"implications": {"d": ("a", 2)}},
    "number first": {"implications": {"b": ("a", 1.5), "a": ("d", 0.25)}},
}


# each model with every third set of rules, and the other way round
PAIRS = [pair for k, pair in enumerate(product(MODELS, SPACES)) if (k + k // len(SPACES)) % 3 == 0]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("name, rules", PAIRS)
def test_no_row_is_cheaper(name, rules):
    """Of all rows, asked of the classifier one by one."""
    seed = list(MODELS).index(name) + 31 * list(SPACES).index(rules)
    X, y = small_table(seed=seed)
    queries, _ = small_table(3, seed=seed + 1000)
    space = FeatureSpace(**{**INSIDE, **SPACES[rules]})
    assert_optimal(MODELS[name]().fit(X, y), space, X, queries)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("seed", [19, 34])
@pytest.mark.parametrize("name", TAKE_GAPS)
def test_no_row_is_cheaper_with_gaps_and_unseen_categories(name, seed):
    dtype = "float32" if seed == 34 else "int64"
    X, y = small_table(seed=seed, gaps=True, dtype=dtype)
    queries, _ = small_table(6, seed=seed + 1000, gaps=True, dtype=dtype)
    if name != "histogram":  # it takes the categories that it has seen only
        queries["c"] = queries["c"].cat.add_categories("new")
        queries.loc[0, "c"] = "new"
    rules = {"implications": {"d": ("a", 2)}} if seed == 19 else {}
    space = FeatureSpace(**{**INSIDE, **rules})
    assert_optimal(MODELS[name]().fit(X, y), space, X, queries)


@pytest.mark.parametrize("target", ["perhaps", "other"])
@pytest.mark.parametrize("name", ["tree", "forest", "gradient", "histogram", "logistic", "lda"])
def test_no_row_is_cheaper_among_three_classes(name, target):
    X, y = small_table(seed=5, n_classes=3)
    queries, _ = small_table(3, seed=6)
    assert_optimal(MODELS[name]().fit(X, y), FeatureSpace(**INSIDE), X, queries, target)


@pytest.mark.parametrize("name", ["tree", "forest", "histogram", "logistic"])
def test_thresholds_are_taken_into_account(name):
    X, y = small_table(seed=7)
    queries, _ = small_table(4, seed=8)
    inner = MODELS[name]().fit(X, y)
    model = FixedThresholdClassifier(
        FrozenEstimator(inner), threshold=0.55, pos_label="yes", response_method="predict_proba"
    ).fit(X, y)
    explainer = ExactExplainer(model, target_class="yes", feature_space=FeatureSpace(**INSIDE))
    result = explainer.fit(X).explain(queries)
    assert (inner.predict_proba(result.X_cf)[:, 1] >= 0.55).all()
    for i in np.flatnonzero(result.status == "found"):
        tight = np.log(0.55 / 0.45) + 1e-4  # as a margin of the model without the threshold
        space = explainer.feature_space_
        if name in ("tree", "forest"):  # its log-probability is held against the threshold
            continue
        best = cheapest_of_all(space, inner, queries.iloc[[i]], ["yes"], tight)
        assert result.cost[i] == pytest.approx(best, rel=2e-4)


def test_linear_rule_with_continuous_features_agrees_with_linear_programming():
    X, y = make_classification(200, 6, n_informative=4, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(X, y)
    explainer = ExactExplainer(model, feature_space=FeatureSpace(permitted_range={2: (-1, 1)}))
    result = explainer.fit(X).explain(X[:60])
    scale = explainer.feature_space_.scale_
    slope = model[-1].coef_[0] / model[0].scale_
    for i in np.flatnonzero(result.status == "found"):
        need = 1e-4 - model.decision_function(X[i : i + 1])[0]
        limits = [(0, None)] * 12
        limits[2] = max(-1 - X[i, 2], 0), max(1 - X[i, 2], 0)  # up
        limits[8] = max(X[i, 2] - 1, 0), max(X[i, 2] + 1, 0)  # down
        best = linprog(
            np.tile(1 / scale, 2), -np.concatenate([slope, -slope])[None], [-need], bounds=limits
        )
        assert result.cost[i] == pytest.approx(best.fun, rel=1e-5)
    assert result.gap.max() <= 1e-4


def rule_as_pipeline(rule, X, y):
    """The rule of the recourse population, as the weights of a logistic regression."""
    levels = rule.levels["education"]
    columns = make_column_transformer(
        (OneHotEncoder(), [rule.group]),
        (OrdinalEncoder(categories=[levels]), ["education"]),
        ("passthrough", [name for name in rule.weights if name != "education"]),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=10_000)).fit(X, y)
    regions = [-rule.thresholds[name] for name in model[0].transformers_[0][1].categories_[0]]
    others = [weight for name, weight in rule.weights.items() if name != "education"]
    sign = 1 if model.classes_[1] == "accepted" else -1
    model[-1].coef_ = sign * np.array([[*regions, rule.weights["education"], *others]])
    model[-1].intercept_ = np.zeros(1)
    return model


def test_known_optimum_of_the_recourse_population():
    people = make_recourse_population(300, random_state=0)
    model = rule_as_pipeline(people.classifier, people.X, people.y)
    assert_array_equal(model.predict(people.X), people.y)
    explainer = ExactExplainer(
        model, target_class="accepted", feature_space=people.feature_space, min_margin=1e-7
    )
    result = explain_quietly(explainer.fit(people.X), people.X)
    found = result.status == "found"
    assert_array_equal(found | (result.status == "already_target"), people.optimal_cost < np.inf)
    assert_allclose(result.cost[found], people.optimal_cost[found], rtol=1e-4, atol=1e-6)
    assert (result.lower_bound[~found & (result.status != "already_target")] == np.inf).all()


FAST = {
    "tree": DecisionTreeClassifier(max_depth=6, random_state=0),
    "forest": RandomForestClassifier(8, max_depth=3, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=6, random_state=0),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scaler", [None, StandardScaler()])
@pytest.mark.parametrize("name", FAST)
def test_nobody_finds_anything_cheaper(name, scaler, dtype):
    """Many refined neighbours: their best is above the lower bound, and the optimum below it."""
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :12].astype(dtype)
    model = FAST[name] if scaler is None else make_pipeline(scaler, FAST[name])
    labels = model.fit(X, y).predict(X)
    queries = X[labels == 0][:12]
    result = ExactExplainer(model).fit(X, labels).explain(queries)
    nearest = NearestExplainer(model, n_neighbors=30).fit(X, labels).explain(queries)
    assert result.X_cf.dtype == dtype
    assert (model.predict(result.X_cf) == 1).all()
    assert (result.cost <= nearest.cost * (1 + 1e-6)).all()
    assert (result.lower_bound <= result.cost).all()
    assert (result.gap <= 1e-4).all()


def exact_column(X, j, values):
    return np.where(np.arange(X.shape[1]) == j, values[:, None], X)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scaler", [None, StandardScaler(), MinMaxScaler((-2, 5)), RobustScaler()])
@pytest.mark.parametrize(
    "tree",
    [
        DecisionTreeClassifier(max_depth=1),
        HistGradientBoostingClassifier(
            max_iter=1, max_leaf_nodes=2, min_samples_leaf=1, learning_rate=1
        ),
    ],
)
def test_ends_of_cells_are_exact(tree, scaler, dtype):
    """One split: the answer is the very first number beyond it."""
    rng = np.random.default_rng(0)
    X = (3 + rng.random((80, 1))).astype(dtype)
    model = tree if scaler is None else make_pipeline(scaler, tree)
    model.fit(X, X[:, 0] > 3.4)
    explainer = ExactExplainer(model, target_class=True, min_margin=0).fit(X)
    X_cf = explainer.transform(X[:1] * 0 + X.min())
    assert model.predict(X_cf)[0]
    assert not model.predict(np.nextafter(X_cf, X_cf.dtype.type(-np.inf)))[0]


def test_one_hot_and_linked_columns_change_together():
    X, y = small_table(seed=3)
    dummies = pd.get_dummies(X["c"], prefix="c", dtype=float)
    table = pd.concat([X[["a", "b"]], dummies, X["d"].cat.codes.rename("d")], axis=1)
    table["d2"] = table["d"] * 10
    for model in (LogisticRegression(), RandomForestClassifier(5, max_depth=4, random_state=0)):
        model.fit(table, y)
        space = FeatureSpace(onehot_groups=[list(dummies)], linked_features=[["d", "d2"]])
        explainer = ExactExplainer(model, target_class="yes", feature_space=space)
        result = explainer.fit(table).explain(table[:40])
        assert (result.X_cf[list(dummies)].sum(axis=1) == 1).all()
        assert (result.X_cf["d2"] == 10 * result.X_cf["d"]).all()
        assert (result.gap <= 2e-4).all()
        best = (
            NearestExplainer(model, target_class="yes", feature_space=space, n_neighbors=10)
            .fit(table)
            .explain(table[:40])
        )
        assert (result.cost <= best.cost + 1e-9).all()


def test_what_must_move_though_no_tree_asks_is_paid_for():
    X, y = make_classification(200, 4, n_informative=2, n_redundant=0, random_state=0)
    X[:, 3] = np.arange(200)
    model = make_pipeline(
        make_column_transformer(("passthrough", [0, 1, 2])), DecisionTreeClassifier(max_depth=2)
    ).fit(X, y)
    space = FeatureSpace(permitted_range={3: (100, 150)})
    queries = X[::4]
    result = ExactExplainer(model, feature_space=space).fit(X).explain(queries)
    found = result.status == "found"
    free = ExactExplainer(model).fit(X).explain(queries)
    scale = np.ptp(X[:, 3])
    moved = np.abs(np.clip(queries[found, 3], 100, 150) - queries[found, 3]) / scale
    assert moved.max() > 0.4
    assert_allclose(result.cost[found], free.cost[found] + moved, rtol=1e-6)
    assert_allclose(result.lower_bound[found], result.cost[found], rtol=1e-4)


def test_huge_ranges_do_not_drown_in_tolerances():
    rng = np.random.default_rng(0)
    gain = np.where(rng.random(500) < 0.9, 0, rng.integers(1, 99_999, 500))
    X = pd.DataFrame(
        {"gain": gain, "share": rng.random(500) / 1e6, "age": rng.integers(18, 80, 500)}
    )
    score = X["gain"] / 1e4 + X["share"] * 1e6 + X["age"] / 50
    y = score > 1.8
    for model in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=5),
    ):
        labels = model.fit(X, y).predict(X)
        result = ExactExplainer(model, target_class=True).fit(X, labels).explain(X[~labels][:40])
        nearest = NearestExplainer(model, target_class=True, n_neighbors=10).fit(X, labels)
        assert (result.gap <= 1e-4).all()
        assert (result.cost <= nearest.explain(X[~labels][:40]).cost * (1 + 1e-6)).all()


def test_margin_is_respected():
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :8]
    for model in FAST.values():
        model.fit(X, y)
        explainer = ExactExplainer(model, min_margin=1.0).fit(X)
        queries = X[model.predict(X) == 0][:8]
        result = explain_quietly(explainer, queries)
        found = result.status == "found"
        assert found.any()
        assert (margins(model, result.X_cf[found], 1) >= 0.98).all()
        near = ExactExplainer(model).fit(X).explain(queries)
        assert (result.cost >= near.cost * (1 - 1e-4))[found].all()


@pytest.fixture(scope="module")
def tumours():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[:, :10]
    model = HistGradientBoostingClassifier(max_iter=10, max_leaf_nodes=8, random_state=0)
    return X, model.fit(X, y), X[model.predict(X) == 0][:10]


def test_little_time_still_gives_valid_answers_and_bounds():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0).fit(X, y)
    queries = X[model.predict(X) == 0][:6]
    result = ExactExplainer(model, time_limit=1e-6).fit(X).explain(queries)
    assert (result.status == "found").all()
    assert (model.predict(result.X_cf) == 1).all()
    proven = ExactExplainer(model).fit(X).explain(queries)
    assert (result.lower_bound <= proven.cost).all()
    assert (proven.cost <= result.cost).all()
    assert result.gap.max() > 0.01, "the test needs programmes that take longer"
    assert result.summary()["proven"] < 1 == proven.summary()["proven"]


def test_infeasible_rows_are_proven_to_be():
    X, y = make_classification(100, 3, n_informative=3, n_redundant=0, random_state=0)
    model = LogisticRegression().fit(X, y)
    rows = X[model.predict(X) == 0]
    space = FeatureSpace(immutable_features=[1, 2], permitted_range={0: (-0.1, 0.1)})
    with pytest.warns(InvalidCounterfactualWarning):
        result = ExactExplainer(model, feature_space=space).fit(X).explain(rows)
    lost = result.status == "infeasible"
    assert lost.any()
    assert (result.lower_bound[lost] == np.inf).all()
    best = np.where(model.coef_[0, 0] > 0, 0.1, -0.1)
    assert_array_equal(lost, model.predict(exact_column(rows, 0, np.full(len(rows), best))) == 0)


def test_workers_pickles_and_order_change_nothing(tumours):
    X, model, queries = tumours
    explainer = ExactExplainer(model, n_jobs=1).fit(X)
    expected = explainer.explain(queries)
    two = ExactExplainer(model, n_jobs=2).fit(X).explain(queries[:4])
    assert_frame_equal(two.X_cf, expected.X_cf[:4])
    copy = pickle.loads(pickle.dumps(explainer))
    assert_frame_equal(copy.explain(queries[::-1]).X_cf, expected.X_cf[::-1])


def test_missing_numbers_are_filled_where_that_is_cheapest():
    X, y = make_classification(300, 4, n_informative=4, n_redundant=0, random_state=0)
    rng = np.random.default_rng(0)
    X[rng.random(X.shape) < 0.2] = np.nan
    for model in (
        make_pipeline(SimpleImputer(), LogisticRegression()),
        make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
        make_pipeline(SimpleImputer(add_indicator=True), DecisionTreeClassifier(max_depth=5)),
        HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=6),
    ):
        space = FeatureSpace(feature_weights={0: 0.05})
        explainer = ExactExplainer(model.fit(X, y), feature_space=space).fit(X)
        result = explainer.explain(X[:80])
        assert (model.predict(result.X_cf) == 1).all()
        filled = np.isnan(X[:80]) & ~np.isnan(result.X_cf)
        assert filled[:, 0].any()
        assert not (~np.isnan(X[:80]) & np.isnan(result.X_cf)).any()
        found = result.status == "found"
        assert (result.gap[found] <= 1e-4).all()
        nearest = NearestExplainer(model, feature_space=space, n_neighbors=10).fit(X)
        assert (result.cost <= nearest.explain(X[:80]).cost * (1 + 1e-6) + 1e-9).all()


def test_what_cannot_be_proven_is_said():
    X, y = make_classification(200, 4, n_informative=4, n_redundant=0, random_state=0)
    model = make_pipeline(KNNImputer(), LogisticRegression()).fit(X, y)
    explainer = ExactExplainer(model).fit(X)
    rows = X[model.predict(X) == 0][:5].copy()
    rows[:2, 0] = np.nan
    with pytest.warns(ConvergenceWarning, match="of 5 rows are not proven to be within tol"):
        result = explainer.explain(rows)
    assert (result.lower_bound[:2] == 0).all()
    assert (result.gap[2:] <= 1e-4).all()


UNSUPPORTED = {
    "radial": (SVC(), "of another kind"),
    "neighbours": (KNeighborsClassifier(), "of another kind"),
    "network": (MLPClassifier((4,), max_iter=2000, random_state=0), "of another kind"),
    "products": (make_pipeline(PolynomialFeatures(), LogisticRegression()), "Polynomial"),
    "mixtures": (make_pipeline(PCA(3), RandomForestClassifier(3)), "mixtures of columns"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_other_models_are_refused_with_those_that_are_not(name):
    X, y = make_classification(100, 5, random_state=0)
    model, reason = UNSUPPORTED[name]
    with pytest.raises(ValueError, match=reason) as error:
        ExactExplainer(model.fit(X, y)).fit(X)
    for kind in ("LogisticRegression", "HistGradientBoostingClassifier", "linear kernel"):
        assert kind in str(error.value)


def test_functions_and_modules_are_refused():
    torch = pytest.importorskip("torch")
    X = make_classification(100, 5, random_state=0)[0]
    for model in (lambda X: (X[:, 0] > 0).astype(int), torch.nn.Linear(5, 2)):
        with pytest.raises(ValueError, match="cannot write"):
            ExactExplainer(model).fit(X)


@pytest.mark.parametrize(
    "parameter", [{"time_limit": 0}, {"tol": 1.0}, {"tol": -1}, {"min_margin": -1}, {"n_jobs": 0}]
)
def test_parameters_are_checked(parameter):
    X, y = make_classification(50, 4, random_state=0)
    model = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=f"The '{next(iter(parameter))}' parameter"):
        ExactExplainer(model, **parameter).fit(X)


def test_principal_components_before_a_linear_model_are_fine():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, y)
    result = ExactExplainer(FrozenEstimator(model), target_class=2).fit(X).explain(X)
    assert_array_equal(model.predict(result.X_cf), 2)
    assert (result.gap <= 1e-4).all()


def test_polars_rows():
    pl = pytest.importorskip("polars")
    X, y = load_iris(return_X_y=True)
    frame = pl.DataFrame(X, schema=list("abcd"))
    model = LogisticRegression(max_iter=500).fit(frame, y)
    X_cf = ExactExplainer(model, target_class=1).fit(frame).transform(frame)
    assert X_cf.schema == frame.schema
    assert (model.predict(X_cf) == 1).all()


class Interrupting(LogisticRegression):
    """A classifier that is interrupted in the middle of a long fit of the explainer."""

    interrupt_ = False

    def predict(self, X):
        if self.interrupt_:
            raise KeyboardInterrupt
        return super().predict(X)


def test_interrupted_refit_leaves_the_old_fit():
    X, y = load_iris(return_X_y=True)
    model = Interrupting(max_iter=500).fit(X, y)
    explainer = ExactExplainer(model, target_class=1).fit(X)
    attributes = dict(vars(explainer))
    model.interrupt_ = True
    with pytest.raises(KeyboardInterrupt):
        explainer.fit(X[:100])
    assert vars(explainer) == attributes
