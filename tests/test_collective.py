"""CCEExplainer: the plan, its prices, and the advice that is read off them."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import mixed_population
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skcf import CCEExplainer, FeatureSpace, InvalidCounterfactualWarning, NearestExplainer
from skcf.collective._allocation import allocate
from skcf.collective._read_outs import draw, uniforms
from skcf.transport import solve_transport

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)
METRICS = ["sqeuclidean", "euclidean", "cityblock"]

every_metric = pytest.mark.parametrize("metric", METRICS)
every_read_out = pytest.mark.parametrize("read_out", ["argmin", "sample", "barycentric"])


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(300, noise=0.15, random_state=0)
    return X, SVC(random_state=0).fit(X, y)


def on_moons(moons, **params):
    X, model = moons
    return CCEExplainer(model, **{"random_state": 0, **params}).fit(X)


def on_population(population, **params):
    X, _, model = population
    params = {"target_class": "yes", "feature_space": SPACE, "random_state": 0, **params}
    return CCEExplainer(model, **params).fit(X)


def explain_quietly(explainer, X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X, **options)


def costs_of(explainer, X):
    """Cost of moving each row to each target, in mean costs."""
    cost = explainer.feature_space_.pairwise_cost(X, explainer.targets_, metric=explainer.cost)
    return cost / explainer.cost_scale_


def chi2(q, b):
    return np.sum((q - b) ** 2 / b)


# ---- the plan ------------------------------------------------------------------------------------


def test_plan_is_that_of_the_transport_problem(moons):
    X, model = moons
    explainer = on_moons(moons, crowding_penalty=0.3, tol=1e-6)
    y = model.predict(X)
    people, accepted = X[y == 0], X[y == 1]
    C = cdist(people / np.ptp(X, axis=0), accepted / np.ptp(X, axis=0), "sqeuclidean")
    assert explainer.cost_scale_ == pytest.approx(C.mean(), rel=0.02)
    expected = solve_transport(C / explainer.cost_scale_, target_penalty=0.3, tol=1e-6)
    assert explainer.objective_ == pytest.approx(expected.primal, rel=2e-6)
    assert explainer.dual_objective_ <= explainer.objective_
    assert explainer.gap_ <= 1e-6
    assert explainer.transport_cost_ == pytest.approx(expected.transport_cost, rel=1e-3)
    paid = explainer.transport_cost_ + 0.3 * explainer.crowding_
    assert paid == pytest.approx(explainer.objective_)
    assert_array_equal(explainer.source_indices_, np.flatnonzero(y == 0))
    assert sorted(map(tuple, explainer.targets_)) == sorted(map(tuple, accepted))


def test_attributes_tell_of_one_and_the_same_plan(moons):
    X, _ = moons
    explainer = on_moons(moons, crowding_penalty=0.3)
    plan, n_people = explainer.plan_.toarray(), len(explainer.source_indices_)
    assert plan.shape == (n_people, len(explainer.targets_))
    assert_allclose(plan.sum(axis=1), explainer.source_marginal_)
    assert_allclose(plan.sum(axis=0), explainer.target_marginal_)
    assert_allclose(explainer.source_marginal_, 1 / n_people, rtol=1e-9)
    assert_allclose(explainer.served_fraction_, 1, rtol=1e-9)
    assert explainer.target_mass_.sum() == pytest.approx(1)
    assert explainer.crowding_ == pytest.approx(chi2(plan.sum(axis=0), explainer.target_mass_))
    C = costs_of(explainer, X[explainer.source_indices_])
    assert explainer.transport_cost_ == pytest.approx(np.sum(plan * C))
    assert not explainer.infeasible_.any()


@every_metric
@pytest.mark.parametrize("divergence", ["chi2", "kl"])
def test_nobody_gains_by_another_target(moons, metric, divergence):
    """The equilibrium on the explainer's level, for training rows."""
    X, _ = moons
    params = {"cost": metric, "divergence": divergence, "crowding_penalty": 0.3, "tol": 1e-6}
    explainer = on_moons(moons, **params)
    full = costs_of(explainer, X[explainer.source_indices_]) + explainer.prices_
    plan = explainer.plan_.toarray()
    above = full - full.min(axis=1, keepdims=True)
    assert np.sum(plan * above) <= 2e-6 * explainer.objective_
    assert above[plan > 1e-3 * explainer.source_marginal_[:, None]].max() < 1e-3
    q, b = explainer.target_marginal_, explainer.target_mass_
    used = q > 1e-3 * b
    expected = 0.6 * (q / b - 1) if divergence == "chi2" else 0.3 * np.log(np.maximum(q / b, 1e-9))
    assert_allclose(explainer.prices_[used], expected[used], atol=0.02)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock"])
def test_price_of_a_row_is_lipschitz(moons, metric):
    """Who is alike pays alike: |s(x) - s(x')| <= c(x, x'), for a metric and no constraints."""
    X, model = moons
    explainer = on_moons(moons, cost=metric, crowding_penalty=0.3)
    rejected = X[model.predict(X) == 0]
    new = rejected + np.random.default_rng(0).normal(0, 0.02, rejected.shape)
    rows = np.vstack([rejected, new[model.predict(new) == 0]])
    result = explainer.explain(rows)
    price = result.effort + result.price
    apart = explainer.feature_space_.pairwise_cost(rows, rows, metric=metric)
    apart /= explainer.cost_scale_
    differences = np.abs(price[:, None] - price)
    assert (differences <= apart + 1e-9).all()
    near = apart < 0.05
    assert (differences[near] > 0.5 * apart[near]).any(), "the bound would hold for a constant"


@pytest.mark.parametrize("target_class", [None, "other"])
def test_frontier_is_monotone(moons, target_class):
    penalties = np.geomspace(0.003, 30, 7)
    explainer = on_moons(moons, target_class=target_class, tol=1e-6)
    before = dict(vars(explainer))
    frontier = explainer.crowding_path(penalties)
    assert vars(explainer) == before
    assert_array_equal(frontier.penalties, penalties)
    assert (np.diff(frontier.transport_cost) >= -1e-6).all()
    assert (np.diff(frontier.crowding) <= 1e-5 * frontier.crowding[:-1]).all()
    assert frontier.transport_cost[-1] > 1.5 * frontier.transport_cost[0]
    assert frontier.crowding[-1] < 0.1 * frontier.crowding[0]
    assert (frontier.gap <= 1e-6).all()
    assert_allclose(frontier.served_fraction, 1)


def test_frontier_goes_through_the_plan_and_keeps_the_order(moons):
    explainer = on_moons(moons, crowding_penalty=0.3, tol=1e-6)
    frontier = explainer.crowding_path([3.0, 0.3])
    assert frontier.transport_cost[1] == pytest.approx(explainer.transport_cost_, rel=1e-3)
    assert frontier.crowding[1] == pytest.approx(explainer.crowding_, rel=1e-2)
    assert frontier.transport_cost[0] > frontier.transport_cost[1]


@pytest.mark.parametrize("penalties", [[], [1.0, 0.0], [-1.0], [np.nan], [np.inf], 2.0, [[1.0]]])
def test_frontier_needs_a_list_of_positive_penalties(moons, penalties):
    explainer = on_moons(moons)
    with pytest.raises(ValueError, match=r"penalties must be a list of positive|penalty.*inf"):
        explainer.crowding_path(penalties)


def test_limits_of_the_crowding_penalty(moons):
    X, _ = moons
    people = X[on_moons(moons).source_indices_]
    individual = on_moons(moons, crowding_penalty=1e-6)
    nearest = costs_of(individual, people).min(axis=1)
    assert individual.transport_cost_ == pytest.approx(nearest.mean(), rel=1e-3)
    assert_allclose(individual.explain(people).effort, nearest, atol=1e-4)
    crowd = NearestExplainer(moons[1], refine=False, n_neighbors=1, metric="sqeuclidean").fit(X)
    collective = on_moons(moons, crowding_penalty=1.0)
    advice = crowd.explain(people)
    assert collective.crowding(advice) > 10 * collective.crowding_
    assert individual.crowding(advice) == pytest.approx(individual.crowding_, rel=0.1)
    balanced = on_moons(moons, crowding_penalty=1e3)
    assert_allclose(balanced.target_marginal_, balanced.target_mass_, rtol=0.01)


@pytest.mark.parametrize("source", ["kl", "chi2"])
def test_soft_sources_serve_those_whom_it_pays_to_serve(moons, source):
    X, _ = moons
    params = {"source": source, "source_penalty": 0.4, "crowding_penalty": 0.3, "tol": 1e-6}
    explainer = on_moons(moons, **params)
    result = explainer.explain(X[explainer.source_indices_])
    assert (result.status == "found").all(), "served or not, everybody is advised"
    s = result.effort + result.price
    worth = np.exp(-s / 0.4) if source == "kl" else np.maximum(1 - s / 0.8, 0)
    assert_allclose(explainer.served_fraction_, worth, atol=5e-3)
    assert worth.min() < 0.8 * worth.max()
    n_people = len(explainer.source_indices_)
    assert_allclose(explainer.source_marginal_, explainer.served_fraction_ / n_people)
    assert explainer.plan_.sum() == pytest.approx(explainer.served_fraction_.mean())
    frontier = explainer.crowding_path([0.3])
    assert frontier.served_fraction[0] == pytest.approx(worth.mean(), rel=1e-2)


def test_cost_power_makes_long_moves_dear(moons):
    X, _ = moons
    plain = on_moons(moons, crowding_penalty=0.3)
    squared = on_moons(moons, crowding_penalty=0.3, cost_power=2, tol=1e-6)
    people = X[plain.source_indices_]
    C, P = costs_of(squared, people), squared.plan_.toarray()
    total = np.sum(P * C**2)
    assert squared.transport_cost_ == pytest.approx(np.sqrt(total))
    result = squared.explain(people)
    slope = total**-0.5 / 2
    assert_allclose(
        result.effort, slope * C[np.arange(len(C)), result.target_index] ** 2, rtol=1e-3
    )
    full = slope * C**2 + squared.prices_
    assert_allclose(result.effort + result.price, full.min(axis=1), atol=1e-3)
    assert np.quantile(result.cost, 0.99) < np.quantile(plain.explain(people).cost, 0.99)


@pytest.mark.parametrize("solver", ["newton", "sinkhorn", "projected_gradient"])
def test_every_solver_gives_the_same_plan(moons, solver):
    expected = on_moons(moons, crowding_penalty=0.3, tol=1e-4)
    explainer = on_moons(moons, crowding_penalty=0.3, tol=1e-4, solver=solver)
    assert explainer.objective_ == pytest.approx(expected.objective_, rel=2e-4)
    assert_allclose(explainer.prices_, expected.prices_, atol=0.1)


def test_units_of_the_columns_do_not_matter(moons):
    X, model = moons
    factor = np.array([1e3, 1e-4])
    other = make_pipeline(StandardScaler(with_mean=False), model)
    other.steps[0][1].fit(X * factor)
    other.steps[0][1].scale_ = factor  # the same classifier in other units
    scaled = CCEExplainer(other, target_class=1, random_state=0).fit(X * factor)
    plain = on_moons(moons)
    assert_array_equal(plain.source_indices_, scaled.source_indices_)
    assert scaled.cost_scale_ == pytest.approx(plain.cost_scale_)
    assert_allclose(scaled.prices_, plain.prices_, atol=1e-6)


def test_a_gap_that_stays_open_names_the_parameter_and_points_to_the_caller(moons):
    X, model = moons
    explainer = CCEExplainer(model, max_passes=1, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match="max_passes") as caught:
        explainer.fit(X)
    assert {warning.filename for warning in caught} == {__file__}
    assert explainer.gap_ > 1e-9
    with pytest.warns(ConvergenceWarning, match="max_passes") as caught:
        explainer.crowding_path([0.5, 1.0])
    assert {warning.filename for warning in caught} == {__file__}


# ---- reading it off ------------------------------------------------------------------------------


@every_metric
def test_argmin_leads_to_the_real_row_of_least_effort_plus_price(population, metric):
    X, _, model = population
    explainer = on_population(population, cost=metric, crowding_penalty=0.3)
    result = explain_quietly(explainer, X)
    led = result.target_index >= 0
    assert led.sum() > 100
    full = costs_of(explainer, X[led]) + explainer.prices_
    assert_allclose((result.effort + result.price)[led], full.min(axis=1), rtol=1e-9)
    assert_array_equal(result.target_index[led], full.argmin(axis=1))
    assert_array_equal(result.price[led], explainer.prices_[result.target_index[led]])
    assert (result.status[led] == "found").all()
    assert (model.predict(explainer.targets_) == "yes").all()
    led = result.target_index >= 0
    assert_array_equal(result.occupied_index[led], result.target_index[led])
    targets = explainer.targets_.iloc[result.target_index[led]].set_index(X.index[led])
    assert_frame_equal(result.X_cf[led], targets)
    there = result.status == "already_target"
    for values in (result.effort, result.price):
        assert np.isnan(values[there]).all()
    assert (result.target_index[there] == -1).all()


def test_rows_that_may_become_no_target_are_outside_the_plan(population):
    X, _, model = population
    space = FeatureSpace(immutable_features=["age", "sex", "owner"])
    explainer = on_population(population, feature_space=space)
    cost = explainer.feature_space_.pairwise_cost(X, explainer.targets_)
    people = X.iloc[explainer.source_indices_]
    nowhere = np.isinf(cost).all(axis=1)
    assert_array_equal(explainer.infeasible_, nowhere[explainer.source_indices_])
    assert 5 < explainer.infeasible_.sum() < len(people) - 5
    assert (explainer.served_fraction_[explainer.infeasible_] == 0).all()
    assert_allclose(explainer.served_fraction_[~explainer.infeasible_], 1)
    assert explainer.plan_.sum() == pytest.approx(1)
    result = explain_quietly(explainer, people)
    assert_array_equal(result.target_index == -1, explainer.infeasible_)
    imposed = explainer.infeasible_ & (result.status == "found")
    assert imposed.any()
    assert np.isnan(result.price[imposed]).all()
    same_columns = ["age", "sex", "owner"]
    assert_frame_equal(result.X_cf[same_columns], people[same_columns])
    assert (model.predict(result.X_cf[result.status == "found"]) == "yes").all()
    lost = explainer.infeasible_ & (result.status != "found")
    assert (result.status[lost] == "infeasible").all()


@pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")
def test_plan_of_a_population_whose_every_move_is_forbidden(population):
    X, _, _ = population
    space = FeatureSpace(immutable_features=list(X))
    explainer = on_population(population, feature_space=space)
    assert explainer.infeasible_.all()
    assert explainer.plan_.nnz == 0
    assert explainer.plan_.shape == (len(explainer.source_indices_), len(explainer.targets_))
    assert explainer.objective_ == explainer.crowding_ == explainer.gap_ == 0
    assert (explainer.allocation_ == -1).all()
    assert set(explainer.explain(X).status) == {"already_target", "infeasible"}
    assert set(explainer.explain_population().status) == {"already_target", "infeasible"}
    assert np.isnan(explainer.crowding(explainer.explain(X)))
    frontier = explainer.crowding_path([0.1, 1.0])
    assert frontier.transport_cost.shape == frontier.gap.shape == (2,)


def assert_constraints_hold(X, X_cf):
    """The rules of SPACE, written out."""
    assert (X["sex"] == X_cf["sex"]).all()
    assert (X_cf["age"] >= X["age"]).all()
    assert X_cf["hours"].between(0, 45).all()
    assert X_cf["age"].dtype == X["age"].dtype
    assert X_cf["hours"].dtype == X["hours"].dtype
    kept = (X["job"] == X_cf["job"]) | (X["job"].isna() & X_cf["job"].isna())
    assert (kept & (X["job"] != "pilot") | X_cf["job"].isin(["clerk", "cook", "nurse"])).all()
    assert (X_cf["income"].notna() | X["income"].isna()).all()


@every_read_out
@pytest.mark.parametrize("refine", [False, True])
def test_counterfactuals_are_valid_and_allowed(population, read_out, refine):
    X, _, model = population
    params = {"read_out": read_out, "refine": refine, "crowding_penalty": 0.3}
    explainer = on_population(population, **params)
    queries = pd.concat([X, mixed_population(100, seed=5)[0].add_prefix("q", axis=0)])
    queries.loc[queries.index[:10], "job"] = "astronaut"
    result = explain_quietly(explainer, queries)
    moved = result.target_index >= 0
    assert moved.sum() > 100
    assert (result.status[moved] == "found").all()
    assert (model.predict(result.X_cf[moved]) == "yes").all()
    assert_constraints_hold(queries[moved], result.X_cf[moved])
    effort = explainer.feature_space_.cost(
        queries[moved], result.X_cf[moved], metric=explainer.cost
    )
    assert_allclose(result.effort[moved] * explainer.cost_scale_, effort)


def test_sample_is_the_same_each_time_and_splits_people_who_share_a_row(moons):
    X, model = moons
    frame = pd.DataFrame(X, columns=["a", "b"])
    rule = lambda X: model.predict(np.asarray(X))  # noqa: E731
    params = {"target_class": 1, "read_out": "sample", "reg": 0.05, "random_state": 0}
    explainer = CCEExplainer(rule, **params).fit(frame)
    row = frame[model.predict(X) == 0].iloc[[0] * 200]
    people = row.set_axis([f"p{i}" for i in range(200)])
    X_cf = explainer.transform(people)
    assert_frame_equal(explainer.transform(people), X_cf)
    mixed = people.sample(frac=1, random_state=0)
    assert_frame_equal(explainer.transform(mixed).loc[people.index], X_cf)
    assert len(X_cf.drop_duplicates()) > 5
    twins = people.set_axis(["the same"] * 200)
    assert len(explainer.transform(twins).drop_duplicates()) == 1
    assert (
        len(np.unique(CCEExplainer(model, **params).fit(X).transform(row.to_numpy()), axis=0)) == 1
    )
    other = CCEExplainer(rule, **{**params, "random_state": 1}).fit(frame).transform(people)
    assert (other != X_cf).any(axis=1).mean() > 0.3


def test_sample_follows_the_softmax(moons):
    X, model = moons
    frame = pd.DataFrame(X, columns=["a", "b"])
    rule = lambda X: model.predict(np.asarray(X))  # noqa: E731
    params = {"target_class": 1, "read_out": "sample", "reg": 0.1, "random_state": 0}
    explainer = CCEExplainer(rule, **params).fit(frame)
    n = 4000
    people = frame[model.predict(X) == 0].iloc[[3] * n].set_axis(range(n))
    index = explainer.explain(people).target_index
    full = (costs_of(explainer, people.iloc[:1]) + explainer.prices_).ravel()
    expected = np.exp(-(full - full.min()) / 0.1)
    expected /= expected.sum()
    observed = np.bincount(index, minlength=len(full)) / n
    error = (observed - expected) / np.sqrt(expected * (1 - expected) / n)
    assert np.abs(error).max() < 4.5
    assert error.std() < 1.3
    assert expected.max() < 0.5
    assert (expected > 0.01).sum() > 8


def test_sampled_crowd_is_that_of_the_plan(moons):
    """As soft as the plan, people spread over each other's targets in its proportions."""
    X, model = moons
    params = {"solver": "sinkhorn", "reg": 0.05, "crowding_penalty": 0.3}
    explainer = on_moons(moons, read_out="sample", **params)
    people = X[explainer.source_indices_]
    rows = explainer.plan_.toarray() / explainer.source_marginal_[:, None]
    frame = pd.DataFrame(np.repeat(people, 30, axis=0)).set_axis(["a", "b"], axis=1)
    rule = lambda X: model.predict(np.asarray(X))  # noqa: E731
    again = CCEExplainer(rule, target_class=1, read_out="sample", random_state=0, **params)
    again.fit(pd.DataFrame(X, columns=["a", "b"]))
    index = again.explain(frame).target_index
    observed = np.bincount(index, minlength=len(explainer.targets_)) / len(frame)
    assert_allclose(observed, rows.mean(axis=0), atol=5e-3)


def test_draw_goes_by_the_cumulated_probabilities():
    rows, columns = np.array([0, 0, 0, 2, 2]), np.array([4, 5, 9, 0, 1])
    probability = np.array([0.2, 0.5, 0.3, 0.5, 0.5])
    for u, expected in [(0.1, [4, -1, 0]), (0.6, [5, -1, 1]), (0.99, [9, -1, 1])]:
        assert draw(rows, columns, probability, np.full(3, u)).tolist() == expected
    nobody = np.empty(0, dtype=int)
    assert draw(nobody, nobody, np.empty(0), np.full(2, 0.5)).tolist() == [-1, -1]


def test_hashed_numbers_are_uniform_and_depend_on_row_label_and_seed():
    Z = np.repeat([[1.0, np.nan], [0.0, 2.0]], 2000, axis=0)
    u = uniforms(Z, range(4000), 7)
    assert ((u >= 0) & (u < 1)).all()
    assert len(np.unique(u)) == 4000
    counts = np.histogram(u, 20, (0, 1))[0]
    assert np.abs(counts - 200).max() < 70
    assert_array_equal(uniforms(Z[[5]], [5], 7), u[5])
    assert (uniforms(Z, range(4000), 8) != u).all()
    assert len(np.unique(uniforms(Z, None, 7))) == 2
    minus = np.where(Z == 0, -0.0, Z)
    assert_array_equal(uniforms(minus, range(4000), 7), u)


def test_barycentres_are_means_where_these_are_accepted(moons):
    X, model = moons
    explainer = on_moons(moons, read_out="barycentric", reg=0.2, crowding_penalty=0.3)
    people = X[explainer.source_indices_]
    result = explainer.explain(people)
    assert (result.status == "found").all()
    full = costs_of(explainer, people) + explainer.prices_
    R = np.exp(-(full - full.min(axis=1, keepdims=True)) / 0.2)
    means = R @ explainer.targets_ / R.sum(axis=1, keepdims=True)
    accepted = model.predict(means) == 1
    assert 0.2 < accepted.mean() < 1, "the test needs means of both kinds"
    assert_allclose(result.X_cf[accepted], means[accepted], atol=1e-6)
    # the others lie on the way from the mean to the cheapest target
    ends = explainer.targets_[full.argmin(axis=1)]
    way = (ends - means)[~accepted]
    gone = (result.X_cf - means)[~accepted]
    t = np.sum(gone * way, axis=1) / np.sum(way**2, axis=1)
    assert ((t > 0) & (t <= 1)).all()
    assert_allclose(gone, t[:, None] * way, atol=1e-9)
    assert (t < 0.9).any()


def test_barycentres_leave_categories_and_gaps_to_the_target(population):
    X, _, _ = population
    targets = explain_quietly(on_population(population), X)
    result = explain_quietly(on_population(population, read_out="barycentric"), X)
    moved = result.target_index >= 0
    assert_array_equal(result.target_index, targets.target_index)
    for name in ("job", "sex", "owner"):
        assert_array_equal(result.X_cf[name][moved].isna(), targets.X_cf[name][moved].isna())
        known = moved & targets.X_cf[name].notna().to_numpy()
        assert (result.X_cf[name][known] == targets.X_cf[name][known]).all()
    assert (result.X_cf["income"][moved] != targets.X_cf["income"][moved]).any()


@pytest.mark.parametrize("container", ["array", "pandas", "polars"])
def test_several_counterfactuals_are_the_cheapest_ones_in_order(moons, container):
    X, model = moons
    if container == "pandas":
        X = pd.DataFrame(X, columns=["a", "b"], index=[f"p{i}" for i in range(len(X))])
    if container == "polars":
        X = pytest.importorskip("polars").DataFrame(X, schema=["a", "b"])
    rule = lambda X: model.predict(np.asarray(X))  # noqa: E731
    explainer = CCEExplainer(rule, target_class=1, crowding_penalty=0.3, random_state=0).fit(X)
    queries, k = X[:40], 3
    result = explainer.explain(queries, n_counterfactuals=k)
    assert type(result.X_cf) is type(X)
    assert_array_equal(result.row, np.repeat(np.arange(40), k))
    assert_array_equal(result.rank, np.tile(np.arange(k), 40))
    if container == "pandas":
        assert_array_equal(result.X_cf.index, np.repeat(queries.index, k))
    there = model.predict(np.asarray(queries)) == 1
    assert_array_equal(result.status == "already_target", np.repeat(there, k))
    moved = np.flatnonzero(np.repeat(~there, k))
    full = costs_of(explainer, queries) + explainer.prices_
    best = np.argsort(full[~there], axis=1, kind="stable")[:, :k]
    assert_array_equal(result.target_index[moved].reshape(-1, k), best)
    price = (result.effort + result.price)[moved].reshape(-1, k)
    assert_allclose(price, np.take_along_axis(full[~there], best, axis=1))
    assert (np.diff(price, axis=1) >= 0).all()
    ends = np.asarray(explainer.targets_)[best.ravel()]
    assert_array_equal(np.asarray(result.X_cf)[moved], ends)
    first = explainer.explain(queries)
    assert_array_equal(first.target_index, result.target_index[::k])
    assert_array_equal(first.status, result.status[::k])


def test_first_of_several_is_what_one_is(population):
    """Also for rows that may become none of the targets."""
    X, _, _ = population
    space = FeatureSpace(immutable_features=["age", "sex", "owner"])
    explainer = on_population(population, feature_space=space)
    one = explain_quietly(explainer, X)
    several = explain_quietly(explainer, X, n_counterfactuals=2)
    assert ((one.status == "found") & (one.target_index == -1)).any()
    assert_array_equal(several.status[::2], one.status)
    assert_frame_equal(several.X_cf.iloc[::2], one.X_cf)


def test_more_counterfactuals_than_there_are_targets(moons):
    X, model = moons
    few = np.vstack([X[model.predict(X) == 0][:6], X[model.predict(X) == 1][:2]])
    explainer = CCEExplainer(model, random_state=0).fit(few)
    with pytest.warns(InvalidCounterfactualWarning, match="12 of 32 rows got no valid"):
        result = explainer.explain(few, n_counterfactuals=4)
    status = result.status.reshape(8, 4)
    assert (status[:6, :2] == "found").all()
    assert (status[:6, 2:] == "not_found").all()
    assert (status[6:] == "already_target").all()
    assert_array_equal(result.target_index.reshape(8, 4)[:6, 2:], -1)
    assert_array_equal(
        result.X_cf.reshape(8, 4, 2)[:6, 2:], few.repeat(4, 0).reshape(8, 4, 2)[:6, 2:]
    )


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_number_of_counterfactuals_is_checked(moons, k):
    with pytest.raises((ValueError, TypeError), match="n_counterfactuals"):
        on_moons(moons).explain(moons[0][:3], n_counterfactuals=k)


@pytest.mark.parametrize("read_out", ["argmin", "sample"])
def test_refining_saves_effort_and_crowds(population, read_out):
    X, _, _ = population
    plain = on_population(population, read_out=read_out, crowding_penalty=0.3)
    refined = clone(plain).set_params(refine=True).fit(X)
    before, after = (explain_quietly(explainer, X) for explainer in (plain, refined))
    assert_array_equal(after.target_index, before.target_index)
    led = before.target_index >= 0
    assert (after.cost[led] <= before.cost[led] + 1e-9).all()
    assert after.cost[led].mean() < 0.7 * before.cost[led].mean()
    assert (after.n_changes <= before.n_changes).all()
    assert (after.occupied_index[led] != after.target_index[led]).any()
    assert refined.crowding(after) > 1.2 * plain.crowding(before)


def test_crowding_counts_who_stands_where(moons):
    X, model = moons
    explainer = on_moons(moons)
    people = X[model.predict(X) == 0]
    result = explainer.explain(X)
    q = np.bincount(
        result.target_index[result.target_index >= 0], minlength=len(explainer.targets_)
    )
    expected = chi2(q / len(people), explainer.target_mass_)
    assert explainer.crowding(result) == pytest.approx(expected)
    # another explainer's counterfactuals count for the target that they are nearest to
    other = NearestExplainer(model, refine=False, n_neighbors=1).fit(X).explain(people)
    nearest = cdist(other.X_cf, explainer.targets_).argmin(axis=1)
    q = np.bincount(nearest, minlength=len(explainer.targets_))
    assert explainer.crowding(other) == pytest.approx(chi2(q / len(people), explainer.target_mass_))
    assert np.isnan(explainer.crowding(explainer.explain(X[model.predict(X) == 1])))


# ---- the population's own advice -----------------------------------------------------------------


def grid_population(n=600, seed=0):
    """People on an integer grid: many share a row."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 4, (n, 2))
    return X, lambda X: 2 * X[:, 0] + X[:, 1] > 4


def test_allocation_keeps_the_plan_where_no_rule_of_the_row_can():
    X, rule = grid_population()
    explainer = CCEExplainer(rule, target_class=True, crowding_penalty=1.0, random_state=0).fit(X)
    people = explainer.source_indices_
    allocation = explainer.allocation_
    assert_array_equal(allocation >= 0, ~rule(X))
    counts = np.bincount(allocation[people], minlength=len(explainer.targets_))
    planned = explainer.target_marginal_ * len(people)
    assert np.abs(counts - planned).max() <= 2
    C = costs_of(explainer, X[people])
    effort = C[np.arange(len(people)), allocation[people]].mean()
    crowding = chi2(counts / len(people), explainer.target_mass_)
    assert effort + crowding < 1.02 * explainer.objective_
    by_rule = explainer.explain(X[people])
    argmin = by_rule.effort.mean() + explainer.crowding(by_rule)
    assert argmin > 1.2 * (effort + crowding), "the test needs rows that are shared"
    assert effort == pytest.approx(explainer.transport_cost_, rel=0.03)
    own = (explainer.plan_[np.arange(len(people)), allocation[people]] > 0).all()
    assert own, "someone is sent where the plan sends none of that row"


def test_explain_population_gives_each_their_allocation():
    X, rule = grid_population()
    explainer = CCEExplainer(rule, target_class=True, crowding_penalty=0.3, random_state=0).fit(X)
    result = explainer.explain_population()
    assert_array_equal(result.X, X)
    assert_array_equal(result.target_index, explainer.allocation_)
    led = explainer.allocation_ >= 0
    assert_array_equal(result.status == "found", led)
    assert_array_equal(result.X_cf[led], explainer.targets_[explainer.allocation_[led]])
    assert_array_equal(result.X_cf[~led], X[~led])
    C = costs_of(explainer, X[led])
    assert_allclose(result.effort[led], C[np.arange(led.sum()), explainer.allocation_[led]])
    assert explainer.crowding(result) == pytest.approx(explainer.crowding_, abs=0.01)
    assert explainer.crowding(result) < 0.5 * explainer.crowding(explainer.explain(X))


@pytest.mark.parametrize("refine", [False, True])
def test_explain_population_of_mixed_people(population, refine):
    X, _, model = population
    explainer = on_population(population, refine=refine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        result = explainer.explain_population()
    assert_frame_equal(result.X, X)
    assert result.X_cf.index.equals(X.index)
    led = explainer.allocation_ >= 0
    assert_constraints_hold(X[led], result.X_cf[led])
    assert (model.predict(result.X_cf[led]) == "yes").all()
    if not refine:
        targets = explainer.targets_.iloc[explainer.allocation_[led]].set_index(X.index[led])
        assert_frame_equal(result.X_cf[led], targets)


def test_effort_rises_and_crowding_falls_in_what_people_are_told(moons):
    """Not of the plans alone: of the advice that is read off."""
    told = []
    for penalty in (0.01, 0.1, 1.0):
        explainer = on_moons(moons, crowding_penalty=penalty)
        result = explainer.explain_population()
        told.append((np.nanmean(result.effort), explainer.crowding(result)))
    for (effort, crowding), (more, less) in pairwise(told):
        assert more > effort
        assert less < crowding


@st.composite
def plans(draw):
    """Plans of equal people: few rows' worth of splits, many people on each."""
    n_targets = draw(st.integers(1, 6))
    rows = draw(st.lists(st.integers(0, 2**n_targets - 1), min_size=1, max_size=5))
    copies = draw(st.lists(st.integers(1, 40), min_size=len(rows), max_size=len(rows)))
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    dense = []
    for row, n_copies in zip(rows, copies, strict=True):
        support = np.array([row >> j & 1 for j in range(n_targets)])
        share = support * rng.gamma(1.0, size=n_targets)
        dense += [share / max(share.sum(), 1e-300)] * n_copies
    return np.array(dense)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(plans())
def test_allocation_is_never_far_from_the_plan(dense):
    plan = csr_array(dense)
    chosen = allocate(plan)
    served = dense.sum(axis=1) > 0
    assert_array_equal(chosen >= 0, served)
    people = np.flatnonzero(served)
    assert (dense[people, chosen[people]] > 0).all()
    counts = np.bincount(chosen[people], minlength=dense.shape[1])
    assert np.abs(counts - dense.sum(axis=0)).max() < 2


def test_allocation_of_a_plan_that_splits_nobody():
    plan = csr_array(np.array([[0, 0.3, 0], [0.1, 0, 0], [0, 0, 0], [0, 0.6, 0]]))
    assert allocate(plan).tolist() == [1, 0, -1, 1]
    assert allocate(csr_array((3, 2))).tolist() == [-1, -1, -1]


# ---- several classes -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def iris():
    data = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(data.data, data.target)
    return data.data, model


@pytest.mark.parametrize("divergence", ["chi2", "kl"])
def test_each_class_has_a_plan_of_its_own_under_other(iris, divergence):
    X, model = iris
    params = {"divergence": divergence, "crowding_penalty": 0.3, "tol": 1e-6, "random_state": 0}
    explainer = CCEExplainer(model, **params).fit(X)
    labels, target_labels = model.predict(X), model.predict(explainer.targets_)
    assert len(explainer.targets_) == len(X.drop_duplicates())
    assert explainer.prices_.shape == explainer.target_mass_.shape == (3, len(target_labels))
    assert_array_equal(explainer.source_indices_, np.arange(len(X)))
    own = target_labels == np.arange(3)[:, None]
    assert np.isinf(explainer.prices_[own]).all()
    assert np.isfinite(explainer.prices_[~own]).all()
    assert_array_equal(explainer.target_mass_ == 0, own)
    assert_allclose(explainer.target_mass_.sum(axis=1), 1)
    plan = explainer.plan_.toarray()
    assert (plan[labels[:, None] == target_labels] == 0).all()
    assert_allclose(plan.sum(axis=1), 1 / len(X))
    total = 0.0
    C = costs_of(explainer, X)
    for code in range(3):
        mine, theirs = labels == code, target_labels != code
        b = explainer.target_mass_[code, theirs]
        alone = solve_transport(
            C[np.ix_(mine, theirs)], b=b, target=divergence, target_penalty=0.3, tol=1e-6
        )
        total += mine.mean() * alone.primal
        full = C[np.ix_(mine, theirs)] + explainer.prices_[code, theirs]
        above = full - full.min(axis=1, keepdims=True)
        assert np.sum(plan[np.ix_(mine, theirs)] * above) < 2e-6 * explainer.objective_
    assert explainer.objective_ == pytest.approx(total, rel=2e-6)
    paid = explainer.transport_cost_ + 0.3 * explainer.crowding_
    assert paid == pytest.approx(explainer.objective_)


@every_read_out
def test_nobody_is_sent_to_their_own_class(iris, read_out):
    X, model = iris
    explainer = CCEExplainer(model, read_out=read_out, random_state=0).fit(X)
    result = explainer.explain(X)
    assert (result.status == "found").all()
    assert (model.predict(result.X_cf) != model.predict(X)).all()
    several = explainer.explain(X, n_counterfactuals=3)
    assert (several.y_cf != several.y).all()
    own = explainer.explain_population()
    assert (own.y_cf != own.y).all()
    assert_array_equal(own.y, model.predict(X))
    prices = explainer.prices_[np.repeat(result.y, 3), several.target_index]
    assert_array_equal(several.price, prices)


def test_other_with_two_classes_exchanges_both_sides(moons):
    X, model = moons
    explainer = on_moons(moons, target_class="other")
    result = explainer.explain(X)
    assert_array_equal(result.y_cf, 1 - result.y)
    one_way = on_moons(moons, target_class=1, crowding_penalty=1.0)
    other_way = on_moons(moons, target_class=0, crowding_penalty=1.0)
    share = np.mean(model.predict(X) == 0)
    both = share * one_way.objective_ * one_way.cost_scale_
    both += (1 - share) * other_way.objective_ * other_way.cost_scale_
    assert explainer.objective_ * explainer.cost_scale_ == pytest.approx(both, rel=0.1)


def test_classes_that_nobody_of_the_training_rows_has(iris):
    X, model = iris
    two = X[model.predict(X) != 2]
    explainer = CCEExplainer(model, random_state=0).fit(two)
    assert explainer.prices_.shape[0] == 3
    result = explainer.explain(X[model.predict(X) == 2])
    assert (result.y_cf != 2).all()
    assert (result.price == 0).all(), "where nobody was to be moved, nobody crowds"
