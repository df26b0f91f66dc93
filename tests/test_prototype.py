"""PrototypeExplainer: what it returns, under each of its settings; and what it refuses."""

import pickle
import warnings
from functools import cache

import numpy as np
import pytest
from conftest import boosted_pipeline, mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer, PrototypeExplainer
from skcf.prototype import PrototypeResult

pd = pytest.importorskip("pandas")

STD = FeatureSpace(scale="std")


@cache
def cancer():
    """Standardised rows as in section 4.3, the last 19 to be explained, and a net."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    net = MLPClassifier(20, solver="lbfgs", max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(X[:550], y[:550])
    return X[:550], X[550:], net


@cache
def autoencoders():
    """An encoder and an autoencoder of torch, briefly trained, and a PCA."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    X = torch.tensor(cancer()[0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 4)).double()
        whole = nn.Sequential(encoder, nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 30)).double()
        steps = torch.optim.Adam(whole.parameters(), lr=0.02)
        for _ in range(100):
            steps.zero_grad()
            (whole(X) - X).square().mean().backward()
            steps.step()
    return {"encoder": encoder, "torch": whole, "pca": PCA(6).fit(cancer()[0])}


@cache
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, LogisticRegression(max_iter=500).fit(X, y)


@cache
def people():
    X, y = mixed_population(300)
    return X, boosted_pipeline(X, y, ["job", "sex"])


def explained(explainer, X, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X, **more)


FISTA = {
    "beta": 0.005, "n_prototypes": 1, "max_steps": 80, "learning_rate_init": 0.05,
    "prediction_loss": "margin", "solver": "fista", "feature_space": STD, "target_class": "other",
}  # fmt: skip

TORCH = {"encoder": "encoder", "autoencoder": "torch"}
PCAS = {"encoder": "pca", "autoencoder": "pca"}

LOSSES = {
    "A": {"c": 2.0, "theta": 0.0},
    "B": {"c": 2.0, "theta": 0.0, "gamma": 0.1, "autoencoder": "torch"},
    "C": {"c": 2.0, "theta": 3.0},
    "D": {"c": 2.0, "theta": 3.0, "gamma": 0.1, "autoencoder": "pca"},
    "E": {"theta": 30.0},
    "F": {"theta": 30.0, "gamma": 0.1, "autoencoder": "torch"},
    "C, torch": {"c": 2.0, "theta": 1.0, "encoder": "encoder"},
    "D, torch": {"c": 2.0, "theta": 1.0, "gamma": 0.1} | TORCH,
    "E, pca": {"theta": 30.0, "encoder": "pca", "k": 3, "learning_rate_init": 0.03},
    "F, pca": {"theta": 30.0, "gamma": 0.1, "learning_rate_init": 0.03} | PCAS,
}


def with_networks(setting):
    nets = autoencoders() if {"encoder", "autoencoder"} & set(setting) else {}
    return {name: nets.get(value, value) for name, value in setting.items()}


# ----------------------------------------------------------------------------- losses and solvers


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_find_what_the_classifier_puts_in_another_class(loss):
    X, queries, net = cancer()
    explainer = PrototypeExplainer(net, **FISTA | with_networks(LOSSES[loss])).fit(X)
    result = explained(explainer, queries)
    found = result.status == "found"
    assert found.mean() > 0.8
    own, now = net.predict(queries), net.predict(result.X_cf)
    assert np.all(now[found] != own[found])
    assert_array_equal(result.y_cf, now)
    change = np.abs(result.X_cf - queries) / X.std(axis=0)
    expected = 0.005 * change.sum(axis=1) + np.square(change).sum(axis=1)
    assert_allclose(result.elastic_net[found], expected[found])
    assert np.isnan(result.elastic_net[~found]).all()
    c = LOSSES[loss].get("c", 0.0)
    assert_array_equal(result.c[found], c)
    assert np.isnan(result.c[~found]).all()
    from_rows = "encoder" not in LOSSES[loss]
    assert np.all((result.prototype_index[found] >= 0) == from_rows)
    if from_rows:
        assert_array_equal(net.predict(X[result.prototype_index[found]]), now[found])


def test_the_prototype_draws_to_its_class():
    """C is nearer to real rows of its class than A, and costs more (Table 2's direction)."""
    X, queries, net = cancer()
    remoteness, cost = [], []
    for loss in "AC":
        explainer = PrototypeExplainer(net, **FISTA | LOSSES[loss]).fit(X)
        result = explained(explainer, queries)
        assert (result.status == "found").all()
        labels = net.predict(X)
        gaps = [
            np.sort(np.linalg.norm(X[labels == label] - row, axis=1))[:5].mean()
            for row, label in zip(result.X_cf, result.y_cf, strict=True)
        ]
        remoteness.append(np.mean(gaps))
        cost.append(result.elastic_net.mean())
    assert remoteness[1] < 0.9 * remoteness[0]
    assert cost[1] > cost[0]


def test_the_autoencoder_draws_to_what_it_reconstructs():
    """B has the lower error of reconstruction than A."""
    X, queries, net = cancer()
    pca = autoencoders()["pca"]
    errors = []
    for setting in (LOSSES["A"], LOSSES["A"] | {"gamma": 2.0, "autoencoder": pca}):
        result = explained(PrototypeExplainer(net, **FISTA | setting).fit(X), queries)
        assert (result.status == "found").all()
        change = result.X_cf - pca.inverse_transform(pca.transform(result.X_cf))
        errors.append(np.square(change).sum(axis=1).mean())
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("asked", ["probability", "margin"])
def test_white_box_and_black_box_agree(asked):
    X, model = iris()
    setting = FISTA | {"prediction_loss": asked, "c": 4.0, "theta": 0.0, "beta": 0.002}
    white = explained(PrototypeExplainer(model, **setting).fit(X), X)
    black = explained(PrototypeExplainer(model.predict_proba, **setting).fit(X), X)
    assert (white.status == "found").mean() > 0.5
    assert_array_equal(white.status, black.status)
    # now and then the one iterate is valid by a hair, and the other one is not
    gap = np.abs(white.X_cf - black.X_cf).to_numpy().max(axis=1)
    assert np.mean(gap < 1e-5) > 0.9
    assert gap.max() < 0.05
    assert black.n_calls > white.n_calls
    assert black.n_queries.sum() > 3 * white.n_queries.sum()


@pytest.mark.parametrize(
    ("setting", "solver"),
    [
        ({}, "path"),
        ({"autoencoder": "pca", "gamma": 0.0}, "path"),
        ({"solver": "path"}, "path"),
        ({"solver": "fista"}, "fista"),
        ({"c": 1.0}, "sequential"),
        ({"c": 1.0, "theta": 0.0}, "sequential"),
        ({"c": 1.0, "encoder": "pca"}, "fista"),
        ({"c": 1.0, "solver": "fista"}, "fista"),
        ({"encoder": "pca"}, "fista"),
        ({"autoencoder": "pca"}, "fista"),
    ],
)
def test_the_path_is_taken_where_it_applies(setting, solver):
    X, _, net = cancer()
    explainer = PrototypeExplainer(net, **with_networks(setting)).fit(X)
    assert explainer.solver_ == solver


def test_the_classifier_is_asked_once_per_update_and_at_the_ends():
    """Section 3.5, from outside: 50 updates; the labels before; those after."""
    X, queries, net = cancer()
    setting = FISTA | LOSSES["E"] | {"max_steps": 50, "tol": 0, "beta": 0.0}
    result = explained(PrototypeExplainer(net, **setting).fit(X), queries)
    assert result.n_calls == 52
    assert_array_equal(result.n_queries, np.where(result.status == "found", 52, 51))
    path = PrototypeExplainer(net, target_class="other", feature_space=STD).fit(X)
    assert explained(path, queries).n_calls <= 6


def test_fista_crosses_where_the_path_does():
    """Without L1 norm both move on the segment to the prototype: to its first valid point."""
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], y[50:]
    model = LogisticRegression().fit(X, y)
    setting = {"target_class": 1, "n_prototypes": 1, "feature_space": STD, "beta": 0.0}
    path = explained(PrototypeExplainer(model, **setting).fit(X), X)
    options = {"max_steps": 500, "learning_rate_init": 0.004, "theta": 30.0, "tol": 0.0}
    fista = PrototypeExplainer(model, **setting, **options, solver="fista", momentum=False)
    fista = explained(fista.fit(X), X)
    found = fista.status == "found"
    assert found.sum() > 20
    assert_array_equal(path.prototype_index[found], fista.prototype_index[found])
    assert np.all(path.elastic_net[found] <= fista.elastic_net[found] * 1.02)
    assert_allclose(fista.X_cf[found], path.X_cf[found], atol=0.3)


def test_c_steps_find_what_one_weight_does_not():
    X, queries, net = cancer()
    setting = FISTA | {"c": 0.05, "theta": 0.0}
    once = explained(PrototypeExplainer(net, **setting).fit(X), queries)
    several = explained(PrototypeExplainer(net, **setting, c_steps=4).fit(X), queries)
    assert (once.status == "found").sum() < (several.status == "found").sum()
    assert (several.status == "found").all()
    assert len(np.unique(several.c)) > 1
    # 0.05, then halved or tenfold, then between what failed and what did not
    possible = np.array([1, 0.5, 0.25, 0.125, 0.75, 0.375, 0.625, 0.875, 10, 5.5, 3.25, 7.75, 100])
    possible = np.append(possible, [55, 32.5, 1000]) * 0.05
    assert np.isclose(several.c[:, None], possible).any(axis=1).all()


# -------------------------------------------------------------------------- prototypes, selection


@pytest.mark.parametrize("k", [1, 4])
def test_one_prototype_is_the_kth_nearest_row_of_another_class(k):
    X, model = iris()
    explainer = PrototypeExplainer(
        model, k=k, n_prototypes=1, target_class="other", feature_space=STD
    ).fit(X)
    result = explained(explainer, X)
    assert (result.status == "found").all()
    U, labels = X.to_numpy() / X.to_numpy().std(axis=0), model.predict(X)
    for i in range(len(X)):
        kth = []
        for code in np.setdiff1d([0, 1, 2], labels[i]):
            rows = np.flatnonzero(labels == code)
            gaps = np.linalg.norm(U[rows] - U[i], axis=1)
            kth.append((np.sort(gaps)[k - 1], rows[np.argsort(gaps, kind="stable")[k - 1]]))
        distance, row = min(kth)
        assert_allclose(np.linalg.norm(U[result.prototype_index[i]] - U[i]), distance)
        assert result.y_cf[i] == labels[row] == labels[result.prototype_index[i]]


def test_counterfactuals_lie_between_the_row_and_its_prototype():
    X, queries, net = cancer()
    explainer = PrototypeExplainer(net, target_class="other").fit(X)
    result = explained(explainer, queries)
    prototype = X[result.prototype_index]
    low, high = np.minimum(queries, prototype), np.maximum(queries, prototype)
    assert np.all((low - 1e-9 <= result.X_cf) & (result.X_cf <= high + 1e-9))
    assert np.mean(result.n_changes) < 30


def test_choice_among_prototypes():
    """The cheapest is the cheapest, the plausible one the nearest to five rows of its class."""
    X, queries, net = cancer()
    params = {"target_class": "other", "feature_space": STD, "n_prototypes": 15}
    results = {
        select: explained(PrototypeExplainer(net, select=select, **params).fit(X), queries)
        for select in ("cheapest", "plausible", "balanced")
    }
    labels, scale = net.predict(X), X.std(axis=0)

    def remoteness(result):
        gaps = (
            np.linalg.norm((X[labels == label] - row) / scale, axis=1)
            for row, label in zip(result.X_cf, result.y_cf, strict=True)
        )
        return np.array([np.sort(gap)[:5].mean() for gap in gaps])

    cost = {select: result.elastic_net for select, result in results.items()}
    far = {select: remoteness(result) for select, result in results.items()}
    for other in ("plausible", "balanced"):
        assert np.all(cost["cheapest"] <= cost[other] + 1e-9)
    for other in ("cheapest", "balanced"):
        assert np.all(far["plausible"] <= far[other] + 1e-9)
    share = {s: cost[s] / cost["cheapest"] + far[s] / far["plausible"] for s in results}
    for other in ("cheapest", "plausible"):
        assert np.all(share["balanced"] <= share[other] + 1e-9)
    assert (cost["balanced"] < cost["plausible"] - 1e-6).any()


def test_more_prototypes_are_never_dearer():
    X, queries, net = cancer()
    params = {"target_class": 1, "select": "cheapest"}
    costs = [
        explained(PrototypeExplainer(net, n_prototypes=n, **params).fit(X), queries).elastic_net
        for n in (1, 5, 20)
    ]
    needed = ~np.isnan(costs[0])
    assert needed.sum() > 3
    assert np.all(np.diff(np.array(costs)[:, needed], axis=0) <= 1e-12)
    assert costs[2][needed].sum() < costs[0][needed].sum()


def test_several_counterfactuals_are_diverse_and_valid():
    X, queries, net = cancer()
    explainer = PrototypeExplainer(net, target_class="other", n_prototypes=1).fit(X)
    result = explained(explainer, queries, n_counterfactuals=4)
    assert isinstance(result, PrototypeResult)
    assert_array_equal(result.row, np.repeat(np.arange(len(queries)), 4))
    assert (result.status == "found").mean() > 0.95
    assert_array_equal(net.predict(result.X_cf), result.y_cf)
    assert np.all((result.y_cf != np.repeat(net.predict(queries), 4))[result.status == "found"])
    for i in range(len(queries)):
        mine = np.flatnonzero((result.row == i) & (result.status == "found"))
        assert np.all(np.diff(result.cost[mine]) >= -1e-12)
        assert len(np.unique(result.X_cf[mine], axis=0)) == len(mine)
        assert len(set(result.prototype_index[mine])) == len(mine)


@pytest.mark.parametrize("setting", [{}, FISTA | {"theta": 5.0}])
def test_refined_ones_cost_no_more(setting):
    X, queries, net = cancer()
    params = {"target_class": "other"} | setting
    plain = explained(PrototypeExplainer(net, **params).fit(X), queries)
    refined = explained(PrototypeExplainer(net, **params, refine=True).fit(X), queries)
    assert_array_equal(plain.status, refined.status)
    found = plain.status == "found"
    assert np.all(refined.cost[found] <= plain.cost[found] + 1e-12)
    assert np.all(refined.n_changes[found] <= plain.n_changes[found])
    assert refined.cost[found].sum() < 0.9 * plain.cost[found].sum()
    assert_array_equal(plain.prototype_index, refined.prototype_index)


@pytest.mark.parametrize("min_margin", [1e-4, 0.5, 2.0])
def test_min_margin_is_kept(min_margin):
    X, model = iris()
    explainer = PrototypeExplainer(
        model, target_class=1, min_margin=min_margin, n_prototypes=60
    ).fit(X)
    queries = X[model.predict(X) != 1]
    scores = np.sort(model.decision_function(explainer.transform(queries)), axis=1)
    assert np.all(scores[:, -1] - scores[:, -2] >= min_margin * (1 - 1e-9))


def test_a_margin_that_no_row_has_leaves_those_that_are_valid():
    X, model = iris()
    explainer = PrototypeExplainer(model, target_class=1, min_margin=1e6).fit(X)
    assert_array_equal(model.predict(explainer.transform(X)), 1)


# ------------------------------------------------------------------------- targets, weights, scale


def test_other_and_fixed_targets_of_several_classes():
    X, model = iris()
    own = model.predict(X)
    other = explained(PrototypeExplainer(model).fit(X), X)
    assert np.all(model.predict(other.X_cf) != own)
    for target in (0, 1, 2):
        result = explained(PrototypeExplainer(model, target_class=target).fit(X), X)
        assert_array_equal(model.predict(result.X_cf), target)
        assert_array_equal(result.status == "already_target", own == target)
        assert np.isnan(result.elastic_net[own == target]).all()
        assert_array_equal(result.prototype_index[own == target], -1)
    # with "other" each row takes the cheaper way, by and large
    assert set(model.predict(other.X_cf[own == 0])) == {1}
    assert set(model.predict(other.X_cf[own == 2])) == {1}


def test_dear_features_are_left_alone():
    X, model = iris()
    plain = PrototypeExplainer(model, target_class=1, n_prototypes=1, beta=0.3)
    even = plain.set_params(feature_space=None).fit(X).explain(X)
    space = FeatureSpace(feature_weights={"petal length (cm)": 100.0})
    weighted = explained(plain.set_params(feature_space=space).fit(X), X)
    found = weighted.status == "found"
    length = "petal length (cm)"
    step = [np.abs(r.X_cf[length] - X[length])[found] for r in (even, weighted)]
    assert step[1].mean() < 0.9 * step[0].mean()
    scale = np.ptp(X.to_numpy(), axis=0)
    change = np.abs(weighted.X_cf - X).to_numpy()[found] / scale
    expected = (change * (0.3 + change)) @ np.array([1, 1, 100.0, 1])
    assert_allclose(weighted.elastic_net[found], expected)


def test_units_of_columns_do_not_matter():
    """Scale takes them out, so a column in other units changes nothing else."""
    X, queries, net = cancer()
    factor = np.where(np.arange(30) % 2, 64.0, 1.0)  # powers of 2: nothing is rounded
    for setting in ({}, FISTA | {"theta": 5.0, "c": 1.0}):
        one = PrototypeExplainer(net.predict_proba, **setting | {"target_class": 0}).fit(X)
        other = PrototypeExplainer(
            lambda Z: net.predict_proba(Z / factor), **setting | {"target_class": 0}
        ).fit(X * factor)
        expected = explained(one, queries)
        result = explained(other, queries * factor)
        assert_array_equal(result.status, expected.status)
        assert_allclose(result.X_cf / factor, expected.X_cf, rtol=1e-5, atol=1e-8)
        assert_allclose(result.elastic_net, expected.elastic_net, rtol=1e-5)


# ---------------------------------------------------------------- mixed tables and constraints


def by_hand(explainer, X, X_cf, beta):
    """The elastic net of a mixed table, from public attributes and numpy alone."""
    total = np.zeros(len(X))
    for name in X:
        old, new = X[name], X_cf[name]
        if name in explainer.category_positions_:
            place = explainer.category_positions_[name]
            old, new = (column.map(place).astype(float) for column in (old, new))
        else:
            span = np.ptp(people()[0][name].dropna().to_numpy(float))
            old, new = old.astype(float) / span, new.astype(float) / span
        step = np.abs(new - old).to_numpy()
        gained = (old.isna() != new.isna()).to_numpy()
        step = np.where(np.isnan(step), gained, step)
        total += beta * step + step**2
    return total


@pytest.mark.parametrize("setting", [{}, {"solver": "fista", "beta": 0.02, "theta": 20.0}])
@pytest.mark.parametrize("embedding", ["line", "norm"])
def test_elastic_net_of_mixed_tables(setting, embedding):
    X, model = people()
    explainer = PrototypeExplainer(model, target_class="yes", embedding=embedding, **setting)
    explainer.set_params(max_steps=150).fit(X)
    queries, _ = mixed_population(80, seed=3)
    queries.loc[queries.index[:5], "job"] = "astronaut"
    result = explained(explainer, queries)
    found = result.status == "found"
    assert found.sum() > 30
    expected = by_hand(explainer, queries, result.X_cf, explainer.beta)
    assert_allclose(result.elastic_net[found], expected[found])
    assert (result.X_cf["job"] != queries["job"])[found].any()
    for name in ("age", "hours"):
        assert result.X_cf[name].dtype == X[name].dtype


def test_missing_and_unseen_values_stay_until_the_prototype_itself_is_taken():
    X, model = people()
    explainer = PrototypeExplainer(model, target_class="yes").fit(X)
    queries = mixed_population(200, seed=4)[0]
    queries.loc[queries.index[:50], "job"] = "astronaut"
    result = explained(explainer, queries)
    found = result.status == "found"
    assert found.mean() > 0.5
    prototype = X.iloc[result.prototype_index].set_axis(queries.index)
    odd = {"job": queries["job"] == "astronaut", "income": queries["income"].isna()}
    for name, lost in odd.items():
        old, new = queries[name][found & lost], result.X_cf[name][found & lost]
        stayed = (old == new) | (old.isna() & new.isna())
        assert stayed.sum() > 5
        taken = prototype[name][found & lost][~stayed]
        assert (new[~stayed] == taken).all()
    assert result.X_cf["job"].dropna().isin([*X["job"].dropna().unique(), "astronaut"]).all()


def test_axes_are_described():
    X, model = people()
    for distance in ("mvdm", "abdm"):
        explainer = PrototypeExplainer(model, categorical_distance=distance).fit(X)
        positions = explainer.category_positions_
        assert set(positions) == {"job", "sex", "owner"}
        assert set(positions["job"]) == {"clerk", "cook", "nurse", "pilot"}
        assert min(positions["job"].values()) == 0
        assert max(positions["job"].values()) == 1
        assert set(explainer.category_stress_) == set(explainer.category_rank_correlation_)
        assert 0 <= explainer.category_stress_["job"] < 1
        assert explainer.category_rank_correlation_["job"] <= 1
    share = pd.Series(model.predict(X) == "yes").groupby(X["owner"].to_numpy()).mean()
    ordered = sorted(positions["owner"], key=positions["owner"].get)
    assert share[ordered[0]] < share[ordered[1]]


def test_alpha_changes_the_axis():
    X, model = people()
    axes = [
        PrototypeExplainer(model, alpha=alpha).fit(X).category_positions_["job"]
        for alpha in (1.0, 3.0)
    ]
    assert axes[0] != axes[1]


LEVELS = ["none", "school", "college", "doctor"]


def schooled(n=260, seed=0):
    """People whose education has a number too, and takes years."""
    rng = np.random.default_rng(seed)
    rank = rng.integers(0, 4, n)
    X = pd.DataFrame(
        {
            "level": np.array(LEVELS, dtype=object)[rank],
            "years": np.array([0, 9, 13, 20])[rank],
            "age": rng.integers(20, 70, n),
            "wage": rng.gamma(3.0, 10.0, n),
            "debt": rng.gamma(2.0, 5.0, n),
            "town": rng.choice(["north", "south", "west"], n),
            "born": rng.choice(["here", "there"], n),
        }
    )
    score = rank / 2 + X["wage"] / 20 - X["debt"] / 10 + (X["town"] == "west") + X["age"] / 100
    return X, score


RULES = FeatureSpace(
    linked_features=[["level", "years"]],
    ordinal_features={"level": LEVELS},
    implications={"level": ("age", 3)},
    change_direction={"age": +1, "debt": -1, "level": +1},
    permitted_range={"wage": (5, 60), "town": ["north", "south"]},
    immutable_features=["born"],
)


@pytest.mark.parametrize("setting", [{}, {"solver": "fista", "beta": 0.01, "theta": 20.0}])
@pytest.mark.parametrize("refine", [False, True])
def test_constraints_hold_on_every_row(setting, refine):
    X, score = schooled()
    model = boosted_pipeline(X, (score > 3.2).astype(int), ["level", "town", "born"])
    explainer = PrototypeExplainer(
        model, target_class=1, feature_space=RULES, refine=refine, max_steps=120, **setting
    ).fit(X)
    queries = schooled(120, seed=5)[0]
    queries = queries[model.predict(queries) == 0]
    result = explained(explainer, queries)
    found = result.status == "found"
    assert found.mean() > 0.4
    old, new = queries[found], result.X_cf[found]
    assert (model.predict(new) == 1).all()
    rank = {level: i for i, level in enumerate(LEVELS)}
    years = dict(zip(LEVELS, [0, 9, 13, 20], strict=True))
    rise = new["level"].map(rank) - old["level"].map(rank)
    assert (rise >= 0).all()
    assert (rise > 0).any()
    assert (new["years"] == new["level"].map(years)).all()
    assert (new["age"] - old["age"] >= 3 * rise).all()
    assert new["wage"].between(5 - 1e-9, 60 + 1e-9).all()
    assert (new["debt"] <= old["debt"] + 1e-12).all()
    assert new["town"].isin(["north", "south"]).all()
    assert (new["born"] == old["born"]).all()
    assert_array_equal(explainer.feature_space_.feasible(old, new), True)


def test_last_resort_of_the_path():
    """Where no prototype leads to anything: all that real rows and the constraints make valid."""
    X, model = people()
    space = FeatureSpace(
        change_direction={"age": 1, "hours": -1},
        permitted_range={"income": (0, 2500)},
        immutable_features=["owner"],
    )
    explainer = PrototypeExplainer(model, target_class="yes", feature_space=space).fit(X)
    result = explained(explainer, X)
    found = result.status == "found"
    stranded = found & (result.prototype_index < 0)
    assert stranded.sum() > 10
    assert (model.predict(result.X_cf[stranded]) == "yes").all()
    assert explainer.feature_space_.feasible(X[stranded], result.X_cf[stranded]).all()
    expected = by_hand(explainer, X, result.X_cf, explainer.beta)
    assert_allclose(result.elastic_net[stranded], expected[stranded])
    nearest = NearestExplainer(model, target_class="yes", feature_space=space, refine=False)
    of_nearest = explained(nearest.fit(X), X).status
    # far prototypes may yet be valid once they are made allowed
    more = result.status != of_nearest
    assert set(result.status[more]) <= {"found"}
    assert set(of_nearest[more]) <= {"infeasible"}
    assert more.sum() < 0.05 * len(X)


# ----------------------------------------------------------------- same again, containers, pickling


@pytest.mark.parametrize("loss", ["C", "E", "D, torch", "F, pca"])
def test_reruns_agree_to_the_bit_and_pickles_too(loss):
    X, queries, net = cancer()
    setting = FISTA | with_networks(LOSSES[loss]) | {"max_steps": 40}
    first = PrototypeExplainer(net, **setting).fit(X)
    expected = explained(first, queries)
    again = PrototypeExplainer(net, **setting).fit(X)
    loaded = pickle.loads(pickle.dumps(first))
    for explainer in (first, again, loaded):
        result = explained(explainer, queries)
        assert_array_equal(result.X_cf, expected.X_cf)
        assert_array_equal(result.elastic_net, expected.elastic_net)
        assert_array_equal(result.prototype_index, expected.prototype_index)


@pytest.mark.parametrize("loss", ["D", "F, pca", "D, torch"])
def test_torch_and_numpy_seeds_are_untouched(loss):
    torch = pytest.importorskip("torch")
    X, queries, net = cancer()
    setting = with_networks(LOSSES[loss]) | {"max_steps": 5}
    np.random.seed(3)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    explained(PrototypeExplainer(net, **FISTA | setting).fit(X), queries)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_rows_do_not_depend_on_the_others():
    X, queries, net = cancer()
    for setting in ({"target_class": "other"}, FISTA | LOSSES["C"]):
        explainer = PrototypeExplainer(net, **setting).fit(X)
        whole = explained(explainer, queries)
        for i in range(0, len(queries), 5):
            alone = explained(explainer, queries[i : i + 1])
            assert_allclose(alone.X_cf[0], whole.X_cf[i], rtol=1e-6, atol=1e-9)
            assert alone.prototype_index[0] == whole.prototype_index[i]


def test_one_row_with_an_encoder_and_any_other_class():
    """Its own class has no row that may go there."""
    X, queries, net = cancer()
    setting = FISTA | with_networks(LOSSES["C, torch"]) | {"max_steps": 30}
    explainer = PrototypeExplainer(net, **setting).fit(X)
    result = explained(explainer, queries[:1])
    assert len(result.status) == 1
    assert_allclose(result.X_cf[0], explained(explainer, queries).X_cf[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("network", ["encoder", "autoencoder"])
def test_networks_take_frames_of_pandas_and_polars(network):
    polars = pytest.importorskip("polars")
    X, model = iris()
    pca = PCA(2).fit(X)
    setting = {network: pca, "c": 3.0, "theta": 1.0, "gamma": 0.1, "max_steps": 60}
    setting |= {"beta": 0.001, "learning_rate_init": 0.05, "target_class": 1}
    explainer = PrototypeExplainer(model, **setting).fit(X)
    expected = explained(explainer, X[:20])
    assert (expected.status == "found").all()
    frame = polars.from_pandas(X)
    setting[network] = PCA(2).fit(frame)
    other = PrototypeExplainer(model, **setting).fit(frame)
    result = explained(other, frame[:20])
    assert isinstance(result.X_cf, polars.DataFrame)
    assert_allclose(result.X_cf.to_numpy(), expected.X_cf.to_numpy(), rtol=1e-6)


def test_polars_frames_give_what_pandas_frames_give():
    polars = pytest.importorskip("polars")
    X, model = iris()
    expected = explained(PrototypeExplainer(model, target_class=2).fit(X), X)
    frame = polars.from_pandas(X)
    result = explained(PrototypeExplainer(model, target_class=2).fit(frame), frame)
    assert_allclose(result.X_cf.to_numpy(), expected.X_cf.to_numpy())
    assert_array_equal(result.prototype_index, expected.prototype_index)


@pytest.mark.parametrize("network", ["encoder", "autoencoder"])
def test_rows_with_gaps_do_not_fail_the_batch_of_a_network(network):
    X, model = iris()
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, model.predict(X))
    pca = PCA(2).fit(X)
    gaps = X.copy()
    gaps.iloc[[3, 120], [1, 0]] = np.nan
    setting = {network: pca, "theta": 20.0, "gamma": 0.1, "max_steps": 100, "beta": 0.001}
    setting |= {"learning_rate_init": 0.02, "target_class": 1}
    for train in (X, gaps):
        explainer = PrototypeExplainer(tree, **setting).fit(train)
        result = explained(explainer, gaps)
        plain = explained(explainer, X)
        whole = gaps.notna().all(axis=1).to_numpy()
        assert_frame_equal(result.X_cf[whole], plain.X_cf[whole])
        assert (result.status == "found").sum() > 80
        assert result.X_cf.iloc[3].isna().sum() == 2
        assert result.status[3] == "found"


def test_result_says_its_mean_elastic_net():
    X, model = iris()
    result = explained(PrototypeExplainer(model, target_class=1).fit(X), X)
    found = result.status == "found"
    assert result.summary()["mean_elastic_net"] == pytest.approx(result.elastic_net[found].mean())
    nobody = explained(PrototypeExplainer(model, target_class=1).fit(X), X[model.predict(X) == 1])
    assert np.isnan(nobody.summary()["mean_elastic_net"])


# -------------------------------------------------------------------------------------- bad input


def labels_of(model):
    return lambda X: model.predict(X)


def test_nothing_pulls():
    X, model = iris()
    with pytest.raises(ValueError, match="c and theta are both 0"):
        PrototypeExplainer(model, c=0, theta=0).fit(X)


@pytest.mark.parametrize("network", [{}, {"encoder": lambda Z: Z[:, :2]}])
def test_k_larger_than_a_class(network):
    X, model = iris()
    n = int(np.sum(model.predict(X) == 1))
    setting = {"k": n, "max_steps": 2} | network
    PrototypeExplainer(model, target_class=1, **setting).fit(X)
    setting["k"] = n + 1
    message = f"k={n + 1}, but the classifier puts only {n} rows of X in the class 1"
    with pytest.raises(ValueError, match=message):
        PrototypeExplainer(model, target_class=1, **setting).fit(X)
    with pytest.raises(ValueError, match=f"k={n + 1}, but"):
        PrototypeExplainer(model, target_class="other", **setting).fit(X)
    larger = int(np.argmax(np.bincount(model.predict(X))))
    if np.sum(model.predict(X) == larger) > n:
        PrototypeExplainer(model, target_class=larger, **setting).fit(X)


def test_k_does_not_matter_without_prototypes():
    X, model = iris()
    explainer = PrototypeExplainer(model, k=1000, c=1.0, theta=0.0, max_steps=3).fit(X)
    assert explained(explainer, X[:2]).status.shape == (2,)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"c": 1.0}, "no c:"),
        ({"encoder": "pca"}, "no encoder:"),
        ({"autoencoder": "pca"}, "no autoencoder:"),
        ({"c": 1.0, "encoder": "pca"}, "no encoder and no c:"),
    ],
)
def test_path_refuses_what_it_cannot_solve(setting, named):
    X, _, net = cancer()
    explainer = PrototypeExplainer(net, solver="path", **with_networks(setting))
    with pytest.raises(ValueError, match=f"solver='path' has {named} use 'fista' or 'auto'"):
        explainer.fit(X)


@pytest.mark.parametrize("name", ["encoder", "autoencoder"])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda Z: Z[:, 0], r"must give a 2-D array, one row a row; got shape \(150,\)"),
        (lambda Z: Z[:, :, None], r"must give a 2-D array.*\(150, 4, 1\). Flatten it"),
        (lambda Z: np.full(Z.shape, np.nan), "gives values that are not finite"),
        (lambda Z: np.where(Z > 7.5, np.inf, Z), "gives values that are not finite"),
        (lambda Z: Z[:3], "must give one row a row; got 3 rows for 150"),
    ],
)
def test_networks_that_give_what_has_no_distance(name, function, message):
    X, model = iris()
    with pytest.raises(ValueError, match=f"^{name} {message}"):
        PrototypeExplainer(model, **{name: function}).fit(X)


def test_torch_networks_that_give_what_has_no_distance():
    torch = pytest.importorskip("torch")
    X, model = iris()
    module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Unflatten(1, (2, 3)))
    with pytest.raises(ValueError, match=r"^encoder must give a 2-D array.*\(150, 2, 3\)"):
        PrototypeExplainer(model, encoder=module).fit(X)


def test_autoencoder_of_the_wrong_width():
    X, model = iris()
    with pytest.raises(ValueError, match=r"autoencoder must give rows of 4 numbers.*got 2"):
        PrototypeExplainer(model, autoencoder=lambda Z: Z[:, :2]).fit(X)


@pytest.mark.parametrize("name", ["encoder", "autoencoder"])
def test_networks_on_categories(name):
    X, model = people()
    with pytest.raises(ValueError, match=f"^{name} takes rows of numbers.*'job', 'sex', 'owner'"):
        PrototypeExplainer(model, **{name: lambda Z: Z}).fit(X)


def test_prediction_loss_of_labels_alone():
    X, model = iris()
    with pytest.raises(ValueError, match=r"c=0.5 weights the prediction loss.*labels alone"):
        PrototypeExplainer(labels_of(model), c=0.5).fit(X, model.predict(X))


def test_labels_alone_are_enough_without_it():
    X, model = iris()
    for setting in ({}, {"solver": "fista", "beta": 0.001, "max_steps": 100, "theta": 20.0}):
        explainer = PrototypeExplainer(labels_of(model), target_class=1, **setting)
        result = explained(explainer.fit(X, model.predict(X)), X)
        assert (model.predict(result.X_cf) == 1)[result.status != "not_found"].all()
        assert (result.status == "not_found").mean() < 0.2


def test_estimators_without_what_is_asked_for():
    X, model = iris()
    with pytest.raises(ValueError, match="The 'encoder' parameter"):
        PrototypeExplainer(model, encoder="pca").fit(X)
    with pytest.raises(ValueError, match="The 'autoencoder' parameter"):
        PrototypeExplainer(model, autoencoder=3).fit(X)
    with pytest.raises(NotFittedError):
        PrototypeExplainer(model, encoder=PCA(2)).fit(X)


@pytest.mark.parametrize("setting", [{}, {"solver": "fista", "beta": 0.001, "max_steps": 60}])
def test_labels_alone_have_no_margin_to_keep(setting):
    X, model = iris()
    results = [
        explained(
            PrototypeExplainer(
                labels_of(model), target_class=1, min_margin=least, theta=20.0, **setting
            ).fit(X, model.predict(X)),
            X,
        )
        for least in (1e-4, 5.0)
    ]
    assert (results[0].status == "found").any()
    assert_frame_equal(results[0].X_cf, results[1].X_cf)


def test_class_that_is_never_predicted():
    X, _ = iris()
    stump = DecisionTreeClassifier(max_leaf_nodes=2, random_state=0)
    stump.fit(X, np.arange(150) // 50)
    with pytest.raises(ValueError, match="puts no row of X in the target class 2"):
        PrototypeExplainer(stump, target_class=2).fit(X)


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"solver": "fista", "theta": 20.0, "beta": 0.001, "max_steps": 60},
        {"solver": "fista", "c": 1.0, "theta": 20.0, "beta": 0.001, "max_steps": 60},
    ],
)
def test_a_row_for_which_nothing_is_found_does_not_fail_the_batch(setting):
    X, model = iris()
    space = FeatureSpace(permitted_range={"petal length (cm)": (0, 4.0)}, immutable_features=[1])
    space.set_params(change_direction={"petal length (cm)": -1}, immutable_features=None)
    explainer = PrototypeExplainer(model, target_class=2, feature_space=space, **setting).fit(X)
    with pytest.warns(InvalidCounterfactualWarning, match="got no valid counterfactual"):
        result = explainer.explain(X)
    lost = np.isin(result.status, ["not_found", "infeasible"])
    assert lost.sum() >= 50
    assert np.isnan(result.elastic_net[result.status != "found"]).all()
    assert np.isnan(result.c[result.status != "found"]).all()
    assert_array_equal(result.prototype_index[result.status != "found"], -1)


def test_several_of_rows_that_have_none():
    """Nothing may change; and no prototype leads anywhere."""
    X, model = iris()
    frozen = FeatureSpace(immutable_features=list(X.columns))
    for setting in (
        {"feature_space": frozen},
        {"c": 1e-9, "theta": 0.0, "max_steps": 3, "solver": "fista"},
    ):
        explainer = PrototypeExplainer(model, target_class=2, **setting).fit(X)
        result = explained(explainer, X[:4], n_counterfactuals=3)
        assert result.status.shape == (12,)
        assert not (result.status == "found").any()
        assert_frame_equal(result.X_cf[::3].reset_index(drop=True), X[:4])


def test_a_forest_is_explained_as_any_other():
    X, queries, _ = cancer()
    y = load_breast_cancer().target[:550]
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    result = explained(PrototypeExplainer(forest, target_class="other").fit(X), queries)
    assert (result.status == "found").all()
    assert np.all(forest.predict(result.X_cf) != forest.predict(queries))
    nearest = explained(NearestExplainer(forest, target_class="other").fit(X), queries)
    assert result.cost.mean() >= nearest.cost.mean()
