"""Step-by-step routes: where they start, pass and end, and the numbers that tell of them."""

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import mixed_population
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from skcf import CCEExplainer, FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf.collective._move_costs import MoveCosts
from skcf.collective._path_displacement import AT_ONCE, Displacement
from skcf.collective._path_graph import N_NEIGHBORS, Backwards, PeopleGraph
from skcf.collective._path_grid import CELLS, GridRoutes
from skcf.collective._path_report import Neighbourhood
from skcf.space._constraints import same

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)
EVERY_ROUTE = ("displacement", "graph", "back_and_forth")
ON_MIXED = ("displacement", "graph")


def queries_of(X):
    """Rows that fit did not see: other values, an unseen category, gaps where it had none."""
    rows = X.iloc[:150].copy()
    rows["age"] = rows["age"] + 1
    rows.loc[rows.index[::7], "job"] = "diver"
    return rows


@pytest.fixture(scope="module")
def mixed(population):
    """A fitted explainer of the mixed population, and rows that it has not seen."""
    X, _, model = population
    explainer = CCEExplainer(model, target_class="yes", feature_space=SPACE, random_state=0).fit(X)
    return explainer, queries_of(X)


@pytest.fixture(scope="module")
def moons():
    """A fitted explainer of two moons, with two numeric features, and its rows."""
    X, y = make_moons(300, noise=0.05, random_state=0)
    model = SVC().fit(X, y)
    return CCEExplainer(model, random_state=0).fit(X, model.predict(X)), X


def interpolated(explainer, X, *args, **params):
    """Routes, with the warning about rows that got no counterfactual off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.interpolate(X, *args, **params)


def encoded(explainer, paths):
    """Encoded states, shape (n_times, n_rows, n_features)."""
    space = explainer.feature_space_
    origin = space._tabulate(paths.result.X)
    return np.array([space._encode(space._tabulate(state), origin) for state in paths.states])


def assert_same_states(paths, other):
    for state, expected in zip(paths.states, other.states, strict=True):
        assert_frame_equal(state, expected)


# ---- where routes start and end -----------------------------------------------------------------


@pytest.mark.parametrize("route", ON_MIXED)
def test_ends_are_the_rows_and_what_explain_returns(mixed, route):
    explainer, X = mixed
    paths = interpolated(explainer, X, route=route)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        result = explainer.explain(X)
    assert_frame_equal(paths.at(0), X)
    found = result.status == "found"
    assert 30 < found.sum() < len(X)
    assert_frame_equal(paths.at(-1)[found], result.X_cf[found])
    assert_frame_equal(paths.result.X_cf, result.X_cf)
    assert_array_equal(paths.result.status, result.status)


@pytest.mark.parametrize("route", EVERY_ROUTE)
def test_ends_are_exact_to_the_bit_in_numbers(moons, route):
    explainer, X = moons
    paths = explainer.interpolate(X, route=route)
    assert_array_equal(paths.at(0), X)
    assert_array_equal(paths.at(-1), explainer.transform(X))


@pytest.mark.parametrize("route", EVERY_ROUTE)
def test_rows_in_the_target_stay(moons, route):
    explainer, X = moons
    paths = explainer.interpolate(X, route=route)
    there = explainer.estimator_.predict(X) == 1
    assert_array_equal(paths.route == "none", there)
    assert (paths.route[~there] == route).all()
    assert_array_equal(paths.states[:, there], np.repeat(X[None, there], 11, axis=0))
    assert np.isnan(paths.speed_deviation[there]).all()
    assert np.isnan(paths.in_distribution[there]).all()


def test_rows_that_got_none_stay_and_are_warned_of(population):
    X, _, model = population
    space = FeatureSpace(
        immutable_features=["hours", "owner", "income"], permitted_range={"age": (30, 50)}
    )
    explainer = CCEExplainer(model, target_class="yes", feature_space=space, random_state=0).fit(X)
    with pytest.warns(InvalidCounterfactualWarning, match="got no valid") as caught:
        paths = explainer.interpolate(X, n_steps=3)
    assert [warning.filename for warning in caught] == [__file__]
    lost = np.isin(paths.result.status, ["not_found", "infeasible"])
    assert 0 < lost.sum() < len(X)
    assert (paths.route[lost] == "none").all()
    for state in paths.states:
        assert_frame_equal(state[lost], X[lost])


def test_nobody_moves(moons):
    explainer, X = moons
    paths = explainer.interpolate(X[explainer.estimator_.predict(X) == 1], n_steps=4)
    assert (paths.route == "none").all()
    assert np.isnan(paths.crowding).all()
    assert np.isnan(paths.summary()["speed_deviation"])
    assert repr(paths).endswith("150 none>")


# ---- constraints, on every state of every row ---------------------------------------------------


@pytest.mark.parametrize("route", ON_MIXED)
@pytest.mark.parametrize("times", [None, [0.01, 0.02, 0.5, 0.999]])
def test_every_state_is_allowed_for_its_row(mixed, route, times):
    explainer, X = mixed
    paths = interpolated(explainer, X, n_steps=20, times=times, route=route)
    moving = paths.route != "none"
    X, space = X[moving], explainer.feature_space_
    assert ((X["hours"] > 45) | (X["job"] == "pilot")).sum() > 10, "some cannot stay as they are"
    before = X
    for t, state in zip(paths.times, paths.states, strict=True):
        state = state[moving]
        assert_array_equal(state["sex"], X["sex"])
        assert (state["age"].to_numpy() >= before["age"].to_numpy()).all()
        assert not (state["income"].isna() & before["income"].notna()).any()
        assert state["hours"].dtype == X["hours"].dtype
        if t > 0:
            assert space.feasible(X, state).all()
            assert space.feasible(before, state).all()
            assert state["hours"].between(0, 45).all()
            kept = state["job"].isin(["clerk", "cook", "nurse"]) | state["job"].isna()
            assert kept.all(), "an unseen job is not in the range"
        before = state


@pytest.mark.parametrize("route", ON_MIXED)
def test_first_moment_is_inside_the_constraints(mixed, route):
    explainer, X = mixed
    paths = interpolated(explainer, X, times=[0, AT_ONCE], route=route)
    moving = paths.route != "none"
    assert not explainer.feature_space_.feasible(X[moving], paths.at(0)[moving]).all()
    assert explainer.feature_space_.feasible(X[moving], paths.at(1)[moving]).all()


def random_space(rng):
    """A feature space with constraints of all kinds, and rows of which some break them."""
    n = 60
    levels = ["none", "low", "mid", "high", "top"]
    X = pd.DataFrame(
        {
            "whole": rng.integers(-5, 20, n),
            "number": rng.normal(size=n),
            "single": rng.normal(size=n).astype(np.float32),
            "level": rng.choice(levels, n),
            "colour": rng.choice(["red", "green", "blue", "grey"], n),
            "shape": rng.choice(["round", "square"], n),
            "flag": rng.random(n) < 0.5,
        }
    )
    X["number"] = X["number"].mask(rng.random(n) < 0.2)
    X["colour"] = X["colour"].mask(rng.random(n) < 0.2)
    ranges = {
        "whole": (-2, 15),
        "single": (-1.5, 2.0),
        "level": list(rng.choice(levels, 3, replace=False)),
        "colour": ["red", "green"],
    }
    directed = ["whole", "number", "single", "level"]
    space = FeatureSpace(
        ordinal_features={"level": levels},
        immutable_features=list(rng.choice(X.columns, rng.integers(0, 3), replace=False)),
        change_direction={name: int(rng.choice([-1, 1])) for name in rng.choice(directed, 2)},
        permitted_range={k: v for k, v in ranges.items() if rng.random() < 0.5},
        feature_weights={"shape": float(rng.choice([0.0, 0.5, 3.0]))},
    )
    return space.fit(X), space._encode(space._tabulate(X))


def moves_of(space, Z, rng):
    """Rows and what the constraints allow them to become."""
    reference = Z[~space.constraints_.blocked(Z).any(axis=1)]
    ends = space.constraints_.project(rng.permutation(Z)[: len(reference)], reference)
    return reference, ends


def assert_steps_are_allowed(space, states, Z, ends):
    before = Z
    for state in states:
        assert space.constraints_.feasible(state, Z).all()
        assert space.constraints_.feasible(state, before).all()
        before = state
    assert same(states[-1], ends).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_straight_routes_in_any_space(seed, n_steps):
    rng = np.random.default_rng(seed)
    space, Z = random_space(rng)
    Z, ends = moves_of(space, Z, rng)
    shape = rng.normal(size=Z.shape[1])

    def margin(states, of):
        return np.sin(np.nan_to_num(states) @ shape) + of

    lines = Displacement(space, Z, ends, margin)
    assert_array_equal(lines.at(0.0), Z)
    states = np.array([lines.at(t) for t in np.linspace(0, 1, n_steps + 1)[1:]])
    assert_steps_are_allowed(space, states, Z, ends)
    path = np.concatenate([Z[None], states])
    nominal = space.constraints_.nominal
    there, here = same(path, ends), same(path, Z)
    assert (there | here)[:, :, nominal].all(), "no third category"
    switched = np.diff(there.astype(int), axis=0)
    assert (switched >= 0).all(), "what has arrived stays"
    placed = path[:, :, ~nominal]
    steps = np.diff(np.where(placed < 0, placed, placed), axis=0)
    axis = (path[0, :, ~nominal] >= -np.inf).T  # not from a missing value
    low, high = np.fmin(Z, ends)[:, ~nominal], np.fmax(Z, ends)[:, ~nominal]
    way = np.sign(ends - Z)[:, ~nominal]
    assert (steps * way >= 0)[:, axis].all(), "numbers go one way"
    assert ((placed >= low) & (placed <= high))[:, axis].all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_routes_along_people_in_any_space(seed, n_steps):
    rng = np.random.default_rng(seed)
    space, people = random_space(rng)
    Z, ends = moves_of(space, people, rng)
    graph = PeopleGraph(space, people)
    states, found = graph.routes(Z, ends, np.linspace(0, 1, n_steps + 1)[1:])
    states, Z, ends = states[:, found], Z[found], ends[found]
    assert_steps_are_allowed(space, states, Z, ends)
    known = [same(state[:, None], graph.people).all(axis=2).any(axis=1) for state in states]
    own = [same(state, Z).all(axis=1) | same(state, ends).all(axis=1) for state in states]
    assert (np.array(known) | np.array(own)).all()


# ---- displacement -------------------------------------------------------------------------------


def test_numbers_move_in_a_line_at_constant_speed(moons):
    explainer, X = moons
    times = [0.0, 0.05, 0.3, 0.9, 1.0]
    for params in ({"n_steps": 7}, {"times": times}):
        paths = explainer.interpolate(X, **params)
        ends = explainer.transform(X)
        lines = [(1 - t) * X + t * ends for t in paths.times]
        assert_allclose(paths.states, lines, rtol=0, atol=1e-15)
        assert (paths.speed_deviation[paths.route != "none"] < 1e-12).all()


def test_whole_numbers_step_when_due_and_never_back():
    X = np.column_stack([np.arange(12), np.arange(12)[::-1] * 3])
    explainer = CCEExplainer(lambda X: X[:, 0] > 8, target_class=True, random_state=0).fit(X)
    paths = explainer.interpolate(X, n_steps=40)
    assert paths.states.dtype == X.dtype
    ends = explainer.transform(X)
    line = (1 - paths.times)[:, None, None] * X + paths.times[:, None, None] * ends
    assert np.abs(paths.states - line).max() <= 0.5 + 1e-12
    assert (np.diff(paths.states, axis=0) * np.sign(ends - X) >= 0).all()


def space_of(X, **params):
    """A fitted feature space, and rows encoded."""
    space = FeatureSpace(**params).fit(X)
    return space, space._encode(space._tabulate(X))


FOUR_CATEGORIES = pd.DataFrame(
    {
        "number": [0.0, 8.0, 3.0, 5.0],
        "a": ["x", "y", "x", "y"],
        "b": ["x", "y", "y", "x"],
        "c": ["x", "y", "x", "x"],
        "d": ["x", "y", "y", "y"],
    }
)


def test_switches_come_where_each_halves_its_jump():
    weights = {"a": 1.0, "b": 4.0, "c": 3.0, "d": 2.0}
    space, Z = space_of(FOUR_CATEGORIES, feature_weights=weights)
    gains = np.array([0.0, 1.0, 4.0, 2.0, 3.0])
    lines = Displacement(space, Z[:1], Z[1:2], lambda states, of: states @ gains)
    order = lines.switch_time[0, 1:].argsort()
    assert_array_equal(order, [1, 3, 2, 0], "what gains most goes first")
    assert_allclose(lines.switch_time[0, 1:][order], [2 / 10, 5 / 10, 7.5 / 10, 9.5 / 10])
    assert np.isnan(lines.switch_time[0, 0])


def test_switch_times_follow_the_line_best():
    """No other times bring the staircase of jumps nearer to constant speed."""
    weights = np.array([4.0, 2.0, 3.0, 1.0])
    t = (np.arange(2000) + 0.5) / 2000

    def missed(times):
        stairs = (weights[:, None] * (t >= np.asarray(times)[:, None])).sum(axis=0)
        return np.mean((stairs - t * weights.sum()) ** 2)

    best = np.array([0.2, 0.5, 0.75, 0.95])
    rng = np.random.default_rng(0)
    others = [best + rng.normal(0, scale, 4) for scale in (0.01, 0.05, 0.3) for _ in range(50)]
    assert missed(best) < min(missed(np.clip(other, 0, 1)) for other in others)


def test_next_switch_is_the_one_after_which_the_margin_is_highest():
    """Greedy, in the state of that moment: a and b are worth more together than c."""
    space, Z = space_of(FOUR_CATEGORIES)
    asked = []

    def margin(states, of):
        asked.append(len(states))
        a, b, c, d = states[:, 1:].T
        return 1.0 * c + 0.1 * a + 5.0 * a * b - 2.0 * d * (states[:, 0] < 6)

    lines = Displacement(space, Z[:1], Z[1:2], margin)
    assert_array_equal(lines.switch_time[0, 1:].argsort(), [2, 0, 1, 3])
    assert asked == [4, 3, 2], "the last one is no question"
    assert_allclose(np.sort(lines.switch_time[0, 1:]), [1 / 8, 3 / 8, 5 / 8, 7 / 8])


def test_tied_switches_come_in_the_order_of_the_features():
    space, Z = space_of(FOUR_CATEGORIES)
    lines = Displacement(space, Z[:1], Z[1:2], lambda states, of: 1 + 1e-12 * states[:, 4])
    assert_array_equal(lines.switch_time[0, 1:].argsort(), [0, 1, 2, 3])


def test_switches_that_cost_nothing_are_spread_evenly():
    space, Z = space_of(FOUR_CATEGORIES, feature_weights=dict.fromkeys("abcd", 0.0))
    lines = Displacement(space, Z[:1], Z[1:2], lambda states, of: np.zeros(len(of)))
    assert_allclose(lines.switch_time[0, 1:], [1 / 8, 3 / 8, 5 / 8, 7 / 8])


def test_categories_switch_exactly_once(mixed):
    explainer, X = mixed
    paths = interpolated(explainer, X, n_steps=50)
    states, constraints = encoded(explainer, paths), explainer.feature_space_.constraints_
    switches = (~same(states[1:], states[:-1])).sum(axis=0)
    changed = ~same(states[0], states[-1])
    nominal = constraints.nominal
    assert changed[:, nominal].sum() > 20
    assert_array_equal(switches[:, nominal], changed[:, nominal])
    missing = np.isnan(states[0]) & changed
    assert missing[:, ~nominal].any(), "a missing number is filled in at once"
    assert_array_equal(switches[missing], 1)


def test_ordinal_categories_step_through_permitted_levels():
    levels = ["none", "low", "mid", "high", "top"]
    X = pd.DataFrame({"level": levels, "number": np.arange(5.0)})
    space, Z = space_of(
        X, ordinal_features={"level": levels}, permitted_range={"level": ["low", "high", "top"]}
    )
    ends = np.repeat(Z[4:], 5, axis=0)
    lines = Displacement(space, Z, ends, None)
    seen = np.array([lines.at(t)[:, 0] for t in np.linspace(0, 1, 41)])
    passed = [list(dict.fromkeys(column)) for column in seen.T]
    assert passed == [[0, 1, 3, 4], [1, 3, 4], [2, 3, 4], [3, 4], [4]]


def test_nearest_level_lies_between_the_ends():
    """The nearest permitted level to the start may be the wrong way."""
    levels = list("abcdefg")
    X = pd.DataFrame({"level": levels, "number": np.arange(7.0)})
    space, Z = space_of(
        X, ordinal_features={"level": levels}, permitted_range={"level": ["a", "g"]}
    )
    lines = Displacement(space, Z[1:2], Z[6:], None)
    assert {lines.at(t)[0, 0] for t in np.linspace(0.01, 1, 30)} == {6.0}


def test_an_unseen_level_has_no_place_and_switches_once():
    levels = ["low", "mid", "high", "top"]
    X = pd.DataFrame({"level": levels, "number": np.arange(4.0)})
    space, Z = space_of(X, ordinal_features={"level": levels})
    unseen = space.transform(pd.DataFrame({"level": ["odd"], "number": [0.0]}))
    lines = Displacement(space, unseen, Z[3:], None)
    assert [lines.at(t)[0, 0] for t in (0, 0.2, 0.49, 0.5, 1)] == [-1, -1, -1, 3, 3]


def test_values_out_of_range_wait_at_the_bound_for_the_line():
    X = pd.DataFrame({"number": [0.0, 10.0, 20.0], "whole": [1, 2, 3]})
    space, Z = space_of(X, permitted_range={"number": (0, 12)})
    lines = Displacement(space, Z[2:], Z[:1], None)
    times = [0, 0.1, 0.3, 0.5, 1]
    assert [lines.at(t)[0, 0] for t in times] == [20.0, 12.0, 12.0, 10.0, 0.0]


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_nobody_is_overtaken_in_one_dimension(penalty):
    """Optimal for the squared cost: routes do not cross."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 1))
    explainer = CCEExplainer(
        lambda X: (X[:, 0] > 0.5) | (X[:, 0] < -1.2),
        target_class=True,
        crowding_penalty=penalty,
        random_state=0,
    ).fit(X)
    moved = np.sort(X[explainer.explain(X).status == "found"], axis=0)
    paths = explainer.interpolate(moved, n_steps=25)
    assert (np.diff(paths.states[..., 0], axis=1) >= -1e-12).all()


# ---- one row at a time --------------------------------------------------------------------------


@pytest.mark.parametrize("route", ON_MIXED)
def test_states_do_not_depend_on_the_other_rows_or_times(mixed, route):
    explainer, X = mixed
    whole = interpolated(explainer, X, route=route)
    some = np.random.default_rng(0).permutation(len(X))[:25]
    part = interpolated(explainer, X.iloc[some], times=[0.3, 0.8], route=route)
    assert_frame_equal(part.at(0), whole.at(3).iloc[some])
    assert_frame_equal(part.at(1), whole.at(8).iloc[some])
    assert_array_equal(part.route, whole.route[some])
    assert_allclose(part.margin, whole.margin[[3, 8]][:, some])
    single = interpolated(explainer, X.iloc[some[:1]], times=[0.3], route=route)
    assert_frame_equal(single.at(0), part.at(0).iloc[:1])


@pytest.mark.parametrize("route", EVERY_ROUTE)
def test_numbers_do_not_depend_on_the_other_rows(moons, route):
    explainer, X = moons
    whole = explainer.interpolate(X, route=route)
    part = explainer.interpolate(X[::-3], route=route)
    assert_allclose(part.states, whole.states[:, ::-3], rtol=1e-12, atol=1e-12)


def test_nothing_is_stored_and_nothing_written_to(mixed):
    explainer, X = mixed
    before, rows = pickle.dumps(explainer), X.copy()
    paths = interpolated(explainer, X, route="graph")
    assert pickle.dumps(explainer) == before
    assert_frame_equal(X, rows)
    again = interpolated(pickle.loads(before), X, route="graph")
    assert_same_states(again, paths)


# ---- along real people --------------------------------------------------------------------------


def test_states_along_the_graph_are_training_rows(mixed, population):
    explainer, X = mixed
    paths = interpolated(explainer, X, n_steps=15, route="graph")
    some = np.flatnonzero(paths.route == "graph")
    assert len(some) > 20
    people = explainer.feature_space_.transform(population[0])
    states = encoded(explainer, paths)[1:, some]
    real = same(states[:, :, None], people).all(axis=3).any(axis=2)
    own = same(states, explainer.feature_space_.transform(X)[some]).all(axis=2)
    assert (real | own).all()
    assert real[-1, paths.result.target_index[some] >= 0].all(), "the ends are targets"


def ring(n=200):
    """People evenly on a circle, the accepted ones at one side."""
    angle = np.arange(n) * 2 * np.pi / n
    return np.column_stack([np.cos(angle), np.sin(angle)])


def test_along_a_ring_the_route_follows_the_arc():
    X = ring()
    explainer = CCEExplainer(lambda X: X[:, 0] < -0.99, target_class=True, random_state=0).fit(X)
    query = X[10:11] * 1.001
    straight = explainer.interpolate(query, n_steps=20)
    arc = explainer.interpolate(query, n_steps=20, route="graph")
    assert np.linalg.norm(straight.states[10], axis=1).min() < 0.8
    assert_allclose(np.linalg.norm(arc.states[1:, 0], axis=1), 1, atol=1e-9)
    end = arc.states[-1, 0]
    place = np.unwrap(np.arctan2(arc.states[:, 0, 1], arc.states[:, 0, 0]))
    assert_allclose(np.abs(place[-1] - place[0]), np.arccos(query[0] @ end / 1.001), atol=1e-9)
    steps = np.diff(place)
    assert (steps * np.sign(steps.sum()) > 0).all()
    assert arc.speed_deviation[0] < 0.25
    assert arc.in_distribution[0] == 1
    assert straight.in_distribution[0] < 0.5


def test_between_moons_the_route_stays_on_them():
    X, _ = make_moons(400, noise=0.02, random_state=0)
    model = SVC(C=100).fit(X, X[:, 0] > 1.5)  # the far tip of the lower moon
    explainer = CCEExplainer(model, random_state=0).fit(X)
    rows = X[(X[:, 1] < 0) & (X[:, 0] < 1.2)]
    straight, along = (explainer.interpolate(rows, route=r) for r in ("displacement", "graph"))
    assert (along.route == "graph").all()
    assert along.summary()["in_distribution"] == 1
    assert straight.summary()["in_distribution"] < 0.9
    assert cdist(along.states[1:].reshape(-1, 2), X).min(axis=1).max() < 0.1


def test_routes_are_the_shortest_in_the_graph():
    """Against a dense matrix of all hops that the definition allows."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(50, 3)), columns=list("uvw"))
    space, people = space_of(X, change_direction={"u": +1})
    graph = PeopleGraph(space, people)
    cost = space.costs_.pairwise(people, people, "sqeuclidean")
    np.fill_diagonal(cost, np.inf)
    near = np.zeros(cost.shape, dtype=bool)
    for axis in (0, 1):
        rank = cost.argsort(axis=axis, kind="stable").argsort(axis=axis)
        near |= rank < N_NEIGHBORS
    hops = np.where(near & np.isfinite(cost), cost, 0)
    start, stop, length = graph._edges
    sparse = np.zeros_like(hops)
    sparse[start, stop] = length
    assert_allclose(sparse, hops)
    shortest = dijkstra(hops)
    Z, ends = people[:10], people[rng.integers(10, 50, 10)]
    goal = [np.flatnonzero(same(people, end).all(axis=1))[0] for end in ends]
    times = np.linspace(0, 1, 2001)
    states, found = graph.routes(Z, ends, times)
    assert_array_equal(found, np.isfinite(shortest[np.arange(10), goal]))
    assert found.any()
    assert not found.all(), "u may only rise"
    for i in np.flatnonzero(found):
        stops = [np.flatnonzero(same(people, state).all(axis=1))[0] for state in states[:, i]]
        stops = list(dict.fromkeys(stops))
        total = sum(cost[a, b] for a, b in pairwise(stops))
        assert_allclose(total, shortest[i, goal[i]])


@pytest.mark.parametrize("params", [{"refine": True}, {"read_out": "barycentric"}])
def test_graph_leads_to_ends_that_are_no_real_rows(params):
    X, y = make_moons(200, noise=0.05, random_state=0)
    model = SVC().fit(X, y)
    explainer = CCEExplainer(model, random_state=0, **params).fit(X)
    paths = explainer.interpolate(X, n_steps=15, route="graph")
    moving = paths.route == "graph"
    assert moving.sum() > 80
    assert_array_equal(paths.at(-1), explainer.transform(X))
    assert (cdist(paths.at(-1)[moving], X).min(axis=1) > 0).mean() > 0.5
    between = paths.states[1:-1, moving].reshape(-1, 2)
    ends = np.vstack([X, paths.at(-1)])
    assert cdist(between, ends).min(axis=1).max() == 0


def test_number_of_workers_changes_nothing(mixed):
    explainer, X = mixed
    several = pickle.loads(pickle.dumps(explainer)).set_params(n_jobs=2)
    alone, together = (interpolated(e, X, 3, route="graph") for e in (explainer, several))
    assert_same_states(together, alone)
    assert_array_equal(together.in_distribution, alone.in_distribution)


def test_backwards_is_the_transpose(population):
    space, Z = space_of(population[0], change_direction={"age": 1}, immutable_features=["sex"])
    cost = MoveCosts(space, Z[:40], Z[40:100])
    back = Backwards(cost)
    rows, columns = np.divmod(np.arange(60 * 40), 40)
    forth = cost.pairs(columns, rows).reshape(60, 40)
    assert_array_equal(back.pairs(rows, columns).reshape(60, 40), forth)
    levels, prices = np.arange(60.0), np.linspace(1, 3, 40)
    for some in (back, back.times(2.0), back.raised(2).times(0.5), back.take(slice(3, 9), [1, 5])):
        levels, prices = np.linspace(0, 2, some.shape[0]), np.linspace(1, 3, some.shape[1])
        tile = some.reduced(levels, prices)(slice(0, some.shape[0]), slice(0, some.shape[1]))
        rows, columns = np.divmod(np.arange(tile.size), tile.shape[1])
        exact = some.pairs(rows, columns).reshape(tile.shape) + prices - levels[:, None]
        assert_allclose(tile, exact, atol=some.rounding(levels, prices) + 1e-12)


def test_where_no_person_leads_the_route_is_straight():
    """Nobody has the job that a row keeps, so there are no real rows on its way."""
    X = pd.DataFrame({"number": np.arange(40.0), "job": ["cook", "nurse"] * 20})
    space = FeatureSpace(immutable_features=["job"])
    explainer = CCEExplainer(
        lambda X: X["number"] > 30, target_class=True, feature_space=space, random_state=0
    ).fit(X)
    given = pd.DataFrame({"number": [3.0, 4.0], "job": ["pilot", "cook"]})
    ends = given.assign(number=[35.0, 34.0])
    paths = explainer.interpolate(given, 4, route="graph", X_cf=ends)
    assert list(paths.route) == ["displacement", "graph"]
    assert_allclose([state["number"].iloc[0] for state in paths.states], [3, 11, 19, 27, 35])
    assert (paths.at(2)["number"] % 1 == 0).all()
    assert paths.summary() | {"displacement": 1, "graph": 1, "n_rows": 2} == paths.summary()


# ---- along the map between densities ------------------------------------------------------------


def blobs(shift, n=400, seed=0, dim=2):
    """A blob, and the same blob moved."""
    source = np.random.default_rng(seed).normal(size=(n, dim))
    return np.vstack([source, source + shift])


@pytest.mark.parametrize("dim", [2, 3])
def test_translated_blob_moves_by_the_shift(dim):
    shift = np.array([8.0, 3.0, -2.0])[:dim]
    X = blobs(shift, dim=dim)
    space = FeatureSpace().fit(X)
    Z, mass = space.transform(X), np.full(400, 1 / 400)
    routes = GridRoutes(space, (Z[:400], mass), (Z[400:], mass))
    cell = 1 / routes.unit / CELLS[dim]
    inner = Z[:400][np.linalg.norm(Z[:400], axis=1) < 2]
    missed = (routes.images(inner) - inner - shift) / cell
    assert np.abs(missed).mean() < 0.5
    assert np.abs(missed).max() < 3
    states, found = routes.routes(inner, routes.images(inner), np.linspace(0, 1, 6))
    assert found.all()
    steps = np.diff(states, axis=0)
    assert_allclose(steps, np.broadcast_to(steps[:1], steps.shape), atol=1e-9)
    assert_allclose(steps.sum(axis=0), routes.images(inner) - inner, atol=1e-9)


@pytest.mark.parametrize("direction", [{}, {"whole": +1, "number": -1}])
def test_states_along_the_map_are_allowed(direction):
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"whole": rng.integers(0, 30, 200), "number": rng.normal(size=200)})
    space, Z = space_of(
        X, change_direction=direction, permitted_range={"whole": (4, 25), "number": (-1, 1)}
    )
    Z, ends = moves_of(space, Z, rng)
    mass = np.full(len(Z), 1 / len(Z))
    routes = GridRoutes(space, (Z, mass), (ends, mass))
    states, found = routes.routes(Z, ends, np.linspace(0, 1, 9)[1:])
    assert found.all()
    assert_steps_are_allowed(space, states, Z, ends)


def test_map_is_for_the_cost_of_the_feature_space():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 2)) * [1, 50], columns=["u", "v"])
    space, Z = space_of(X, feature_weights={"u": 4.0})
    routes = GridRoutes(space, (Z[:40], np.ones(40)), (Z[40:], np.ones(40)))
    cost = cdist(Z[:40] * routes.unit, Z[40:] * routes.unit, "sqeuclidean")
    expected = space.costs_.pairwise(Z[:40], Z[40:], "sqeuclidean")
    assert_allclose(cost / cost.mean(), expected / expected.mean())


def test_back_and_forth_of_an_explainer_starts_along_the_map():
    shift = np.array([8.0, 0.0])
    X = blobs(shift, n=200)
    explainer = CCEExplainer(
        lambda X: X[:, 0] > 4, target_class=True, crowding_penalty=100.0, random_state=0
    ).fit(X)
    rows = X[:200]
    paths = explainer.interpolate(rows, n_steps=20, route="back_and_forth")
    assert (paths.route == "back_and_forth").all()
    first = (paths.states[1] - rows) * 20
    assert_allclose(np.median(first, axis=0), shift, atol=0.3)
    assert_allclose(paths.at(-1), explainer.transform(rows))
    assert np.median(paths.speed_deviation) < 0.1


def test_aim_slides_from_the_map_to_the_counterfactual(moons):
    explainer, X = moons
    paths = explainer.interpolate(X, n_steps=8, route="back_and_forth")
    moving = paths.route != "none"
    start, middle, end = paths.states[0], paths.states[4], paths.states[-1]
    image = 4 * middle - 2 * start - end  # of the curve x + t ((1 - t) T(x) + t y - x) at 1/2
    for t, state in zip(paths.times, paths.states, strict=True):
        aim = (1 - t) * image + t * end
        assert_allclose(state[moving], (start + t * (aim - start))[moving], atol=1e-9)


def grid_population(n=300, seed=0, **columns):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n),
            "income": rng.gamma(4, 10, n),
            "sex": rng.choice(["f", "m"], n),
        }
    )
    return X.assign(**columns)


def accepts(X):
    return (X["age"] + X["income"].fillna(0) > 90).to_numpy()


@pytest.mark.parametrize("direction", [{"age": +1}, {"age": +1, "income": -1}, {"income": +1}])
def test_back_and_forth_keeps_the_constraints(direction):
    X = grid_population()
    space = FeatureSpace(
        immutable_features=["sex"],
        change_direction=direction,
        permitted_range={"income": (0, 80)},
    )
    X.loc[3:40, "income"] = np.nan
    explainer = CCEExplainer(accepts, target_class=True, feature_space=space, random_state=0).fit(X)
    paths = interpolated(explainer, X, n_steps=12, route="back_and_forth")
    moving = paths.route != "none"
    gaps = X["income"].isna().to_numpy()
    assert (paths.route[moving & gaps] == "displacement").all()
    assert (paths.route[moving & ~gaps] == "back_and_forth").all()
    assert (moving & gaps).any() == ("income" not in direction), "a gap has no direction"
    before, rows = X[moving], X[moving]
    for state in paths.states[1:]:
        state = state[moving]
        assert explainer.feature_space_.feasible(rows, state).all()
        assert explainer.feature_space_.feasible(before, state).all()
        assert state["age"].dtype == X["age"].dtype
        before = state


def test_back_and_forth_has_a_map_for_each_class():
    """Two blobs change places: both together would stay where they are."""
    X = blobs(np.array([8.0, 0.0]), n=150)
    explainer = CCEExplainer(
        lambda X: X[:, 0] > 4, target_class="other", crowding_penalty=100.0, random_state=0
    ).fit(X)
    paths = explainer.interpolate(X, n_steps=20, route="back_and_forth")
    assert (paths.route == "back_and_forth").all()
    first = (paths.states[1] - X)[:, 0] * 20
    assert_allclose([np.median(first[:150]), np.median(first[150:])], [8, -8], atol=0.4)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"immutable_features": ["age", "sex"]}, r"got 1: \['income'\]"),
        ({}, r"got \['age', 'income', 'sex'\], of which \['sex'\] are categories"),
    ],
)
def test_back_and_forth_says_what_it_works_on(params, message):
    X = grid_population(60)
    space = FeatureSpace(**params)
    explainer = CCEExplainer(accepts, target_class=True, feature_space=space, random_state=0).fit(X)
    with pytest.raises(ValueError, match="takes two or three features that may change") as error:
        explainer.interpolate(X, route="back_and_forth")
    assert pd.Series([str(error.value)]).str.contains(message).all()


def test_back_and_forth_with_nothing_to_see_is_straight():
    """All people at one place: a grid has no extent."""
    X = pd.DataFrame({"u": [1.0, 1.0], "v": [2.0, 2.0]})
    space = FeatureSpace().fit(X)
    Z = space.transform(X)
    routes = GridRoutes(space, (Z, np.ones(2)), (Z, np.ones(2)))
    states, found = routes.routes(Z, Z, np.linspace(0, 1, 3))
    assert not found.any()
    assert_array_equal(states, np.repeat(Z[None], 3, axis=0))


def test_a_map_that_is_too_rough_is_warned_of(monkeypatch, moons):
    explainer, X = moons
    monkeypatch.setattr("skcf.collective._path_grid.LARGEST_GAP", 0.0)
    with pytest.warns(ConvergenceWarning, match="relative duality gap of .*displacement"):
        explainer.interpolate(X, route="back_and_forth")


# ---- what is reported ---------------------------------------------------------------------------


@pytest.mark.parametrize("route", ON_MIXED)
def test_numbers_are_what_they_say(mixed, population, route):
    """Against the definitions, pair by pair and feature by feature."""
    explainer, X = mixed
    paths = interpolated(explainer, X, times=[0, 0.1, 0.5, 0.6, 1.0], route=route)
    space, states = explainer.feature_space_, encoded(explainer, paths)
    moving = paths.route != "none"
    people, counts = np.unique(
        np.nan_to_num(space.transform(population[0]), nan=np.inf), axis=0, return_counts=True
    )
    people[np.isinf(people)] = np.nan

    def distances(rows):
        squares = [
            space.costs_.share(j, rows[:, j, None], people[:, j], "sqeuclidean")
            for j in range(people.shape[1])
        ]
        return np.sqrt(np.sum(squares, axis=0))

    between = distances(people)
    np.fill_diagonal(between, np.inf)
    radius = np.quantile(between.min(axis=1), 0.95, method="higher")
    away = np.array([distances(state[moving]) for state in states])
    share = (away[1:].min(axis=2) <= radius + 1e-12).mean(axis=0)
    assert_allclose(paths.in_distribution[moving], share)
    b = counts / counts.sum()
    for at, crowding in zip(away, paths.crowding, strict=True):
        q = np.bincount(at.argmin(axis=1), minlength=len(b)) / moving.sum()
        assert_allclose(crowding, np.sum((q - b) ** 2 / b))
    steps = np.array([space.costs_.shares(*pair).sum(axis=1) for pair in pairwise(states)])
    speed = (steps / np.diff(paths.times)[:, None])[:, moving]
    mean = np.average(speed, axis=0, weights=np.diff(paths.times))
    spread = np.sqrt(np.average((speed - mean) ** 2, axis=0, weights=np.diff(paths.times)))
    assert_allclose(paths.speed_deviation[moving], spread / mean)
    for state, margin in zip(paths.states, paths.margin, strict=True):
        assert_allclose(margin, explainer.estimator_.decision_function(state))


def test_margin_at_the_end_tells_what_the_classifier_says(mixed):
    explainer, X = mixed
    paths = interpolated(explainer, X)
    for state, margin in zip(paths.states, paths.margin, strict=True):
        assert_array_equal(margin > 0, explainer.estimator_.predict(state) == "yes")
    assert (paths.margin[-1, paths.route != "none"] > 0).all()


def test_margin_under_other_is_of_leaving_one_s_class():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = CCEExplainer(model, target_class="other", random_state=0).fit(X)
    paths = explainer.interpolate(X, n_steps=4)
    own = model.predict(X)
    for state, margin in zip(paths.states, paths.margin, strict=True):
        assert_array_equal(margin > 0, model.predict(state) != own)


def test_margin_without_scores_is_a_sign(moons):
    _, X = moons
    explainer = CCEExplainer(lambda X: X[:, 1] > 0.3, target_class=True, random_state=0).fit(X)
    paths = explainer.interpolate(X, n_steps=3)
    assert_array_equal(paths.margin, np.where(paths.states[..., 1] > 0.3, 1.0, -1.0))


def test_radius_of_many_people_is_that_of_a_sample(monkeypatch):
    people = np.sort(np.random.default_rng(0).normal(size=(500, 1)) ** 3, axis=0)
    space = FeatureSpace().fit(people)
    whole = Neighbourhood(space, people, np.ones(500)).radius()
    gap = np.diff(people[:, 0]) / space.scale_[0]
    nearest = np.minimum(np.append(gap, np.inf), np.append(np.inf, gap))
    assert_allclose(whole, np.quantile(nearest, 0.95, method="higher"))
    monkeypatch.setattr("skcf.collective._path_report.N_SAMPLE", 100)
    sample = nearest[np.linspace(0, 499, 100).astype(int)]
    some = Neighbourhood(space, people, np.ones(500)).radius()
    assert_allclose(some, np.quantile(sample, 0.95, method="higher"))


def test_a_single_time_has_no_speed(moons):
    explainer, X = moons
    paths = explainer.interpolate(X, times=[0.0])
    assert np.isnan(paths.speed_deviation).all()
    assert np.isnan(paths.in_distribution).all()
    assert np.isnan(paths.summary()["highest_crowding"])
    assert np.isfinite(paths.crowding).all()


def test_weights_count_in_the_crowding():
    X = np.array([[0.0], [1.0], [5.0], [6.0]])
    explainer = CCEExplainer(lambda X: X[:, 0] > 3, target_class=True, random_state=0)
    explainer.fit(X, sample_weight=[3, 1, 2, 2])
    paths = explainer.interpolate(X[:1], times=[0.0])
    assert_allclose(paths.crowding, [1 / (3 / 8) - 1])


# ---- counterfactuals of others ------------------------------------------------------------------


def test_individual_advice_can_be_compared(mixed, population):
    explainer, X = mixed
    nearest = NearestExplainer(population[2], target_class="yes", feature_space=SPACE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        alone = nearest.fit(population[0]).explain(X)
        together = explainer.interpolate(X)
        paths = explainer.interpolate(X, X_cf=alone.X_cf)
    assert_array_equal(paths.result.status, alone.status)
    moving = paths.route != "none"
    assert_frame_equal(paths.at(-1)[moving], alone.X_cf[moving])
    assert (explainer.feature_space_.feasible(X[moving], paths.at(4)[moving])).all()
    assert paths.crowding.shape == together.crowding.shape
    assert paths.crowding[-1] != together.crowding[-1]
    assert_allclose(explainer.crowding(paths.result), explainer.crowding(alone))


def test_own_counterfactuals_given_are_the_same_routes(mixed):
    explainer, X = mixed
    paths = interpolated(explainer, X)
    given = interpolated(explainer, X, X_cf=paths.result.X_cf)
    assert_same_states(given, paths)
    assert_array_equal(given.crowding, paths.crowding)
    assert_array_equal(given.result.occupied_index, paths.result.occupied_index)


def test_counterfactuals_that_are_not_allowed_are_refused(mixed):
    explainer, X = mixed
    wrong = X.assign(sex=np.where(X["sex"] == "f", "m", "f"))
    with pytest.raises(ValueError, match="do not allow 150 of 150 rows of X_cf, the first of them"):
        explainer.interpolate(X, X_cf=wrong)
    with pytest.raises(ValueError, match="got 149 and 150 rows"):
        explainer.interpolate(X, X_cf=X.iloc[1:])


# ---- containers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ON_MIXED)
def test_frames_keep_columns_dtypes_and_index(mixed, route):
    explainer, X = mixed
    paths = interpolated(explainer, X, n_steps=3, route=route)
    assert isinstance(paths.states, tuple)
    for state in paths.states:
        assert_array_equal(state.index, X.index)
        assert_array_equal(state.columns, X.columns)
        assert_array_equal(state.dtypes, X.dtypes)


def test_long_frame_has_the_times_of_each_row_running(mixed):
    explainer, X = mixed
    paths = interpolated(explainer, X.iloc[:5], n_steps=2)
    long = paths.long()
    assert list(long.columns) == ["row", "time", *X.columns]
    assert_array_equal(long["row"], np.repeat(X.index[:5], 3))
    assert_array_equal(long["time"], np.tile([0, 0.5, 1], 5))
    assert_array_equal(long.dtypes[2:], X.dtypes)
    for t, state in zip(paths.times, paths.states, strict=True):
        part = long[long["time"] == t].set_index("row").drop(columns="time")
        assert_frame_equal(part, state, check_names=False)


def test_polars_in_polars_out(population):
    X, y = mixed_population(missing=False)
    model = LogisticRegression().fit(X[["age", "income", "hours"]].to_numpy(), y)

    def predict(frame):
        return model.predict(frame.select("age", "income", "hours").to_numpy())

    frame = pl.from_pandas(X.drop(columns="sex"))
    explainer = CCEExplainer(predict, target_class="yes", random_state=0).fit(frame)
    paths = interpolated(explainer, frame[:6], n_steps=3)
    assert all(isinstance(state, pl.DataFrame) for state in paths.states)
    assert all(state.schema == frame.schema for state in paths.states)
    assert paths.at(0).equals(frame[:6])
    long = paths.long()
    assert long.columns == ["row", "time", *frame.columns]
    assert long["row"].to_list() == list(np.repeat(range(6), 4))
    assert long.filter(pl.col("time") == 1).drop("row", "time").equals(paths.at(-1))


def test_arrays_in_arrays_out(moons):
    explainer, X = moons
    paths = explainer.interpolate(X[:4].tolist(), n_steps=5)
    assert isinstance(paths.states, np.ndarray)
    assert paths.states.shape == (6, 4, 2)
    assert_array_equal(paths.at(2), paths.states[2])
    long = paths.long()
    assert list(long.columns) == ["row", "time", "x0", "x1"]
    values = long[["x0", "x1"]].to_numpy().reshape(4, 6, 2)
    assert_array_equal(values.transpose(1, 0, 2), paths.states)


def test_missing_markers_and_dtypes_that_change_on_the_way():
    """An integer column has gaps in the query only: floats until they are filled."""
    X = pd.DataFrame({"u": range(20), "v": range(0, 40, 2), "job": ["a", "b"] * 10})

    def model(X):
        return (X["u"].fillna(0) > 10).to_numpy()

    explainer = CCEExplainer(model, target_class=True, random_state=0).fit(X)
    query = pd.DataFrame({"u": [1, 2], "v": [np.nan, 4.0], "job": [None, "zebra"]})
    paths = explainer.interpolate(query, n_steps=4)
    assert paths.at(0)["v"].isna().tolist() == [True, False]
    assert_frame_equal(paths.at(-1), paths.result.X_cf)
    assert paths.at(0)["job"].tolist()[1] == "zebra"
    long = paths.long()
    assert long["v"].dtype == float
    assert long["v"].isna().sum() < 5


def test_rows_that_have_not_moved_are_as_they_came():
    """Python numbers of an array of objects keep their types."""
    X = np.array([[i, "a" if i % 2 else "b"] for i in range(20)], dtype=object)
    X[1, 0] = 2.5
    explainer = CCEExplainer(
        lambda X: X[:, 0].astype(float) > 12,
        target_class=True,
        feature_space=FeatureSpace(categorical_features=[1]),
        random_state=0,
    ).fit(X)
    paths = explainer.interpolate(X, n_steps=2)
    assert [type(value) for value in paths.at(0)[:, 0]] == [type(value) for value in X[:, 0]]
    assert type(paths.at(1)[19, 0]) is int


def test_columns_named_like_those_of_the_long_frame_are_refused():
    X = pd.DataFrame({"time": range(20), "u": range(20)})
    explainer = CCEExplainer(
        lambda X: (X["u"] > 9).to_numpy(), target_class=True, random_state=0
    ).fit(X)
    paths = explainer.interpolate(X, n_steps=1)
    with pytest.raises(ValueError, match=r"but X has \['time'\] too"):
        paths.long()


# ---- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_steps": 0}, "n_steps == 0, must be >= 1"),
        ({"times": []}, r"times must be 1-d, with one time or more; got shape \(0,\)"),
        ({"times": 0.5}, r"times must be 1-d"),
        ({"times": [0, 1.5]}, r"times must be in \[0, 1\], and not NaN; got \[0.0, 1.5\]"),
        ({"times": [0, np.nan]}, r"times must be in \[0, 1\]"),
        ({"times": [0.5, 0.2]}, r"times must increase; got \[0.5, 0.2\]"),
        ({"times": [0.5, 0.5]}, "times must increase"),
        ({"route": "teleport"}, "route must be one of .*'graph'.*, got 'teleport'"),
    ],
)
def test_wrong_arguments(moons, params, message):
    explainer, X = moons
    with pytest.raises(ValueError, match=message):
        explainer.interpolate(X, **params)


def test_other_errors(moons):
    explainer, X = moons
    with pytest.raises(TypeError, match="n_steps must be an instance of int"):
        explainer.interpolate(X, n_steps=2.5)
    with pytest.raises(ValueError, match=r"X has 1 features, but .* is expecting 2"):
        explainer.interpolate(X[:, :1])
    with pytest.raises(NotFittedError):
        clone(explainer).interpolate(X)
    with pytest.raises(IndexError, match="t_index=11 is out of bounds: there are 11 times"):
        explainer.interpolate(X).at(11)
