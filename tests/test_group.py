"""TGTExplainer and DBMExplainer: translations of groups, and what rows get of them."""

from itertools import permutations

import numpy as np
import pytest
import torch
from conftest import boosted_pipeline, mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, load_wine, make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skcf import DBMExplainer, FeatureSpace, TGTExplainer
from skcf.datasets import make_causal_groups
from skcf.group._margins import MarginMap
from skcf.metrics import (
    calibrate_epsilon,
    group_correctness,
    group_coverage,
    symmetry_violation,
    transitivity_violation,
)

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")

BOTH = pytest.mark.parametrize("Explainer", [TGTExplainer, DBMExplainer])


def blobs(n_groups=3, seed=0, n_features=5, std=0.4):
    return make_blobs(
        40 * n_groups, n_features, centers=n_groups, cluster_std=std, random_state=seed
    )


def pairwise(explainer):
    """Translations of all pairs, as metrics take them."""
    labels = explainer.classes_
    return np.array([[explainer.translation(a, b) for b in labels] for a in labels])


def curved(X):
    """A representation that is not linear."""
    return np.column_stack([np.tanh(X[:, 0] / 5) + X[:, 1] ** 2 / 50, X[:, 2] / 3 + X[:, 3] / 9])


def test_translation_of_a_planted_shift():
    random = np.random.default_rng(0)
    X = random.normal(0, 0.3, (120, 4))
    y = np.repeat(["low", "high"], 60)
    X[y == "high", 1] += 5
    explainer = TGTExplainer(target_class="high").fit(X, y)
    delta = explainer.translation("low", "high")
    assert_allclose(delta[1], 5, atol=0.2)
    assert np.abs(np.delete(delta, 1)).max() < 0.2
    result = explainer.explain(X)
    assert (result.status[y == "high"] == "already_target").all()
    assert np.mean(result.status[y == "low"] == "found") > 0.95  # but for a row beyond the radius
    assert_allclose(result.X_cf[y == "low"] - X[y == "low"], np.tile(delta, (60, 1)))
    assert_array_equal(result.origin_group, y)
    assert set(result.target_group[y == "low"]) == {"high"}
    assert all(group is None for group in result.target_group[y == "high"])


def test_planted_features_are_found_over_many_seeds():
    for seed in range(20):
        random = np.random.default_rng(seed)
        X = random.normal(size=(150, 8))
        y = random.integers(0, 3, 150)
        X[:, 2] += 6.0 * (y == 1)
        X[:, 5] -= 6.0 * (y == 2)
        explainer = TGTExplainer(n_features_to_change=2, support="shared").fit(X, y)
        assert_array_equal(np.flatnonzero(np.abs(pairwise(explainer)).max(axis=(0, 1))), [2, 5])


@pytest.mark.parametrize(
    "params",
    [{}, {"n_features_to_change": 2, "support": "shared"}, {"solver": "metric"}, {"loss": "min"}],
    ids=str,
)
def test_translations_are_symmetric_and_transitive(params):
    X, y = blobs(4)
    explainer = TGTExplainer(curved, n_alphas=4, random_state=0, **params).fit(X, y)
    deltas = pairwise(explainer)
    size = np.abs(deltas).max()
    assert size > 0
    assert symmetry_violation(deltas) <= 1e-12
    assert transitivity_violation(deltas) <= 1e-12
    assert explainer.transitivity_violation_ <= 1e-12
    labels = range(4)
    for i, j, k in [(i, j, k) for i in labels for j in labels for k in labels]:
        assert_allclose(deltas[i, j] + deltas[j, k], deltas[i, k], atol=1e-12 * size)


def test_features_of_each_pair_break_transitivity_and_it_is_told():
    X, y = blobs(4)
    explainer = DBMExplainer(n_features_to_change=1).fit(X, y)
    deltas = pairwise(explainer)
    assert (np.count_nonzero(deltas, axis=2) <= 1).all()
    assert symmetry_violation(deltas) <= 1e-12
    deltas = deltas / np.ptp(X, axis=0)  # in units of cost
    triples = np.abs(deltas[:, :, None] + deltas[None] - deltas[:, None])
    assert_allclose(explainer.transitivity_violation_, triples.max() / np.abs(deltas).max())
    assert explainer.transitivity_violation_ > 0.01


@BOTH
def test_names_of_groups_and_the_reference_change_nothing(Explainer):
    X, y = load_iris(return_X_y=True)
    first = Explainer(PCA(2).fit(X)).fit(X, y)
    other = Explainer(PCA(2).fit(X), reference_group="a").fit(X, np.array(["c", "b", "a"])[y])
    assert_allclose(pairwise(first), pairwise(other)[::-1, ::-1], atol=1e-6)
    assert_array_equal(first.translations_[0], 0)
    assert_array_equal(other.translations_[0], 0)
    assert_allclose(first.translations_, pairwise(first)[0])
    assert_allclose(other.translations_, pairwise(other)[0])


def test_difference_between_means():
    X, y = blobs()
    explainer = DBMExplainer().fit(X, y)
    means = np.array([X[y == g].mean(axis=0) for g in range(3)])
    assert_allclose(pairwise(explainer), means[None] - means[:, None])
    one = DBMExplainer(n_features_to_change=1).fit(X, y)
    largest = np.abs((means[2] - means[0]) / np.ptp(X, axis=0)).argmax()
    assert_array_equal(np.flatnonzero(one.translation(0, 2)), [largest])


@BOTH
def test_correctness_coverage_and_radius_are_those_of_the_metrics(Explainer):
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    explainer = Explainer(pca, n_features_to_change=2).fit(X, y)
    eps = explainer.eps_
    assert_allclose(eps, calibrate_epsilon(X, y, representation=pca))
    told = {"eps": eps, "representation": pca, "average": None}
    deltas = pairwise(explainer)
    assert_allclose(explainer.correctness_, group_correctness(X, y, deltas, **told))
    assert_allclose(explainer.coverage_, group_coverage(X, y, deltas, **told))
    assert_allclose(explainer.represent(X), pca.transform(X))


def test_representations_of_one_map_give_one_answer():
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    linear = torch.nn.Linear(4, 2).double()
    with torch.no_grad():
        linear.weight[:] = torch.from_numpy(pca.components_)
        linear.bias[:] = torch.from_numpy(-pca.components_ @ pca.mean_)
    same = [pca, make_pipeline(pca), pca.transform, torch.nn.Sequential(linear), linear]
    found = [TGTExplainer(r, alpha=0.5, tol=1e-7).fit(X, y).translations_ for r in same]
    for other in found[1:]:
        assert_allclose(other, found[0], atol=1e-4)


def test_solvers_agree_on_what_is_convex():
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    exact = TGTExplainer(pca, alpha=0.3).fit(X, y)
    prox = TGTExplainer(pca, alpha=0.3, solver="prox", tol=1e-8, max_steps=5000).fit(X, y)
    literal = TGTExplainer(pca, alpha=0.3, solver="stochastic", random_state=0).fit(X, y)
    assert exact.solver_ == "coordinate"
    assert_allclose(prox.objective_, exact.objective_, rtol=1e-6)
    assert exact.objective_ <= literal.objective_ <= 1.2 * exact.objective_
    assert exact.optimality_ <= 1e-4


def test_path_goes_from_nothing_to_all():
    X, y = blobs()
    explainer = TGTExplainer(curved, selection="train").fit(X, y)
    assert len(explainer.alphas_) == 20
    assert explainer.alpha_ in explainer.alphas_
    none = TGTExplainer(curved, alpha=1.001 * explainer.alphas_[0]).fit(X, y)
    some = TGTExplainer(curved, alpha=0.5 * explainer.alphas_[0]).fit(X, y)
    assert some.objective_ <= none.objective_
    assert np.abs(some.translations_).max() > 0


def test_largest_alpha_is_where_a_convex_problem_leaves_zero():
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    largest = TGTExplainer(pca, n_alphas=2).fit(X, y).alphas_[0]
    assert not TGTExplainer(pca, alpha=1.0001 * largest).fit(X, y).translations_.any()
    assert TGTExplainer(pca, alpha=0.999 * largest).fit(X, y).translations_.any()


def test_metric_solver_is_no_worse_than_the_path():
    X, y = load_iris(return_X_y=True)
    for k in (1, 2):
        totals = []
        for solver in ("auto", "metric"):
            explainer = TGTExplainer(
                curved, solver=solver, n_features_to_change=k, random_state=0
            ).fit(X, y)
            totals.append(np.nanmean(explainer.correctness_) + np.nanmean(explainer.coverage_))
        assert totals[1] >= totals[0] - 1e-12


@pytest.mark.parametrize("target", ["other", 1])
def test_metric_solver_changes_no_feature_by_more_than_its_range(target):
    X, _ = load_wine(return_X_y=True)
    represent = make_pipeline(StandardScaler(), PCA(5)).fit(X)
    y = KMeans(3, n_init=3, random_state=0).fit_predict(represent.transform(X))
    options = {"n_features_to_change": 3, "support": "shared", "target_class": target}
    explainer = TGTExplainer(represent, solver="metric", alpha=100.0, random_state=0, **options)
    deltas = pairwise(explainer.fit(X, y))
    deltas = deltas if target == "other" else deltas[:, target]  # those that are sought
    assert np.all(np.abs(deltas) <= np.ptp(X, axis=0) * (1 + 1e-9))
    assert np.nanmean(explainer.correctness_) > 0.5


def test_selection_on_the_other_half_is_reproduced_to_the_bit():
    X, y = load_iris(return_X_y=True)
    runs = [
        TGTExplainer(curved, selection="cv", n_features_to_change=1, random_state=s).fit(X, y)
        for s in (0, 0, 1)
    ]
    assert_array_equal(runs[0].translations_, runs[1].translations_)
    assert all(run.alpha_ in run.alphas_ for run in runs)


@BOTH
def test_immutable_features_and_directions(Explainer):
    X, y = blobs(3, seed=3)
    options = {"alpha": 0.01} if Explainer is TGTExplainer else {}
    both_ways = Explainer(
        **options,
        target_class="other",
        feature_space=FeatureSpace(immutable_features=[0], change_direction={1: 1}),
    ).fit(X, y)
    deltas = pairwise(both_ways)
    assert not deltas[..., :2].any()
    assert deltas[..., 2:].any()
    space = FeatureSpace(change_direction={0: 1, 1: 1, 2: -1, 3: -1, 4: 1})
    one_way = Explainer(target_class=2, feature_space=space, **options).fit(X, y)
    to_target = pairwise(one_way)[:2, 2]
    assert (to_target[:, [0, 1, 4]] >= 0).all()
    assert (to_target[:, [2, 3]] <= 0).all()
    assert to_target.any()
    steps = one_way.transform(X) - X
    assert (steps[:, [0, 1, 4]] >= 0).all()
    assert (steps[:, [2, 3]] <= 0).all()


def test_rows_of_no_group_are_left_out_and_left_alone():
    X, y = blobs(3, seed=1)
    outliers = np.full((4, 5), 60.0)
    marked = TGTExplainer().fit(np.vstack([X, outliers]), np.r_[y, [-1] * 4])
    plain = TGTExplainer().fit(X, y)
    assert_array_equal(marked.translations_, plain.translations_)
    assert_array_equal(marked.classes_, [0, 1, 2])
    result = marked.explain(np.vstack([X[:5], outliers]))
    assert_array_equal(result.status[5:], "no_group")
    assert_array_equal(result.X_cf[5:], outliers)
    assert_array_equal(result.y[5:], -1)
    assert result.y.dtype.kind == "i"
    assert np.isnan(result.cost[5:]).all()
    assert_array_equal(marked.assign(outliers), -1)
    texts = np.array(["a", "b", "c", ""])[np.r_[y, [3] * 4]]
    named = TGTExplainer().fit(np.vstack([X, outliers]), texts)
    assert_array_equal(named.explain(outliers).y, "")
    assert_array_equal(named.translations_, plain.translations_)


def test_nearest_training_row_tells_the_group():
    X, y = blobs(3, seed=1)
    explainer = TGTExplainer(eps=0.5).fit(X, y)
    assert_array_equal(explainer.assign(X), y)
    scaled = X / np.ptp(X, axis=0)
    for row in X + 0.3:
        distances = np.sqrt((((row / np.ptp(X, axis=0)) - scaled) ** 2).sum(axis=1))
        expected = y[distances.argmin()] if distances.min() <= 0.5 else -1
        assert explainer.assign(row[None])[0] == expected


def test_every_row_goes_to_the_cheapest_group_where_it_arrives():
    X, y = blobs(3, seed=2)
    explainer = TGTExplainer().fit(X, y)
    result = explainer.explain(X)
    space = explainer.feature_space_
    assert (result.status == "found").mean() > 0.9
    for i in np.flatnonzero(result.status == "found")[::10]:
        others = [g for g in range(3) if g != y[i]]
        moved = X[[i, i]] + [explainer.translation(y[i], g) for g in others]
        moved = space.inverse_transform(space.project(moved, X[[i, i]]), X[[i, i]])
        arrived = explainer.assign(moved) == others
        cost = np.where(arrived, space.cost(X[[i, i]], moved), np.inf)
        assert result.target_group[i] == others[int(np.argmin(cost))]


def test_several_counterfactuals_go_to_several_groups():
    X, y = blobs(4, seed=2)
    explainer = TGTExplainer().fit(X, y)
    result = explainer.explain(X, n_counterfactuals=3)
    groups = result.target_group.reshape(-1, 3)
    for own, others in zip(y, groups, strict=True):
        assert sorted([own, *others]) == [0, 1, 2, 3]
    cost = np.where(result.status == "found", result.cost, np.inf).reshape(-1, 3)
    assert (cost[:, 0] == cost.min(axis=1)).all()
    with pytest.raises(ValueError, match="finds one counterfactual a row"):
        TGTExplainer(target_class=1).fit(X, y).explain(X, n_counterfactuals=2)


def test_magnitude_of_each_row_is_the_least_that_is_valid():
    X, y = blobs(2, seed=5, std=1.5)
    model = LogisticRegression().fit(X, y)
    whole = TGTExplainer(estimator=model).fit(X).explain(X)
    explainer = TGTExplainer(estimator=model, magnitude="row").fit(X)
    each = explainer.explain(X)
    assert (each.status == "found").sum() >= (whole.status == "found").sum()
    found = each.status == "found"
    assert (each.magnitude[found] <= 1).mean() > 0.8
    assert each.cost[found].mean() < 0.9 * whole.cost[whole.status == "found"].mean()
    delta = explainer.translation(0, 1)
    for i in np.flatnonzero(found):
        assert_allclose(each.X_cf[i], X[i] + each.magnitude[i] * delta, atol=1e-9)
        margin = model.decision_function([X[i]])[0]
        exact = -margin / (delta @ model.coef_[0])
        assert exact - 1e-9 <= each.magnitude[i] <= exact + 2 / 32


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_classifier_margins_are_the_representation():
    X, y = load_iris(return_X_y=True)
    for model in (
        LogisticRegression(max_iter=500),
        MLPClassifier((6,), max_iter=500, random_state=0),
    ):
        model = make_pipeline(StandardScaler(), model).fit(X, y)
        explainer = TGTExplainer(estimator=model, n_alphas=3, tol=1e-2).fit(X)
        scores = np.log(model.predict_proba(X))
        lead = [scores[:, c] - np.delete(scores, c, axis=1).max(axis=1) for c in range(3)]
        assert_allclose(explainer.represent(X), np.column_stack(lead), atol=1e-6)
        assert_array_equal(explainer.assign(X), model.predict(X))


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_gradients_of_margins_are_their_differences(n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes]
    model = make_pipeline(
        StandardScaler(), MLPClassifier((5,), activation="tanh", max_iter=300, random_state=0)
    )
    explainer = TGTExplainer(estimator=model.fit(X, y), n_alphas=2, tol=1.0).fit(X)
    found = explainer._represent
    assert isinstance(found, MarginMap)
    Z = X[::10]
    V = np.random.default_rng(0).normal(size=found.values(Z).shape)
    grad = found.pullback(Z, V)
    for j in range(4):
        step = 1e-5 * np.eye(4)[j]
        change = (found.values(Z + step) - found.values(Z - step)) / 2e-5
        assert_allclose(grad[:, j], np.sum(V * change, axis=1), rtol=1e-4, atol=1e-6)


def test_mixed_rows_with_a_representation_that_encodes_them():
    X, y = mixed_population(200, seed=2)
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["job", "sex", "owner"]),
        (StandardScaler(), ["age", "income", "hours"]),
    )
    filled = X.fillna({"income": X["income"].median()})
    represent = make_pipeline(columns, PCA(3)).fit(filled)
    explainer = TGTExplainer(represent, target_class="yes", alpha=0.01, solver="prox", tol=1.0)
    result = explainer.fit(X, y).explain(X)
    moved = ~np.isin(result.status, ["already_target", "infeasible"])
    assert moved.sum() > 50
    for name in ("job", "sex", "owner"):
        pd.testing.assert_series_equal(result.X_cf[name], X[name])
    assert result.X_cf["age"].dtype == X["age"].dtype
    assert_array_equal(result.X_cf["income"].isna(), X["income"].isna())
    assert (result.X_cf["hours"] != X["hours"])[moved].any()
    names = explainer.feature_space_.get_feature_names_out()
    delta = dict(zip(names, explainer.translation("no", "yes"), strict=True))
    assert delta["job"] == delta["sex"] == delta["owner"] == 0
    assert delta["income"] > 0


def test_groups_of_a_pipeline_on_mixed_rows():
    X, y = mixed_population(200, seed=2)
    model = boosted_pipeline(X, y, ["job", "sex"])
    explainer = TGTExplainer(
        estimator=model, target_class="yes", magnitude="row", n_alphas=3, max_steps=30
    )
    result = explainer.fit(X, model.predict(X)).explain(X)
    found = result.status == "found"
    assert found.sum() > 30
    assert (model.predict(result.X_cf[found]) == "yes").all()


def test_clusters():
    X, _ = blobs(3, seed=1)
    clusterer = KMeans(3, n_init=2, random_state=0).fit(X)
    explainer = TGTExplainer.from_clusters(clusterer, PCA(2).fit(X)).fit(X)
    assert_array_equal(explainer.assign(X), clusterer.labels_)
    result = explainer.explain(X)
    found = result.status == "found"
    assert found.mean() > 0.9
    assert_array_equal(clusterer.predict(result.X_cf[found]), result.target_group[found])
    density = DBSCAN(eps=1.5).fit(X)
    with pytest.raises(TypeError, match=r"has no predict.*labels_ as y"):
        TGTExplainer.from_clusters(density)
    assert TGTExplainer(PCA(2).fit(X)).fit(X, density.labels_).score(X) > 0.5


def test_fitted_representation_survives_clone_and_search():
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    copy = clone(TGTExplainer(pca))
    assert copy.representation.estimator is pca

    def correctness(explainer, X, y):
        return group_correctness(X, y, pairwise(explainer), eps=explainer.eps_, representation=pca)

    search = GridSearchCV(
        TGTExplainer(pca), {"alpha": [0.01, 1.0, 100.0]}, scoring=correctness, cv=StratifiedKFold(3)
    ).fit(X, y)
    assert search.best_params_["alpha"] < 100
    assert search.best_score_ > 0.5


def test_causal_groups_are_explained_by_their_causes():
    X, y = make_causal_groups(600, random_state=0)
    explainer = TGTExplainer(n_features_to_change=2, support="shared").fit(X, y)
    names = explainer.feature_space_.get_feature_names_out()
    changed = names[np.abs(pairwise(explainer)).max(axis=(0, 1)) > 0]
    assert set(changed) <= {"x1", "x2", "x3", "x4"}
    assert len(changed) == 2


@BOTH
@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({}, np.zeros(20, int), "1 class of rows"),
        ({}, np.r_[np.zeros(10, int), [-1] * 10], "1 class of rows"),
        ({}, np.r_[np.zeros(19, int), 1], r"Group 1 has 1 row\(s\), where 2 are needed.*Set eps"),
        ({"n_features_to_change": 4}, np.arange(20) % 2, "3"),
        ({"target_class": 7}, np.arange(20) % 2, "target_class=7 is not a class"),
        ({"reference_group": "x"}, np.arange(20) % 2, "reference_group='x' is none of the groups"),
        ({}, np.linspace(0.1, 0.9, 20), "continuous"),
        ({"representation": lambda X: X[:, 0]}, np.arange(20) % 2, "2-D"),
        ({"representation": lambda X: np.full((len(X), 2), np.nan)}, np.arange(20) % 2, "finite"),
        ({"representation": lambda X: X[:5]}, np.arange(20) % 2, "one row a row"),
        ({"eps": -1.0}, np.arange(20) % 2, "eps"),
    ],
)
def test_bad_input_is_refused_before_any_work(Explainer, params, y, message):
    X = np.random.default_rng(0).normal(size=(20, 3))
    explainer = Explainer(**params)
    with pytest.raises(ValueError, match=message):
        explainer.fit(X, y)
    assert not hasattr(explainer, "translations_")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"solver": "coordinate", "representation": curved}, "for affine representations"),
        ({"solver": "coordinate", "loss": "min"}, "for affine representations"),
        ({"solver": "stochastic", "loss": "min"}, "loss='mean' and target_class='other'"),
        ({"solver": "stochastic", "target_class": 1}, "loss='mean' and target_class='other'"),
        ({"solver": "metric", "selection": "cv"}, "of which solver='metric' has none"),
        ({"alpha": [0.1, -1.0]}, "alpha must be a number of at least 0"),
        ({"alpha": [[0.1]]}, "alpha must be a number of at least 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(params, message):
    X, y = blobs(3)
    with pytest.raises(ValueError, match=message):
        TGTExplainer(**params).fit(X, y)


def test_translation_of_an_unknown_group():
    X, y = blobs(3)
    explainer = DBMExplainer().fit(X, y)
    with pytest.raises(ValueError, match=r"7 is none of the groups \[0, 1, 2\]"):
        explainer.translation(0, 7)


def test_one_row_is_a_group_where_the_radius_is_given():
    X, y = blobs(2)
    lonely = np.r_[y, 2]
    explainer = DBMExplainer(eps=0.3).fit(np.vstack([X, [50.0] * 5]), lonely)
    assert_allclose(explainer.translation(0, 2), 50 - X[y == 0].mean(axis=0))


def test_unfinished_solves_warn_and_name_the_parameter():
    X, y = blobs(3)
    with pytest.warns(UserWarning, match="raise max_steps=1, or tol"):
        TGTExplainer(curved, alpha=1e-4, max_steps=1, tol=1e-9).fit(X, y)


def test_some_change_is_proposed_even_where_none_arrives():
    X, y = blobs(3, seed=3)
    space = FeatureSpace(immutable_features=[0, 1, 2])
    explainer = TGTExplainer(feature_space=space).fit(X, y)
    assert not np.nansum(explainer.correctness_)
    assert explainer.alpha_ == explainer.alphas_[-1]
    assert explainer.translations_.any()


def test_groups_must_come_from_somewhere():
    with pytest.raises(ValueError, match="without an estimator to explain, y holds the groups"):
        TGTExplainer().fit(blobs()[0])


def test_descent_that_comes_to_rest_on_the_way_is_gone_on_with():
    X, y = load_iris(return_X_y=True)
    copy = X[y == 0] - [0, 0.4 * np.ptp(X[:, 1]), 0, 0]
    pca = PCA(2).fit(X)
    X, y = np.vstack([X, copy]), np.r_[y, np.full(50, 3)]
    for alpha in (0.01, 0.05, 0.2):
        found = TGTExplainer(pca, alpha=alpha).fit(X, y)
        other = TGTExplainer(pca, alpha=alpha, solver="prox", tol=1e-7, max_steps=5000).fit(X, y)
        assert found.objective_ <= other.objective_ * (1 + 1e-4)


def test_the_difference_between_means_stands_in_where_nothing_has_slopes():
    X, y = blobs(2, seed=4)
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1)).fit(X, y)
    explainer = TGTExplainer(estimator=model, n_alphas=3).fit(X)
    means = DBMExplainer(estimator=model).fit(X)
    assert np.nansum(explainer.correctness_) >= np.nansum(means.correctness_)


def test_wide_groups_are_judged_behind_the_first_layer_alike():
    X, y = blobs(3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)
    net = torch.nn.Sequential(*layers).double()
    explainer = TGTExplainer(net, n_alphas=3, tol=1e-2).fit(X, y)
    deltas = pairwise(explainer)

    def represent(rows):
        with torch.no_grad():
            return net(torch.from_numpy(np.asarray(rows))).numpy()

    told = group_correctness(
        X, y, deltas, eps=explainer.eps_, representation=represent, average=None
    )
    assert_allclose(explainer.correctness_, told)


COUNTED = {"n": 0}


def counting(X):
    """A representation that is no affine map, and counts how often it is asked."""
    COUNTED["n"] += 1
    return np.tanh(X[:, :2] / 4) + X[:, 2:] / 4


@pytest.mark.parametrize(
    "changed", [{"support": "shared"}, {"n_features_to_change": 3}, {"refit": False}]
)
@pytest.mark.parametrize("selection", ["train", "cv"])
def test_a_warm_start_finds_what_a_cold_one_does_and_solves_once(changed, selection):
    X, y = load_iris(return_X_y=True)
    fixed = {"n_features_to_change": 2, "selection": selection, "random_state": 0, "n_alphas": 5}
    cold = TGTExplainer(counting, **{**fixed, **changed}).fit(X, y)
    warm = TGTExplainer(counting, warm_start=True, **fixed).fit(X, y)
    COUNTED["n"] = 0
    warm.set_params(**changed).fit(X, y)
    of_warm = COUNTED["n"]
    COUNTED["n"] = 0
    cold.fit(X, y)
    assert of_warm < COUNTED["n"] / 3
    for i, j in permutations(range(3), 2):
        assert_array_equal(warm.translation(i, j), cold.translation(i, j))
    assert (warm.alpha_, warm.objective_, warm.optimality_) == (
        cold.alpha_, cold.objective_, cold.optimality_,
    )  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"alpha": [0.3, 0.1]},
        {"representation": PCA(1).fit(load_iris().data)},
        {"target_class": 2},
        {"feature_space": FeatureSpace(immutable_features=[2])},
        {"feature_space": FeatureSpace(scale="std")},
        {"max_steps": 1, "solver": "prox"},
        {"tol": 0.5, "solver": "prox"},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_warm_start_takes_over_no_other_problem(changed):
    X, y = load_iris(return_X_y=True)
    pca = PCA(2).fit(X)
    warm = TGTExplainer(pca, warm_start=True, n_alphas=4).fit(X, y).set_params(**changed).fit(X, y)
    cold = TGTExplainer(pca, n_alphas=4).set_params(**changed).fit(X, y)
    assert_array_equal(warm.translations_, cold.translations_)
    warm.fit(X + 1e-3 * X**2, y)
    cold.fit(X + 1e-3 * X**2, y)
    assert_array_equal(warm.translations_, cold.translations_)


def test_metric_with_features_by_pair_is_better_for_being_refitted():
    """And transitive, where they are shared or nothing is dropped."""
    X, y = load_iris(return_X_y=True)
    given = {"solver": "metric", "n_features_to_change": 2, "random_state": 0}

    def total(**parameters):
        fitted = TGTExplainer(curved, **given, **parameters).fit(X, y)
        assert (np.abs(pairwise(fitted)) <= np.ptp(X, axis=0) * (1 + 1e-12)).all()
        assert (np.count_nonzero(pairwise(fitted), axis=2) <= 2).all()
        return np.nanmean(fitted.correctness_ + fitted.coverage_), fitted

    plain, _ = total(refit=False)
    refitted, _ = total()
    shared, together = total(support="shared")
    assert refitted > plain
    assert refitted >= shared
    assert together.transitivity_violation_ < 1e-12


@pytest.mark.parametrize("solver", ["auto", "metric"])
def test_nothing_is_refitted_where_nothing_is_dropped(solver):
    X, y = load_iris(return_X_y=True)
    given = {"solver": solver, "n_alphas": 3, "max_steps": 200, "random_state": 0}
    one = TGTExplainer(curved, n_features_to_change=4, **given).fit(X, y)
    assert one.transitivity_violation_ < 1e-12
    plain = TGTExplainer(curved, **given).fit(X, y)
    assert_array_equal(pairwise(one), pairwise(plain))
