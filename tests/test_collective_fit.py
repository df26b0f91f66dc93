"""CCEExplainer among other things: weights, costs of moves, copies, odd input, clusters."""

import inspect
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from conftest import boosted_pipeline, mixed_population
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from test_collective import METRICS, SPACE, costs_of, explain_quietly, on_moons, on_population
from test_space_constraints import ROWS, constraints, fitted, frame

from skcf import CCEExplainer, FeatureSpace, InvalidCounterfactualWarning
from skcf.collective._move_costs import MoveCosts

every_metric = pytest.mark.parametrize("metric", METRICS)
every_read_out = pytest.mark.parametrize("read_out", ["argmin", "sample", "barycentric"])


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(300, noise=0.15, random_state=0)
    return X, SVC(random_state=0).fit(X, y)


# ---- weights -------------------------------------------------------------------------------------


def attributes(explainer):
    names = ["prices_", "target_mass_", "transport_cost_", "crowding_", "objective_", "gap_"]
    return {name: getattr(explainer, name) for name in [*names, "cost_scale_"]}


@pytest.mark.parametrize("target_class", ["yes", "other"])
def test_weights_are_repetition_to_the_bit(target_class):
    X, _ = mixed_population(200)
    model = boosted_pipeline(*mixed_population(), ["job", "sex"])
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    often = np.repeat(np.arange(len(X)), weight)
    params = {"target_class": target_class, "feature_space": SPACE, "random_state": 0}
    weighted = CCEExplainer(model, **params).fit(X, sample_weight=weight)
    repeated = CCEExplainer(model, **params).fit(X.iloc[often])
    for name, value in attributes(weighted).items():
        assert_array_equal(value, getattr(repeated, name), err_msg=name)
    assert_frame_equal(weighted.targets_, repeated.targets_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        assert_frame_equal(weighted.transform(X), repeated.transform(X), check_exact=True)
    # each copy has its share of the weighted row's mass
    place = {row: k for k, row in enumerate(weighted.source_indices_)}
    mass = weighted.plan_.toarray()
    for k, row in enumerate(often[repeated.source_indices_]):
        own = repeated.plan_[[k]].toarray()[0]
        assert_allclose(own * weight[row], mass[place[row]], rtol=1e-12)
    assert_allclose(weighted.target_marginal_, repeated.target_marginal_, rtol=1e-9, atol=1e-15)


def test_rows_without_weight_are_absent(population):
    X, _, model = population
    weight = np.ones(len(X))
    weight[::3] = 0
    kept = np.flatnonzero(weight)
    params = {"target_class": "yes", "feature_space": SPACE, "random_state": 0}
    weighted = CCEExplainer(model, **params).fit(X, model.predict(X), sample_weight=weight)
    absent = CCEExplainer(model, **params).fit(X.iloc[kept])
    assert_array_equal(weighted.prices_, absent.prices_)
    assert_array_equal(weighted.plan_.toarray(), absent.plan_.toarray())
    assert_array_equal(weighted.source_indices_, kept[absent.source_indices_])
    assert weighted.allocation_.shape == (len(X),)
    assert (weighted.allocation_[::3] == -1).all()
    assert_array_equal(weighted.allocation_[kept], absent.allocation_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        assert_frame_equal(weighted.explain_population().X, X.iloc[kept])


def test_equal_weights_are_none_and_their_unit_does_not_matter(moons):
    X, model = moons
    plain = on_moons(moons)
    for weight in (1, 1.0, np.ones(len(X)), np.full(len(X), 1e-3), np.full(len(X), 1e6)):
        explainer = CCEExplainer(model, random_state=0).fit(X, sample_weight=weight)
        assert_allclose(explainer.prices_, plain.prices_, atol=1e-9)
        assert explainer.plan_.sum() == pytest.approx(1)
        assert_array_equal(explainer.allocation_, plain.allocation_)


def test_weights_of_the_surrogate(population):
    X, _, model = population
    labels = model.predict(X)
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    often = np.repeat(np.arange(len(X)), weight)
    params = {"target_class": "yes", "random_state": 0}
    weighted = CCEExplainer(**params).fit(X, labels, sample_weight=weight)
    repeated = CCEExplainer(**params).fit(X.iloc[often], labels[often])
    assert_array_equal(weighted.estimator_.predict_proba(X), repeated.estimator_.predict_proba(X))
    assert_array_equal(weighted.prices_, repeated.prices_)


@pytest.mark.parametrize(
    "weight, message",
    [
        (-1.0, "Negative values in data passed to `sample_weight`"),
        (np.nan, "Input sample_weight contains NaN|must be finite"),
        (np.inf, "contains infinity|must be finite"),
        (0.0, "at least one non-zero number"),
    ],
)
@pytest.mark.parametrize("everywhere", [False, True])
def test_weights_that_are_none_are_refused(moons, weight, message, everywhere):
    X, model = moons
    weights = np.ones(len(X))
    weights[0 if not everywhere else slice(None)] = weight
    if weight == 0 and not everywhere:
        weights[:] = 0
    with pytest.raises(ValueError, match=message):
        CCEExplainer(model).fit(X, sample_weight=weights)


def test_weights_of_another_length_are_refused(moons):
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        CCEExplainer(moons[1]).fit(moons[0], sample_weight=np.ones(5))


def test_weights_that_leave_nobody_or_nowhere(moons):
    X, model = moons
    y = model.predict(X)
    with pytest.raises(ValueError, match="no row of X in the target class"):
        CCEExplainer(model).fit(X, sample_weight=y == 0)
    with pytest.raises(ValueError, match="there is nobody to move"):
        CCEExplainer(model).fit(X, sample_weight=y == 1)


def test_weights_are_routed_through_a_pipeline(moons):
    X, model = moons
    scaler = StandardScaler().fit(X)
    inner = SVC(random_state=0).fit(scaler.transform(X), model.predict(X))
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    expected = CCEExplainer(inner, random_state=0).fit(scaler.transform(X), sample_weight=weight)
    with sklearn.config_context(enable_metadata_routing=True):
        explainer = CCEExplainer(inner, random_state=0).set_fit_request(sample_weight=True)
        plain_scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(plain_scaler, explainer).fit(X, sample_weight=weight)
        assert_allclose(pipeline[-1].prices_, expected.prices_)
        copy = clone(pipeline).fit(X, sample_weight=weight)
        assert_allclose(copy[-1].prices_, expected.prices_)
        silent = make_pipeline(plain_scaler, CCEExplainer(inner, random_state=0))
        with pytest.raises(ValueError, match=r"sample_weight.*not explicitly set"):
            silent.fit(X, sample_weight=weight)
        search = GridSearchCV(explainer, {"crowding_penalty": [0.1, 1.0]}, cv=2)
        search.fit(scaler.transform(X), sample_weight=weight)
        assert search.best_score_ == 1.0
        assert_allclose(
            search.best_estimator_.set_params(crowding_penalty=1.0)
            .fit(scaler.transform(X), sample_weight=weight)
            .prices_,
            expected.prices_,
        )


# ---- what moves cost -----------------------------------------------------------------------------


def encoded(space, X):
    return space._encode(space._tabulate(X))


def matrix_of(cost):
    rows, columns = np.indices(cost.shape)
    return cost.pairs(rows.ravel(), columns.ravel()).reshape(cost.shape)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    constraints(),
    ROWS,
    ROWS,
    st.sampled_from(METRICS),
    st.sampled_from([1, 2, 0.5]),
    st.sampled_from([1.0, 0.125]),
)
def test_moves_cost_what_the_feature_space_says(rules, X, Y, metric, exponent, factor):
    """Gaps, unseen categories and all constraints; exactly, roughly, and as a mask."""
    space = fitted(rules)
    X, Y = frame(X), frame(Y)
    own, theirs = encoded(space, X), encoded(space, Y)
    free = ~space.constraints_.blocked(own).any(axis=1)
    inside = space.constraints_.admissible(theirs)
    expected = factor * space.pairwise_cost(X, Y, metric=metric, exponent=exponent)
    expected = expected[np.ix_(free, inside)]
    cost = MoveCosts(space, own[free], theirs[inside], metric).raised(exponent).times(factor)
    assert cost.shape == expected.shape
    assert_allclose(matrix_of(cost), expected, rtol=1e-12)
    if not expected.size:
        return
    assert_array_equal(cost.feasible(), np.isfinite(expected).any(axis=1))
    rng = np.random.default_rng(0)
    levels, prices = rng.normal(size=len(expected)), rng.normal(size=expected.shape[1])
    everything = slice(0, cost.shape[0]), slice(0, cost.shape[1])
    block = cost.reduced(levels, prices)(*everything).astype(float)
    reduced = expected + prices - levels[:, None]
    allowed = np.isfinite(expected)
    assert_array_equal(np.isinf(block), ~allowed)
    slack = cost.rounding(levels, prices) + 1e-12 * max(1, expected[allowed].max(initial=0))
    assert np.abs(block[allowed] - reduced[allowed]).max(initial=0) <= slack
    held = np.zeros(expected.shape, dtype=bool)
    for rows, columns in cost.pools():
        own_pool = np.zeros(len(expected), bool), np.zeros(expected.shape[1], bool)
        own_pool[0][rows], own_pool[1][columns] = True, True
        assert not held[own_pool[0]].any(), "a source is in two pools"
        held |= np.outer(*own_pool)
    assert held[allowed].all()


@every_metric
def test_rounding_of_blocks_is_small(population, metric):
    X, _, _ = population
    space = clone(SPACE).fit(X)
    Z = encoded(space, X)
    Y = Z[space.constraints_.admissible(Z)]
    cost = MoveCosts(space, Z, Y, metric)
    exact = matrix_of(cost)
    levels, prices = np.zeros(len(Z)), np.zeros(len(Y))
    assert cost.rounding(levels, prices) < 1e-4 * exact[np.isfinite(exact)].max()
    assert len(cost.pools()) == 2
    part = cost.take(np.arange(0, 300, 7), slice(5, 90))
    assert_array_equal(matrix_of(part), exact[np.arange(0, 300, 7)][:, 5:90])


def test_no_pools_between_rows_that_share_nothing(population):
    X, _, _ = population
    space = clone(SPACE).fit(X)
    Z = encoded(space, X)
    j = list(X).index("sex")
    women, men = Z[Z[:, j] == 0], Z[Z[:, j] == 1]
    cost = MoveCosts(space, women, men)
    assert cost.pools() == []
    assert not cost.feasible().any()
    assert np.isinf(matrix_of(cost)).all()


# ---- fit and its surroundings --------------------------------------------------------------------


@every_read_out
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_a_row_s_advice_does_not_depend_on_the_others(population, read_out, cost):
    X, _, _ = population
    explainer = on_population(population, read_out=read_out, cost=cost)
    whole = explain_quietly(explainer, X)
    order = np.random.default_rng(0).permutation(len(X))[:150]
    part = explain_quietly(explainer, X.iloc[order])
    assert_array_equal(part.target_index, whole.target_index[order])
    assert_frame_equal(part.X_cf, whole.X_cf.iloc[order])
    assert_allclose(part.price, whole.price[order])
    alone = [explain_quietly(explainer, X.iloc[[i]]).target_index[0] for i in range(20)]
    assert_array_equal(alone, whole.target_index[:20])


@pytest.mark.parametrize("target_class", ["yes", "other"])
def test_the_order_of_the_training_rows_does_not_matter(population, target_class):
    X, _, _ = population
    plain = on_population(population, target_class=target_class)
    order = np.random.default_rng(0).permutation(len(X))
    mixed = on_population((X.iloc[order], None, population[2]), target_class=target_class)
    for name, value in attributes(plain).items():
        assert_array_equal(value, getattr(mixed, name), err_msg=name)
    assert_frame_equal(explain_quietly(plain, X).X_cf, explain_quietly(mixed, X).X_cf)
    place = np.argsort(order[mixed.source_indices_])
    assert_array_equal(order[mixed.source_indices_][place], plain.source_indices_)
    assert_allclose(mixed.plan_.toarray()[place], plain.plan_.toarray(), rtol=1e-12)


def test_grid_search_over_the_crowding_penalty(population):
    X, _, model = population
    explainer = CCEExplainer(model, target_class="yes", random_state=0)
    grid = {"crowding_penalty": [0.1, 10.0], "divergence": ["chi2", "kl"]}
    search = GridSearchCV(explainer, grid, cv=2, error_score="raise").fit(X, model.predict(X))
    assert search.best_score_ == 1.0

    def uncrowded(explainer, X, y=None):
        return -explainer.crowding(explainer.explain(X))

    search = GridSearchCV(explainer, grid, cv=2, scoring=uncrowded, error_score="raise")
    search.fit(X, model.predict(X))
    assert search.best_params_["crowding_penalty"] == 10.0


def test_copies_give_the_same_advice(population, tmp_path):
    X, _, _ = population
    explainer = on_population(population, read_out="sample")
    expected = explain_quietly(explainer, X)
    joblib.dump(explainer, tmp_path / "explainer.joblib")
    for copy in (
        pickle.loads(pickle.dumps(explainer)),
        joblib.load(tmp_path / "explainer.joblib"),
        clone(explainer).fit(X),
    ):
        result = explain_quietly(copy, X)
        assert_frame_equal(result.X_cf, expected.X_cf, check_exact=True)
        assert_array_equal(result.price, expected.price)
        assert_array_equal(copy.explain_population().target_index, explainer.allocation_)
    loaded = pickle.loads(pickle.dumps(expected))
    assert_array_equal(loaded.target_index, expected.target_index)
    assert pickle.loads(pickle.dumps(explainer.crowding_path([1.0]))).gap.shape == (1,)


def test_an_interrupted_fit_leaves_the_old_one(population, monkeypatch):
    X, _, _ = population
    explainer = on_population(population)
    before = dict(vars(explainer))
    expected = explain_quietly(explainer, X).X_cf

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("skcf.collective._collective.solve_transport", interrupted)
    with pytest.raises(KeyboardInterrupt):
        explainer.set_params(crowding_penalty=0.2).fit(X.iloc[:200])
    monkeypatch.undo()
    explainer.set_params(crowding_penalty=before["crowding_penalty"])
    assert vars(explainer) == before
    assert_frame_equal(explain_quietly(explainer, X).X_cf, expected)


def test_number_of_workers_changes_nothing(population):
    X, _, _ = population
    one, two = (on_population(population, n_jobs=n_jobs) for n_jobs in (None, 2))
    assert_array_equal(one.prices_, two.prices_)
    assert_frame_equal(explain_quietly(one, X).X_cf, explain_quietly(two, X).X_cf)


def test_memory_mapped_rows(moons, tmp_path):
    X, model = moons
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    explainer = CCEExplainer(model, random_state=0).fit(mapped)
    expected = on_moons(moons)
    assert_array_equal(explainer.prices_, expected.prices_)
    assert_array_equal(explainer.transform(mapped), expected.transform(X))
    assert_array_equal(explainer.explain_population().X_cf, expected.explain_population().X_cf)


def test_small_working_memory(moons):
    X, _ = moons
    expected = on_moons(moons)
    with sklearn.config_context(working_memory=1e-3):
        explainer = on_moons(moons)
        assert_array_equal(explainer.explain(X).target_index, expected.explain(X).target_index)
    assert explainer.objective_ == pytest.approx(expected.objective_, rel=2e-4)


# ---- input that is odd, or bad -------------------------------------------------------------------


def test_nowhere_to_go_and_nobody_to_move(moons):
    X, model = moons
    y = model.predict(X)
    with pytest.raises(ValueError, match="no row of X in the target class"):
        CCEExplainer(model).fit(X[y == 0])
    with pytest.raises(ValueError, match="all rows of X in the target class 1: there is nobody"):
        CCEExplainer(model).fit(X[y == 1])
    with pytest.raises(ValueError, match="all rows in 1 class"):
        CCEExplainer(model, target_class="other").fit(X[y == 1])


@pytest.mark.parametrize("n_people, n_targets", [(1, 1), (1, 100), (100, 1), (3, 140), (140, 3)])
@pytest.mark.parametrize("source", ["hard", "kl", "chi2"])
def test_few_people_or_few_targets(moons, n_people, n_targets, source):
    X, model = moons
    y = model.predict(X)
    X = np.vstack([X[y == 0][:n_people], X[y == 1][:n_targets]])
    explainer = CCEExplainer(model, source=source, random_state=0).fit(X)
    assert explainer.gap_ <= 1e-4
    assert explainer.plan_.shape == (n_people, n_targets)
    assert (model.predict(explainer.transform(X)) == 1).all()
    if source == "hard":
        assert_allclose(explainer.plan_.sum(axis=1), 1 / n_people)
        if n_targets == 1:
            assert_allclose(explainer.target_marginal_, 1)
            assert explainer.crowding_ == pytest.approx(0, abs=1e-9)


def test_duplicates_and_constant_columns():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, 60), np.full(60, 3.0)]).astype(float)
    explainer = CCEExplainer(lambda X: X[:, 0] > 0.5, target_class=True, random_state=0).fit(X)
    assert explainer.targets_.tolist() == [[1.0, 3.0]]
    assert explainer.plan_.shape == (np.sum(X[:, 0] == 0), 1)
    assert_array_equal(explainer.transform(X), np.tile([1.0, 3.0], (60, 1)))
    assert explainer.crowding_ == pytest.approx(0, abs=1e-9)


def test_rows_that_are_alike_in_all_but_their_class():
    """Moves that cost nothing: all people stand where all targets are."""
    X = pd.DataFrame({"fixed": ["a"] * 10 + ["b"] * 10, "free": [1.0] * 20})
    space = FeatureSpace(feature_weights={"fixed": 0.0})
    explainer = CCEExplainer(
        lambda X: (X["fixed"] == "b").to_numpy(), target_class=True, feature_space=space
    ).fit(X)
    assert explainer.transport_cost_ == 0
    assert explainer.cost_scale_ == 1.0
    assert (explainer.explain(X).y_cf).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"crowding_penalty": 0},
        {"crowding_penalty": -1.0},
        {"crowding_penalty": np.inf},
        {"crowding_penalty": np.nan},
        {"source_penalty": 0},
        {"source_penalty": np.inf},
        {"source": "soft"},
        {"divergence": "hard"},
        {"cost": "cosine"},
        {"cost_power": 0.5},
        {"cost_power": np.inf},
        {"read_out": "mean"},
        {"refine": 1},
        {"solver": "simplex"},
        {"reg": 0},
        {"tol": 0},
        {"max_passes": 0},
        {"n_jobs": 0},
    ],
)
def test_parameters_are_checked_before_anything_is_done(moons, wrong):
    X, model = moons
    explainer = CCEExplainer(model, **wrong)
    (name,) = wrong
    with pytest.raises(ValueError, match=f"The '{name}' parameter of CCEExplainer"):
        explainer.fit(X)
    assert not [key for key in vars(explainer) if key.endswith("_")]


def test_penalties_whose_ratio_overflows_are_refused(moons):
    X, model = moons
    params = {"source": "kl", "source_penalty": 0.01, "crowding_penalty": 5.0}
    with pytest.raises(ValueError, match="500 times source_penalty, which overflows"):
        CCEExplainer(model, **params).fit(X)
    explainer = on_moons(moons, **{**params, "source_penalty": 0.1})
    assert explainer.gap_ <= 1e-4


def test_every_parameter_is_documented_and_checked():
    names = list(inspect.signature(CCEExplainer).parameters)
    assert set(names) == set(CCEExplainer._parameter_constraints)
    for name in names:
        assert f"\n    {name} : " in CCEExplainer.__doc__


@pytest.mark.parametrize("read_out", ["argmin", "barycentric"])
def test_queries_that_nobody_was_like(moons, read_out):
    """Far from all training rows, the cheapest target is still the cheapest."""
    _, model = moons
    explainer = on_moons(moons, read_out=read_out)
    rng = np.random.default_rng(0)
    far = rng.normal(0, 1e3, (200, 2))
    far = far[model.predict(far) == 0]
    assert len(far) > 20
    result = explainer.explain(far)
    assert (result.status == "found").all()
    full = costs_of(explainer, far) + explainer.prices_
    assert_array_equal(result.target_index, full.argmin(axis=1))


# ---- beyond one machine --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the machinery, not ours
        workers = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        )
        with workers, distributed.Client(workers) as client:
            yield client


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning:distributed")
def test_a_cluster_gives_the_same_answer(population, cluster, monkeypatch):
    X, _, _ = population
    monkeypatch.setattr("skcf.transport._pricing.CHUNK_ROWS", 40)
    monkeypatch.setattr("skcf.transport._newton.FEW_PAIRS", 1000)
    monkeypatch.setattr("skcf.transport._newton.SMALLEST", 30)
    expected = on_population(population)
    with joblib.parallel_config(backend="dask"):
        explainer = on_population(population, n_jobs=-1)
        result = explain_quietly(explainer, X)
    done = cluster.run(lambda dask_worker: dask_worker.state.executed_count)
    assert min(done.values()) > 10, "both processes have worked"
    assert_allclose(explainer.prices_, expected.prices_, atol=1e-9)
    assert_allclose(explainer.plan_.toarray(), expected.plan_.toarray(), atol=1e-9)
    assert explainer.objective_ == pytest.approx(expected.objective_, rel=1e-9)
    assert_frame_equal(result.X_cf, explain_quietly(expected, X).X_cf)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning:distributed")
def test_a_dask_frame_is_explained_by_partitions(population, cluster):
    dd = pytest.importorskip("dask.dataframe")
    X, _, _ = population
    explainer = on_population(population, feature_space=None)
    frame = dd.from_pandas(X, npartitions=5, sort=False)
    X_cf = frame.map_partitions(explainer.transform, meta=X.iloc[:0]).compute()
    expected = explainer.explain(X)
    assert_array_equal(X_cf.index, X.index)  # (dask has a string type of its own)
    assert_frame_equal(X_cf.set_index(X.index), expected.X_cf)

    def effort_and_price(part):
        result = explainer.explain(part)
        return pd.DataFrame({"effort": result.effort, "price": result.price}, index=part.index)

    meta = pd.DataFrame({"effort": [0.0], "price": [0.0]}).iloc[:0]
    numbers = frame.map_partitions(effort_and_price, meta=meta).compute()
    assert_allclose(numbers["effort"], expected.effort)
    assert_allclose(numbers["price"], expected.price)
