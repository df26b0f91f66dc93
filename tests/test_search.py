"""The local search: knapsacks, moves, what is put together of them, and what they save."""

import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import boosted_pipeline, mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skcf import (
    ExactExplainer,
    FeatureSpace,
    InvalidCounterfactualWarning,
    NearestExplainer,
    _assemble,
    _moves,
)
from skcf._assemble import assemble
from skcf._classifiers import read_classifier
from skcf._distinct import distinct_rows
from skcf._knapsack import Knapsack
from skcf._moves import Moves
from skcf._oracle import Oracle

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)


def explained(model, X, queries=None, **params):
    explainer = NearestExplainer(model, **params).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X if queries is None else queries)


# ---- knapsacks ----------------------------------------------------------------------------------


def sets_of_moves(feature):
    """All sets with at most one move of each feature."""
    listed = [[None, *np.flatnonzero(feature == j)] for j in np.unique(feature)]
    return [[m for m in some if m is not None] for some in itertools.product(*listed)]


def random_knapsacks(seed, n_rows=6):
    rng = np.random.default_rng(seed)
    feature = np.sort(rng.integers(0, 4, 9))
    parts = rng.integers(-5, 12, (n_rows, 9))
    cost = rng.integers(1, 30, (n_rows, 9)) / 8.0  # sums are exact in single precision
    cost[parts < 0] *= -1
    cost[rng.random(cost.shape) < 0.15] = np.inf
    return feature, parts, cost


@pytest.mark.parametrize("seed", range(12))
def test_knapsack_is_as_cheap_as_the_cheapest_of_all_sets(seed):
    feature, parts, cost = random_knapsacks(seed)
    knapsack = Knapsack(feature, parts, cost, 50)  # more than all moves together can add
    sets = sets_of_moves(feature)
    assert len(sets) > 20
    for demand in (-4, 0, 1, 5, 12, 40):
        chosen = knapsack.choose(np.full(len(parts), demand))
        for i, picked in enumerate(chosen):
            had = np.array([parts[i, s].sum() for s in sets])
            price = np.array([cost[i, s].sum() for s in sets])
            possible = np.isfinite(price) & (had >= demand)
            assert np.bincount(feature[picked], minlength=1).max(initial=0) <= 1
            if possible.any():
                assert parts[i, picked].sum() >= demand
                assert cost[i, picked].sum() == price[possible].min()
            else:
                most_had = had[np.isfinite(price)].max()
                assert parts[i, picked].sum() == most_had


def test_knapsack_never_uses_what_costs_infinity_and_chooses_nothing_for_nothing():
    feature = np.array([0, 1])
    knapsack = Knapsack(feature, np.array([[5, 5]]), np.array([[np.inf, 1.0]]), 8)
    assert knapsack.choose(np.array([5])).tolist() == [[False, True]]
    assert knapsack.choose(np.array([8])).tolist() == [[False, True]]  # as much as can be had
    assert knapsack.choose(np.array([0])).tolist() == [[False, False]]
    assert knapsack.choose(np.array([-100])).tolist() == [[False, False]]


def test_knapsack_gives_back_what_is_not_needed_and_no_more():
    # three moves that save cost and take parts away; seven parts too many
    feature, parts = np.array([0, 1, 2]), np.array([[-4, -3, -2]])
    knapsack = Knapsack(feature, parts, np.array([[-1.0, -0.9, -0.3]]), 10)
    assert knapsack.choose(np.array([-7])).tolist() == [[True, True, False]]
    assert knapsack.choose(np.array([-6])).tolist() == [[True, False, True]]
    assert knapsack.choose(np.array([-1])).tolist() == [[False, False, False]]


def test_knapsack_of_losses_beyond_its_range_is_not_too_hopeful():
    # the loss is greater than all that can be had
    knapsack = Knapsack(np.array([0, 1]), np.array([[-21, 10]]), np.array([[-9.0, 1.0]]), 10)
    assert knapsack.choose(np.array([-10])).tolist() == [[False, False]]
    assert knapsack.choose(np.array([5])).tolist() == [[False, True]]


# ---- moves --------------------------------------------------------------------------------------


def moves_of(X, space=None):
    space = (FeatureSpace() if space is None else space).fit(X)
    return Moves(space.transform(X), space.constraints_), space


def test_numbers_are_moved_some_quantiles_up_and_down():
    X = pd.DataFrame({"a": np.arange(32.0), "b": np.arange(32.0)})
    moves, _ = moves_of(X)
    values = moves.values(0, np.array([15.0, 15.5]), np.array([15.0, 7.0]))
    assert values[:, 0].tolist() == [15.0, 7.0]
    steps = np.sort(_moves.STEPS)
    assert_array_equal(values[0, 1:], np.clip(15 + np.concatenate([-steps, steps]), 0, 31))
    below, above = 16 - steps, 15 + steps  # 15.5 is between two
    assert_array_equal(values[1, 1:], np.clip(np.concatenate([below, above]), 0, 31))
    assert moves.n_values == 2 * values.shape[1]


def test_columns_of_many_values_have_so_many_quantiles_of_the_distinct_ones():
    X = pd.DataFrame({"a": np.concatenate([np.zeros(5000), np.arange(1000.0)])})
    moves, _ = moves_of(X)
    values = moves.values(0, np.array([0.0]), np.array([0.0]))[0]
    assert len(np.unique(values)) > 5  # and not zeros throughout
    assert values.max() == 999
    assert np.isin(values, X["a"]).all()


def test_categories_are_all_those_permitted():
    X, _ = mixed_population(200)
    moves, _ = moves_of(X, SPACE)
    job = list(X).index("job")
    values = moves.values(job, np.array([3.0, np.nan, -1.0]), np.array([0.0, np.nan, 1.0]))
    assert_array_equal(values[:, 0], [0.0, np.nan, 1.0])
    assert_array_equal(values[:, 1:], np.tile([0.0, 1.0, 2.0], (3, 1)))
    assert list(moves.features) == [j for j, name in enumerate(X) if name != "sex"]


def test_of_many_categories_the_commonest_are_tried(monkeypatch):
    monkeypatch.setattr(_moves, "MOST_CATEGORIES", 2)
    X = pd.DataFrame({"a": list("abbcccd")})
    moves, _ = moves_of(X)
    assert moves.values(0, np.zeros(1), np.zeros(1)).tolist() == [[0.0, 1.0, 2.0]]


def test_missing_numbers_are_tried_with_values_and_columns_without_any_with_none():
    X = pd.DataFrame({"a": np.append(np.arange(40.0), np.nan), "gone": np.full(41, np.nan)})
    moves, _ = moves_of(X)
    values = moves.values(0, np.array([np.nan]), np.array([np.nan]))[0]
    assert np.isnan(values[0])
    assert not np.isnan(values[1:]).any()
    assert np.ptp(values[1:]) > 20
    gone = moves.values(1, np.array([np.nan]), np.array([np.nan]))
    assert_array_equal(gone, [[np.nan]])


def test_wide_tables_have_fewer_moves_a_feature():
    rng = np.random.default_rng(0)
    narrow, _ = moves_of(pd.DataFrame(rng.normal(size=(100, 3))))
    wide, _ = moves_of(pd.DataFrame(rng.normal(size=(100, 500))))
    assert narrow.n_values == 3 * (1 + 2 * len(_moves.STEPS))
    assert wide.n_values == 500 * 3


# ---- putting together ---------------------------------------------------------------------------


def discrete_population(n=300, seed=0):
    """Few values each, so that all rows can be tried."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(0, 6, n),
            "hours": rng.integers(0, 5, n),
            "job": rng.choice(["a", "b", "c", "d"], n),
            "owner": rng.random(n) < 0.5,
            "level": rng.choice(["low", "mid", "top"], n),
        }
    )


def additive(X, seed=0):
    """A score that adds up over the features, of a function that gives logits."""
    rng = np.random.default_rng(seed)
    points = {
        name: dict(zip(np.unique(X[name]), rng.normal(size=X[name].nunique()), strict=True))
        for name in X
    }
    total = sum(X[name].map(points[name]).to_numpy(float) for name in X)
    bar = np.quantile(total, 0.8)

    def scores(X):
        score = sum(X[name].map(points[name]).to_numpy(float) for name in X) - bar
        return np.column_stack([np.zeros(len(X)), score])

    return scores


def brute_force(model, X, queries, space, metric="cityblock"):
    """Least cost over all rows that there can be, for each query."""
    space = space.fit(X)
    every = pd.DataFrame(
        list(itertools.product(*(np.unique(X[name]) for name in X))), columns=list(X)
    ).astype(X.dtypes)
    scores = model(every)
    good = every[scores[:, 1] - scores[:, 0] >= 1e-4]
    return space.pairwise_cost(queries, good, metric=metric).min(axis=1)


@pytest.mark.parametrize("metric", ["cityblock", "euclidean", "sqeuclidean"])
@pytest.mark.parametrize("seed", range(3))
def test_additive_models_of_discrete_features_are_solved(seed, metric):
    X = discrete_population(seed=seed)
    model = additive(X, seed)
    space = FeatureSpace(
        ordinal_features={"level": ["low", "mid", "top"]},
        change_direction={"age": +1},
        feature_weights={"job": 0.5},
    )
    result = explained(model, X, feature_space=space, metric=metric)
    best = brute_force(model, X, X, space, metric)
    moved = result.status != "already_target"
    assert moved.sum() > 100
    assert_array_equal(result.status[moved] == "found", np.isfinite(best[moved]))
    found = result.status == "found"
    assert (result.cost[found] >= best[found] - 1e-9).all()
    optimal = result.cost[found] <= best[found] + 1e-9
    assert optimal.mean() > 0.95
    assert result.cost[found].mean() <= 1.015 * best[found].mean()
    quick = explained(model, X, feature_space=space, metric=metric, refine="quick")
    assert (quick.cost[found] <= best[found] + 1e-9).mean() < optimal.mean()


class Task:
    """Rows to put counterfactuals together for."""

    def __init__(self, model, X, queries, space=SPACE, code=1):
        self.space = space.fit(X)
        table = self.space._tabulate(X)
        self.reader = read_classifier(model, self.space, table)
        self.moves = Moves(self.space._encode(table), self.space.constraints_)
        self.queries, self.Z = queries, self.space.transform(queries)
        rejected = self.oracle().origin_labels() != code
        self.rows = np.flatnonzero(rejected)
        self.Z = self.Z[rejected]
        self.target = np.full(len(self.Z), code)

    def oracle(self):
        return Oracle(self.reader, self.space, self.space._tabulate(self.queries))

    def assembled(self, part=slice(None), current=None, **params):
        params = {"metric": "cityblock", "min_margin": 1e-4, **params}
        current = self.Z if current is None else current
        arrays = (self.Z[part], current[part], self.rows[part], self.target[part])
        return assemble(*arrays, self.oracle(), self.moves, **params)

    def written(self, Z, rows):
        return self.space.inverse_transform(Z, reference=self.queries.iloc[rows])


@pytest.fixture(scope="module", params=["scores", "labels only"])
def task(request, population):
    X, _, model = population
    return Task(model if request.param == "scores" else model.predict, X, X[:150])


def test_what_is_put_together_is_allowed_and_valid(task, population):
    of, found = task.assembled()
    assert len(np.unique(of)) > 0.9 * len(task.Z)
    written = task.written(found, task.rows[of])
    assert task.space.feasible(task.queries.iloc[task.rows[of]], written).all()
    assert (population[2].predict(written) == "yes").all()


def test_what_is_put_together_is_listed_once(task):
    of, found = task.assembled()
    assert len(distinct_rows(of, found)[0]) == len(of)


def test_a_row_does_not_depend_on_the_others(task, monkeypatch):
    of, found = task.assembled()
    order = np.random.default_rng(0).permutation(len(task.Z))
    shuffled_of, shuffled = task.assembled(order)
    for i, place in enumerate(order[:40]):
        assert_allclose(shuffled[shuffled_of == i], found[of == place])
    _, one = task.assembled(slice(7, 8))
    assert_allclose(one, found[of == 7])
    monkeypatch.setattr(_assemble, "BLOCK_ELEMENTS", 6000)  # some rows, and some moves, at a time
    small_of, small = task.assembled()
    assert_array_equal(small_of, of)
    assert_allclose(small, found)


def test_input_is_not_written_to(task):
    Z = task.Z.copy()
    task.assembled()
    assert_array_equal(task.Z, Z)


def test_beginning_from_a_counterfactual_changes_are_exchanged():
    X = discrete_population()

    def scores(X):  # the job alone is dear, the hours cheap; either will do
        score = (X["job"].eq("d") + X["hours"] / 4).to_numpy(float) - 0.9
        return np.column_stack([np.zeros(len(X)), score])

    space = FeatureSpace(feature_weights={"hours": 0.1})
    queries = X.assign(job="a", hours=0)[:5]
    task = Task(scores, X, queries, space)
    current = task.Z.copy()
    current[:, list(X).index("job")] = 3
    of, found = task.assembled(current=current)
    best = [task.space.costs_.between(found[of == i], task.Z[[i]]).min() for i in range(5)]
    assert_allclose(best, 0.1)


def test_beginning_from_too_many_changes_those_are_undone_that_can_be_done_without():
    X = discrete_population(seed=1)
    model, space = additive(X, 1), FeatureSpace()
    task = Task(model, X, X, space)
    best = brute_force(model, X, X.iloc[task.rows], space)
    good = X.iloc[np.flatnonzero(model(X)[:, 1] > 1e-4)[[0]]]
    current = np.tile(task.space.transform(good), (len(task.Z), 1))
    of, found = task.assembled(current=current)
    cost = task.space.costs_.between(found, task.Z[of])
    least = np.full(len(task.Z), np.inf)
    np.minimum.at(least, of, cost)
    before = task.space.costs_.between(current, task.Z)
    assert (least <= before + 1e-12).mean() > 0.95
    assert (least <= best + 1e-9).mean() > 0.6


def test_row_that_the_constraints_alone_make_valid_needs_no_more():
    X = pd.DataFrame({"hours": np.arange(80), "pay": np.arange(80.0)})
    space = FeatureSpace(permitted_range={"hours": (0, 40)})

    def scores(X):
        return np.column_stack([np.zeros(len(X)), 50.5 - X["hours"]])

    result = explained(scores, X, pd.DataFrame({"hours": [70], "pay": [3.0]}), feature_space=space)
    assert result.X_cf.to_numpy().tolist() == [[40, 3.0]]


def test_rows_that_cannot_get_nothing():
    X = discrete_population()

    def scores(X):
        return np.column_stack([np.ones(len(X)), 0.1 * X["age"]])

    task = Task(scores, X, X[:20], FeatureSpace())
    of, found = task.assembled()
    assert of.shape == (0,)
    assert found.shape == (0, X.shape[1])


def test_where_nothing_may_change_nothing_is_asked():
    X = discrete_population()
    space = FeatureSpace(immutable_features=list(X))
    task = Task(additive(X), X, X[:20], space)
    assert task.moves.n_values == 0
    assert len(task.assembled()[0]) == 0
    result = explained(additive(X), X, X[:20], feature_space=space)
    assert set(result.status) == {"already_target", "infeasible"}


def test_scores_that_say_what_the_labels_do_not_are_not_believed():
    class Disagreeing:
        classes_ = np.array([0, 1])

        def predict(self, X):
            return ((X["a"] >= 9) & (X["b"] >= 9)).astype(int).to_numpy()

        def decision_function(self, X):
            both = np.minimum(X["a"], X["b"]).to_numpy(float)
            real = X["a"].to_numpy() == X["b"].to_numpy()  # as in fit
            return np.where(real, both - 8.5, X["a"] - 8.5)

    X = pd.DataFrame({"a": np.arange(12), "b": np.arange(12)})
    result = explained(Disagreeing(), X, X[:6])
    assert (result.status == "found").all()
    assert (result.X_cf.to_numpy() == 9).all()


def test_rows_that_no_training_row_helps_are_put_together_for():
    X = pd.DataFrame({"name": [f"n{i}" for i in range(60)], "a": np.arange(60) % 30})
    space = FeatureSpace(
        immutable_features=["name"], change_direction={"a": -1}, permitted_range={"a": (0, 29)}
    )

    def scores(X):  # no row of fit is in the target for n50, or becomes so by its name
        odd = X["name"].eq("n50")
        score = np.where(odd, X["a"].isin([8]) - 0.5, X["a"] - 20.5)
        return np.column_stack([np.zeros(len(X)), score])

    queries = X.iloc[[50]]
    assert scores(queries)[0, 1] < 0
    result = explained(scores, X, queries, feature_space=space)
    assert result.status.tolist() == ["found"]
    assert result.X_cf["a"].tolist() == [8]
    quick = explained(scores, X, queries, feature_space=space, refine="quick")
    assert quick.status.tolist() == ["infeasible"]


@pytest.mark.parametrize("target_class", [2, "other"])
def test_several_classes(target_class):
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    result = explained(model, X, target_class=target_class)
    before, after = model.predict(X), model.predict(result.X_cf)
    found = result.status == "found"
    assert found.sum() >= 90
    assert ((after != before) if target_class == "other" else (after == 2))[found].all()
    quick = explained(model, X, target_class=target_class, refine="quick")
    assert (result.cost[found] <= quick.cost[found] + 1e-12).all()
    assert result.cost[found].mean() < 0.98 * quick.cost[found].mean()


def test_implications_and_linked_columns_are_kept():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 4, 300)
    X = pd.DataFrame(
        {
            "school": np.array(["none", "school", "college", "master"])[code],
            "years": np.array([0, 9, 12, 17])[code],
            "age": rng.integers(18, 70, 300),
            "pay": rng.normal(size=300),
        }
    )
    space = FeatureSpace(
        ordinal_features={"school": ["none", "school", "college", "master"]},
        linked_features=[["school", "years"]],
        implications={"school": ("age", 2.0)},
        feature_weights={"pay": 20},
    )

    def scores(X):
        score = X["years"] / 5 + X["pay"] - 2.7
        return np.column_stack([np.zeros(len(X)), score])

    result = explained(scores, X, feature_space=space)
    found = result.status == "found"
    X_cf, fitted = result.X_cf[found], space.fit(X)
    assert fitted.feasible(X[found], X_cf).all()
    assert set(zip(X_cf["school"], X_cf["years"], strict=True)) <= set(
        zip(X["school"], X["years"], strict=True)
    )
    risen = (X_cf["years"] > X["years"][found]).to_numpy()
    assert risen.sum() > 50
    assert ((X_cf["age"] - X["age"][found]) >= 2)[risen].all()
    assert (scores(X_cf)[:, 1] >= 1e-4).all()


def test_missing_values_are_kept_or_filled_and_never_made(population):
    X, _, model = population
    result = explained(model, X, target_class="yes", feature_space=SPACE)
    made = result.X_cf.isna() & ~X.isna()
    assert not made.to_numpy().any()
    kept = result.X_cf.isna().to_numpy()[result.status == "found"]
    assert kept.any()
    filled = (X.isna() & ~result.X_cf.isna()).to_numpy()
    assert filled.any()


# ---- the modes ----------------------------------------------------------------------------------


def linear_pipeline(X, y):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job", "sex", "owner"]),
        (StandardScaler(), ["age", "income", "hours"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(X, y)


@pytest.fixture(scope="module", params=["linear", "boosted", "labels only"])
def explained_by_modes(request):
    X, y = mixed_population(300, missing=False)
    model = (
        linear_pipeline(X, y)
        if request.param == "linear"
        else boosted_pipeline(X, y, ["job", "sex"])
    )
    asked = model.predict if request.param == "labels only" else model
    params = {"target_class": "yes", "feature_space": SPACE}
    modes = {m: explained(asked, X, refine=m, **params) for m in (True, "quick", False)}
    return SimpleNamespace(X=X, model=model, asked=asked, modes=modes)


def test_more_thorough_is_never_dearer_on_any_row(explained_by_modes):
    thorough, quick, real = (explained_by_modes.modes[m] for m in (True, "quick", False))
    found = real.status == "found"
    assert found.sum() > 100
    for better, worse in ((thorough, quick), (quick, real)):
        assert (better.cost[found] <= worse.cost[found] + 1e-12).all()
        assert better.cost[found].mean() < 0.95 * worse.cost[found].mean()
        assert (better.n_queries[found] > worse.n_queries[found]).mean() > 0.9
    assert (thorough.status[found] == "found").all()
    assert set(explained_by_modes.model.predict(thorough.X_cf[found])) == {"yes"}


def test_one_row_or_many_is_the_same(explained_by_modes):
    X, result = explained_by_modes.X, explained_by_modes.modes[True]
    explainer = NearestExplainer(
        explained_by_modes.asked, target_class="yes", feature_space=SPACE
    ).fit(X)
    order = np.random.default_rng(0).permutation(len(X))[:80]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        part = explainer.explain(X.iloc[order])
        alone = [explainer.explain(X.iloc[[i]]) for i in order[:8]]
    assert_allclose(part.cost, result.cost[order], atol=1e-9)
    assert_array_equal(part.n_changes, result.n_changes[order])
    assert_array_equal(part.n_queries, result.n_queries[order])
    singles = np.concatenate([one.cost for one in alone])
    assert_allclose(singles, result.cost[order[:8]], atol=1e-9)


def test_costs_are_near_the_proven_optimum(explained_by_modes):
    here = explained_by_modes
    if here.asked is not here.model:
        pytest.skip("a function of labels has no programme")
    thorough = here.modes[True]
    rows = np.flatnonzero(thorough.status == "found")[:25]
    exact = ExactExplainer(here.model, target_class="yes", feature_space=SPACE).fit(here.X)
    proven = exact.explain(here.X.iloc[rows])
    assert (proven.status == "found").all()
    ratio = thorough.cost[rows] / proven.lower_bound
    assert (ratio >= 1 - 1e-3).all()
    assert ratio.mean() <= 1.3
    assert np.median(ratio) <= 1.05


@pytest.mark.parametrize("refine", ["slow", "thorough", None, 3])
def test_refine_that_is_no_mode_is_refused(refine):
    X, y = make_classification(60, 4, random_state=0)
    with pytest.raises(ValueError, match="The 'refine' parameter of NearestExplainer"):
        NearestExplainer(refine=refine).fit(X, y)


def test_wide_tables_take_bounded_memory_and_time():
    tracemalloc = pytest.importorskip("tracemalloc")
    X, y = make_classification(200, 300, n_informative=20, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    queries = X[model.predict(X) == 0][:20]
    tracemalloc.start()
    try:
        result = explainer.explain(queries)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result.status == "found").all()
    assert peak < 300 * 2**20


# ---- distinct rows ------------------------------------------------------------------------------


def test_distinct_rows_are_told_apart_and_missing_values_are_equal():
    of = np.array([0, 0, 1, 0])
    Z = np.array([[1.0, np.nan], [1.0, np.nan], [1.0, np.nan], [2.0, np.nan]])
    first, twin_of = distinct_rows(of, Z)
    assert sorted(first) == [0, 2, 3]
    assert_array_equal(first[twin_of], [0, 0, 2, 3])
