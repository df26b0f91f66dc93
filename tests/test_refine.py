"""Refining: valid, allowed, cheaper, and no more changes than it takes."""

import numpy as np
import pandas as pd
import pytest
from conftest import mixed_population
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skcf import FeatureSpace
from skcf._classifiers import read_classifier
from skcf._oracle import Oracle
from skcf._refine import INNER_STEP, N_CUTS, refine
from skcf._targets import TargetRows

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)


class Task:
    """Rows to be refined: each query with its nearest training rows of the target class."""

    def __init__(self, model, X, queries, space=SPACE, k=2, **params):
        self.model, self.queries, self.params = model, queries, params
        self.space = space.fit(X)
        table = self.space._tabulate(X)
        self.reader = read_classifier(model, self.space, table)
        labels = Oracle(self.reader, self.space, table).origin_labels()
        targets = TargetRows(self.space._encode(table), labels, self.space)
        Z = self.space.transform(queries)
        own = self.oracle().origin_labels()
        index, _ = targets.nearest(Z, own, 1, k=k)
        self.rows, rank = np.nonzero((index >= 0) & (own != 1)[:, None])
        self.Z, self.start = Z[self.rows], targets.Z[index[self.rows, rank]]
        self.target = np.ones(len(self.rows), dtype=int)

    def oracle(self):
        return Oracle(self.reader, self.space, self.space._tabulate(self.queries))

    def refined(self, part=slice(None)):
        oracle = self.oracle()
        parts = (array[part] for array in (self.Z, self.start, self.rows, self.target))
        Z, start, rows, target = parts
        return refine(Z, start, rows, target, oracle, **self.params), oracle

    def written(self, Z, rows):
        return self.space.inverse_transform(Z, reference=self.queries.iloc[rows])


def logistic_pipeline(X, y):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job", "sex", "owner"]),
        (StandardScaler(), ["age", "income", "hours"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(X, y)


@pytest.fixture(scope="module", params=["boosted", "logistic", "labels only"])
def task(request, population):
    X, y, model = population
    if request.param == "logistic":
        X, y = mixed_population(missing=False)
        model = logistic_pipeline(X, y)
        return Task(model, X, X[:150], metric="euclidean")
    predict = model.predict if request.param == "labels only" else model
    return Task(predict, X, X[:150])


def predicted(model, rows):
    return model(rows) if callable(model) else model.predict(rows)


# ---- what holds for every row ---------------------------------------------------------------


def test_refined_rows_are_valid_and_allowed_and_cost_no_more(task):
    refined, _ = task.refined()
    assert len(refined) > 100
    written = task.written(refined, task.rows)
    assert (predicted(task.model, written) == "yes").all()
    assert task.space.feasible(task.queries.iloc[task.rows], written).all()
    metric = task.params.get("metric", "cityblock")
    cost = task.space.costs_.between(refined, task.Z, metric)
    before = task.space.costs_.between(task.start, task.Z, metric)
    assert (cost <= before + 1e-12).all()
    assert np.mean(cost < 0.9 * before) > 0.5
    changes, changes_before = (np.sum(Z != task.Z, axis=1) for Z in (refined, task.start))
    assert (changes <= changes_before).all()


def test_no_change_can_be_undone_alone(task):
    refined, oracle = task.refined()
    base = task.space.project(task.Z, task.Z)
    of, feature = np.nonzero((refined != base) & ~(np.isnan(refined) & np.isnan(base)))
    assert len(of) > 100
    undone = refined[of]
    undone[np.arange(len(of)), feature] = base[of, feature]
    still = predicted(task.model, task.written(undone, task.rows[of])) == "yes"
    if oracle.has_scores:  # just beyond the boundary is not enough
        still &= oracle.margin(undone, task.rows[of], task.target[of]) >= 1e-4
    assert not still.any()


def test_margin_is_kept(task):
    refined, oracle = task.refined()
    margin = oracle.margin(refined, task.rows, task.target)
    untouched = (refined == task.start).all(axis=1)
    assert (margin[~untouched] >= 1e-4 - 1e-9).all()


def test_a_row_does_not_depend_on_the_others(task):
    whole, _ = task.refined()
    order = np.random.default_rng(0).permutation(len(whole))
    assert_allclose(task.refined(order)[0], whole[order])
    assert_allclose(task.refined(slice(5, 25))[0], whole[5:25])
    assert_allclose(task.refined([0])[0], whole[:1])


def test_number_of_calls_does_not_grow_with_the_number_of_rows(task):
    few = np.arange(10)
    many = np.tile(few, 30)
    calls = [task.refined(part)[1].n_calls for part in (few, many)]
    assert calls[0] == calls[1]
    n_features = task.Z.shape[1]
    undoing = 2 * n_features + 2  # each look undoes a change, or is the last before a new round
    shortening = n_features * (N_CUTS + 2)  # the ranges of whole numbers are below 2**16
    assert task.refined()[1].n_calls <= 2 * (2 * undoing + shortening + 1)


def test_input_is_not_written_to(task):
    Z, start = task.Z.copy(), task.start.copy()
    task.refined()
    assert_array_equal(task.Z, Z)
    assert_array_equal(task.start, start)


def test_no_rows_cost_no_question(task):
    refined, oracle = task.refined(slice(0, 0))
    assert refined.shape == (0, task.Z.shape[1])
    assert oracle.n_calls == 0


# ---- by hand ------------------------------------------------------------------------------------


def refined_by_hand(rule, X, z, start, space=None, **params):
    """Refine one row under a rule of DataFrames, which says who is accepted."""
    space = (FeatureSpace() if space is None else space).fit(X)
    queries = pd.DataFrame([z], columns=X.columns).astype(X.dtypes)
    starts = pd.DataFrame([start], columns=X.columns).astype(X.dtypes)
    reader = read_classifier(rule, space, space._tabulate(X), None)
    oracle = Oracle(reader, space, space._tabulate(queries))
    code = np.array([len(reader.classes) - 1])
    encoded = space.transform(queries), space.transform(starts)
    refined = refine(*encoded, np.array([0]), code, oracle, **params)
    return space.inverse_transform(refined, reference=queries).iloc[0].tolist()


def cube(n=2, names="abc"):
    """All rows of small whole numbers."""
    grid = np.stack(np.meshgrid(*[np.arange(n)] * len(names), indexing="ij"), axis=-1)
    return pd.DataFrame(grid.reshape(-1, len(names)), columns=list(names))


def test_what_was_needed_before_another_change_was_undone_is_tried_again():
    valid = {(1, 1, 1), (0, 1, 1), (1, 0, 1), (0, 1, 0)}

    def rule(X):
        return np.array([tuple(row) in valid for row in X.to_numpy().tolist()])

    # a is undone first; then b cannot be any more, but c, which could not be before, can
    assert refined_by_hand(rule, cube(), [0, 0, 0], [1, 1, 1]) == [0, 1, 0]


def test_change_that_a_shorter_one_makes_needless_is_undone():
    def rule(X):
        return ((X["a"] >= 5) & (X["b"] > 0)) | X["a"].between(3, 4)

    X = cube(11, "ab")
    assert refined_by_hand(rule, X, [0, 0], [10, 1]) == [3, 0]


def test_change_that_buys_least_for_its_cost_is_undone_first():
    def scores(X):
        score = 3 * X["a"] + 1 * X["b"] - 0.5
        return np.column_stack([np.zeros(len(X)), score])

    assert refined_by_hand(scores, cube(2, "ab"), [0, 0], [1, 1]) == [1, 0]
    dear = FeatureSpace(feature_weights={"a": 10})
    assert refined_by_hand(scores, cube(2, "ab"), [0, 0], [1, 1], dear) == [0, 1]


@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("min_margin", [0.0, 1e-4, 0.5])
def test_optimum_of_one_continuous_feature_is_the_boundary(dtype, min_margin):
    X = pd.DataFrame({"a": np.linspace(0, 10, 50, dtype=dtype)})

    def scores(X):
        return np.column_stack([np.zeros(len(X)), 2 * X["a"].astype(float) - 7])

    (a,) = refined_by_hand(scores, X, [1.0], [9.0], min_margin=min_margin)
    best = (7 + min_margin) / 2
    assert best - 1e-6 <= a <= best + (9 - 1) * 4.0**-N_CUTS + 1e-6
    assert 2 * float(a) - 7 >= min_margin


def test_optimum_of_one_continuous_feature_where_only_labels_are_known():
    X = pd.DataFrame({"a": np.linspace(0, 10, 50)})
    (a,) = refined_by_hand(lambda X: X["a"] > 3.5, X, [1.0], [9.0])
    # a share of the change is kept in hand
    assert a == pytest.approx(3.5 + INNER_STEP * (9 - 3.5), abs=1e-3)


@pytest.mark.parametrize("labels_only", [True, False])
@pytest.mark.parametrize("threshold", [3, 123_457, 900_001])
def test_optimum_of_one_whole_number_is_exact(threshold, labels_only):
    X = pd.DataFrame({"a": np.arange(0, 1_000_001, 5000)})

    def rule(X):
        accepted = X["a"] >= threshold
        if labels_only:
            return accepted
        return np.column_stack([np.zeros(len(X)), X["a"] - threshold + 0.5])

    assert refined_by_hand(rule, X, [0], [1_000_000]) == [threshold]


def test_optimum_of_one_falling_whole_number_is_exact():
    X = pd.DataFrame({"a": np.arange(0, 1_000_001, 5000)})
    falling = FeatureSpace(change_direction={"a": -1})
    assert refined_by_hand(lambda X: X["a"] < 777, X, [1_000_000], [0], falling) == [776]


LEVELS = ["none", "low", "fair", "good", "high", "top"]


@pytest.mark.parametrize(
    "permitted, expected",
    [
        (None, "fair"),
        (["none", "good", "high", "top"], "good"),
        (["none", "high", "top"], "high"),  # nothing nearer to the middle than the ends
        (["low", "good", "top"], "good"),  # the row itself is out of range
        (("fair", "top"), "fair"),
    ],
)
def test_optimum_of_one_ordinal_feature_is_the_lowest_level_that_does(permitted, expected):
    X = pd.DataFrame({"a": LEVELS * 2})
    space = FeatureSpace(
        ordinal_features={"a": LEVELS},
        change_direction={"a": +1},
        permitted_range=None if permitted is None else {"a": permitted},
    )

    def rule(X):
        return X["a"].map(LEVELS.index) >= 2

    assert refined_by_hand(rule, X, ["none"], ["top"], space) == [expected]


def test_row_out_of_range_comes_inside_and_no_further():
    X = pd.DataFrame({"hours": np.arange(80), "pay": np.arange(80.0)})
    space = FeatureSpace(permitted_range={"hours": (10, 45), "pay": (5.5, 70)})

    def rule(X):
        return X["pay"] >= 30

    assert refined_by_hand(rule, X, [60, 35.0], [20, 60.0], space) == [45, 35.0]
    assert refined_by_hand(rule, X, [2, 75.0], [20, 60.0], space) == [10, 70.0]
    hours, pay = refined_by_hand(rule, X, [60, 3.0], [20, 60.0], space)
    assert hours == 45
    assert 30 <= pay < 31


def test_feature_that_costs_nothing_is_shortened_and_categories_are_let_alone():
    X = pd.DataFrame({"job": ["a", "b", "c", "d"] * 10, "free": np.arange(40)})
    space = FeatureSpace(feature_weights={"job": 0.5, "free": 0})
    tried = []

    def rule(X):
        tried.extend(zip(X["job"], X["free"], strict=True))
        return (X["job"] != "a") & (X["free"] >= 11)

    assert refined_by_hand(rule, X, ["a", 0], ["d", 39], space) == ["d", 11]
    assert {job for job, _ in tried[len(X) :]} == {"a", "d"}


def test_missing_values_are_gone_back_to_and_never_halved():
    X = pd.DataFrame(
        {
            "pay": [1.0, np.nan, 9.0, 5.0],
            "level": ["low", None, "top", "mid"],
            "age": [20.0, 30.0, 40.0, 50.0],
        }
    )
    space = FeatureSpace(ordinal_features={"level": ["low", "mid", "top"]})
    start = [9.0, "top", 50.0]
    gap = [np.nan, None, 20.0]

    def old_enough(X):
        return X["age"] >= 30

    pay, level, age = refined_by_hand(old_enough, X, gap, start, space)
    assert np.isnan(pay)
    assert level is None or level != level
    assert 30 <= age < 31

    def told(X):
        return X["pay"].notna() & X["level"].notna()

    assert refined_by_hand(told, X, gap, start, space) == [9.0, "top", 20.0]


def test_unseen_category_is_gone_back_to():
    X = pd.DataFrame({"job": ["a", "b"] * 5, "age": np.arange(10)})
    refined = refined_by_hand(lambda X: X["age"] >= 4, X, ["z", 0], ["b", 9])
    assert refined == ["z", 4]


def test_start_that_is_not_valid_is_not_made_worse():
    X = cube(9, "ab")

    def rule(X):
        return X["a"] == 1

    # cutting to quarters leads past the one valid value
    assert refined_by_hand(rule, X, [0, 0], [8, 8]) == [8, 8]


class Disagreeing:
    """Scores that agree with the labels on the rows of fit, but not between them."""

    classes_ = np.array([0, 1])

    def predict(self, X):
        return (X["a"] >= 6).astype(int).to_numpy()

    def decision_function(self, X):
        a = X["a"].to_numpy()
        return np.where(np.isin(a, [0, 10]), a - 5.0, a - 2.0)


def test_start_is_kept_where_scores_mislead():
    X = pd.DataFrame({"a": [0, 10]})
    assert refined_by_hand(Disagreeing(), X, [0], [10]) == [10]


def test_margin_of_zero_is_not_taken_for_valid():
    X = pd.DataFrame({"a": [0, 10], "b": [0, 10]})

    def even_votes(X):  # half and half goes to the first class
        share = np.clip(X.to_numpy().sum(axis=1) / 20, 0, 1)
        return np.column_stack([1 - share, share])

    refined = refined_by_hand(even_votes, X, [0, 0], [10, 10], min_margin=0.0)
    assert sum(refined) == 11


# ---- linear models ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear():
    """A linear model of continuous, whole and ordinal features, and its queries."""
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame(
        {
            "pay": rng.normal(size=n),
            "debt": rng.gamma(2.0, size=n),
            "count": rng.integers(0, 30, n),
            "level": rng.choice(LEVELS, n),
        }
    )
    weights = {"pay": 1.0, "debt": -0.8, "count": 0.11, "level": 0.4}

    def scores(X):
        score = sum(w * column(X, name) for name, w in weights.items()) - 3.0
        return np.column_stack([np.zeros(len(X)), score])

    space = FeatureSpace(ordinal_features={"level": LEVELS})
    return Task(scores, X, X, space=space, k=3), scores


def column(X, name):
    return X[name].map(LEVELS.index).to_numpy(float) if name == "level" else X[name].to_numpy()


def test_continuous_changes_end_at_the_boundary(linear):
    task, _ = linear
    refined, oracle = task.refined()
    margin = oracle.margin(refined, task.rows, task.target)
    assert (margin >= 1e-4 - 1e-9).all()
    has_continuous = (refined[:, :2] != task.Z[:, :2]).any(axis=1)
    gain = np.abs(task.start[:, :2] - task.Z[:, :2]) @ [1.0, 0.8]
    assert has_continuous.sum() > 100
    # the last interval of the bisection
    assert (margin <= 1e-4 + gain * 2 * 4.0**-N_CUTS)[has_continuous].all()


def test_only_change_shortened_by_a_hundredth_flips_the_label(linear):
    task, scores = linear
    refined, _ = task.refined()
    changed = refined != task.Z
    alone = (changed.sum(axis=1) == 1) & changed[:, :2].any(axis=1)
    assert alone.sum() > 50
    shorter = task.Z + 0.99 * (refined - task.Z)
    written = task.written(np.where(changed, shorter, task.Z)[alone], task.rows[alone])
    assert (scores(written)[:, 1] < 0).all()


def test_one_step_back_of_a_whole_number_or_level_flips_the_label(linear):
    task, _ = linear
    refined, oracle = task.refined()
    assert_array_equal(refined[:, 2:], np.rint(refined[:, 2:]))
    for feature in (2, 3):
        of = np.flatnonzero(refined[:, feature] != task.Z[:, feature])
        assert len(of) > 10
        back = refined[of]
        back[:, feature] -= np.sign(back[:, feature] - task.Z[of, feature])
        assert (oracle.margin(back, task.rows[of], task.target[of]) < 1e-4).all()


# ---- any rule -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    direction=st.sampled_from([None, {"a": 1}, {"b": -1, "c": 1}]),
    permitted=st.sampled_from([None, {"a": (1, 3)}, {"b": (0, 2), "c": (1, 2)}]),
    frozen=st.sampled_from([None, ["b"]]),
    metric=st.sampled_from(["cityblock", "euclidean", "sqeuclidean"]),
)
def test_any_rule_of_small_whole_numbers(seed, direction, permitted, frozen, metric):
    rng = np.random.default_rng(seed)
    table = rng.random((4, 4, 4)) < 0.4
    X = cube(4)

    def rule(X):
        return table[tuple(X.to_numpy().T)]

    space = FeatureSpace(
        change_direction=direction, permitted_range=permitted, immutable_features=frozen
    ).fit(X)
    allowed = np.isfinite(space.pairwise_cost(X, X)) & ~rule(X)[:, None] & rule(X)
    of, to = np.nonzero(allowed)
    picked = rng.permutation(len(of))[:60]
    rows, start = of[picked], space.transform(X)[to[picked]]
    Z, target = space.transform(X)[rows], np.ones(len(rows), dtype=int)
    reader = read_classifier(rule, space, space._tabulate(X), np.array([False, True]))
    oracle = Oracle(reader, space, space._tabulate(X))
    refined = refine(Z, start, rows, target, oracle, metric=metric)
    costs = space.costs_
    assert table[tuple(refined.astype(int).T)].all()
    assert np.isfinite(costs.between(refined, Z)).all()
    assert (costs.between(refined, Z, metric) <= costs.between(start, Z, metric) + 1e-12).all()
    base = space.project(Z, Z)
    for feature in range(3):
        undone = refined.copy()
        undone[:, feature] = base[:, feature]
        valid = table[tuple(undone.astype(int).T)]
        assert not (valid & (refined[:, feature] != base[:, feature])).any()
