"""NearestExplainer: real rows first, then refined, and honest about what it cannot find."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import boosted_pipeline, mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.datasets import load_iris, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcf import FeatureSpace, InvalidCounterfactualWarning, NearestExplainer

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
)


def explained(population, X=None, fit_on=None, **params):
    """Explain the population (or X) with warnings off."""
    rows, _, model = population
    params = {"target_class": "yes", "feature_space": SPACE, **params}
    explainer = NearestExplainer(model, **params).fit(rows if fit_on is None else fit_on)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(rows if X is None else X)


def as_tuples(X):
    return [
        tuple("gap" if value != value or value is None else value for value in row)
        for row in X.to_numpy(dtype=object)
    ]


def test_without_refining_counterfactuals_are_real_rows_of_the_target_class(population):
    X, y, model = population
    assert (model.predict(X) != y).any(), "the classifier must be wrong on some"
    result = explained(population, refine=False)
    found = result.status == "found"
    real = set(as_tuples(X[model.predict(X) == "yes"]))
    assert found.sum() > 100
    stranded = ~np.isfinite(allowed_cost(population)).any(axis=1)
    kept = found & ~stranded
    assert kept.sum() > 100
    assert all(row in real for row in as_tuples(result.X_cf[kept]))


def allowed_cost(population, metric="cityblock", space=SPACE):
    """Cost of moving each row to each row that the classifier puts in the target class."""
    X, _, model = population
    cost = space.fit(X).pairwise_cost(X, X, metric=metric)
    return np.where(model.predict(X) == "yes", cost, np.inf)


@pytest.mark.parametrize("metric", ["cityblock", "euclidean", "sqeuclidean"])
def test_without_refining_it_is_the_nearest_one(population, metric):
    result = explained(population, refine=False, metric=metric, n_neighbors=1)
    nearest = allowed_cost(population, metric).min(axis=1)
    rows = (result.status == "found") & np.isfinite(nearest)
    assert rows.sum() > 100
    assert_allclose(result.cost[rows], nearest[rows])


@pytest.mark.parametrize("metric", ["cityblock", "euclidean", "sqeuclidean"])
def test_refining_never_costs_more(population, metric):
    params = {"metric": metric, "n_neighbors": 1}
    real, refined = (explained(population, refine=on, **params) for on in (False, True))
    assert_array_equal(real.status, refined.status)
    found = refined.status == "found"
    assert (refined.cost[found] <= real.cost[found] + 1e-12).all()
    assert (refined.n_changes[found] <= real.n_changes[found]).all()
    assert refined.cost[found].mean() < 0.7 * real.cost[found].mean()
    assert refined.n_changes[found].mean() < 2


def test_labels_are_the_classifier_s_own_not_those_of_y(population):
    X, _, model = population
    labels = model.predict(X)
    explainer = NearestExplainer(model, target_class="yes")
    with pytest.warns(UserWarning, match="disagrees with y on 100%"):
        explainer.fit(X, np.where(labels == "yes", "no", "yes"))
    assert (model.predict(explainer.transform(X)) == "yes").all()


def test_more_neighbours_never_cost_more_where_they_are_only_refined(population):
    costs = [explained(population, n_neighbors=n, refine="quick").cost for n in (1, 2, 3, 6)]
    for fewer, more in pairwise(costs):
        both = np.isfinite(fewer)
        assert_array_equal(both, np.isfinite(more))
        assert (more[both] <= fewer[both] + 1e-9).all()
    assert np.nansum(costs[-1]) < np.nansum(costs[0])


def test_number_of_threads_changes_nothing(population):
    assert_frame_equal(explained(population, n_jobs=2).X_cf, explained(population).X_cf)


@pytest.mark.parametrize("min_margin", [1e-4, 0.5, 3.0])
def test_min_margin_is_kept_where_a_real_row_has_it(min_margin):
    X, y = make_classification(200, 4, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    explainer = NearestExplainer(model, min_margin=min_margin).fit(X)
    result = explainer.explain(X)
    real = NearestExplainer(model, refine=False).fit(X).transform(X)
    moved = result.status == "found"
    margin, of_real = model.decision_function(result.X_cf), model.decision_function(real)
    assert (margin >= np.minimum(min_margin, of_real) - 1e-9)[moved].all()
    assert (model.predict(result.X_cf) == 1).all()


def test_margin_that_no_row_has_leaves_real_rows(population):
    endless = explained(population, min_margin=1e9, n_neighbors=1)
    assert_frame_equal(endless.X_cf, explained(population, refine=False, n_neighbors=1).X_cf)


def test_rows_end_at_the_boundary():
    X, y = make_classification(200, 4, random_state=0)
    model = LogisticRegression().fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    rejected = X[model.predict(X) == 0]
    X_cf = explainer.transform(rejected)
    assert (model.decision_function(X_cf) < 1e-2).all()
    short = rejected + 0.99 * (X_cf - rejected)
    assert (model.predict(short) == 0).all()


# ---- where no training row is allowed -----------------------------------------------------------


def test_status_is_infeasible_exactly_where_no_row_is_allowed_and_none_was_found(population):
    space = FeatureSpace(
        immutable_features=["hours", "owner"], permitted_range={"income": (0, 2500)}
    )
    result = explained(population, feature_space=space)
    allowed = np.isfinite(allowed_cost(population, space=space)).any(axis=1)
    needed = result.status != "already_target"
    assert_array_equal(result.status == "infeasible", needed & ~allowed & (result.y_cf == "no"))
    assert (result.status[needed & allowed] == "found").all()
    assert (result.status == "infeasible").any()
    probed = (result.status == "found") & ~allowed
    assert probed.any()
    assert (result.y_cf[probed] == "yes").all()


def test_values_nobody_shares_are_probed():
    X, y = mixed_population(300, missing=False)
    X.insert(0, "name", [f"n{i % 40}" for i in range(len(X))])
    model = boosted_pipeline(X, y, ["name", "job", "sex"])
    space = FeatureSpace(immutable_features=["name", "sex"])
    explainer = NearestExplainer(model, target_class="yes", feature_space=space).fit(X)
    strangers = X[:50].assign(name=[f"stranger-{i}" for i in range(50)])
    strangers = strangers[model.predict(strangers) == "no"]
    assert len(strangers) > 20
    result = explainer.explain(strangers)
    assert (result.status == "found").all()
    assert (model.predict(result.X_cf) == "yes").all()
    assert_frame_equal(result.X_cf[["name", "sex"]], strangers[["name", "sex"]])
    assert result.n_changes.max() <= 4
    plain = explainer.set_params(refine=False).fit(X).explain(strangers)
    assert (result.cost <= plain.cost + 1e-12).all()


@pytest.mark.parametrize("target_class", [2, "other"])
def test_probing_works_with_several_classes(target_class):
    iris = load_iris(as_frame=True)
    X, y = iris.data.copy(), iris.target
    model = LogisticRegression(max_iter=1000).fit(X, y)
    space = FeatureSpace(immutable_features=["petal width (cm)"])
    explainer = NearestExplainer(model, target_class=target_class, feature_space=space).fit(X)
    queries = X[50:100].assign(**{"petal width (cm)": 1.234})
    result = explainer.explain(queries)
    assert (result.X_cf["petal width (cm)"] == 1.234).all()
    assert (result.status == "found").all()
    if target_class == 2:
        assert (model.predict(result.X_cf) == 2).all()
    else:
        assert (model.predict(result.X_cf) != result.y).all()


def test_best_attempt_comes_back_inside_the_permitted_range():
    X = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40)[::-1]})
    space = FeatureSpace(permitted_range={"a": (0, 10), "b": (5, 30)})
    explainer = NearestExplainer(lambda X: X["a"] > 20, feature_space=space).fit(X)
    with pytest.warns(InvalidCounterfactualWarning, match="2 of 2 rows"):
        result = explainer.explain(pd.DataFrame({"a": [12.0, 5.0], "b": [35, 7]}))
    assert result.status.tolist() == ["infeasible", "infeasible"]
    assert result.X_cf.to_numpy().tolist() == [[10, 30], [5, 7]]
    assert np.isnan(result.cost).all()


# ---- against the known optimum -------------------------------------------------------------------


def test_no_counterfactual_is_cheaper_than_the_optimum():
    make_recourse_population = pytest.importorskip("skcf.datasets").make_recourse_population
    people = make_recourse_population(400, random_state=0)
    explainer = NearestExplainer(
        people.classifier, target_class="accepted", feature_space=people.feature_space
    ).fit(people.X)
    with pytest.warns(InvalidCounterfactualWarning):
        result = explainer.explain(people.X)
    found = result.status == "found"
    assert not found[people.infeasible].any()
    assert (result.status[people.infeasible] == "infeasible").all()
    assert (result.cost[found] >= people.optimal_cost[found] - 1e-9).all()
    # of those that can be helped next to none is lost, not even where no accepted person helps
    lost = ~found & ~people.infeasible & (result.y == "rejected")
    assert lost.mean() < 0.01
    accepted = people.X[result.y == "accepted"]
    cost = explainer.feature_space_.pairwise_cost(people.X[found], accepted)
    assert np.isinf(cost).all(axis=1).sum() > 20
    # the baseline: on average within a twentieth of the least cost
    assert result.cost[found].mean() < 1.05 * people.optimal_cost[found].mean()


@pytest.mark.parametrize("min_margin", [1e-4, 0.5, 2.0])
def test_every_refined_row_keeps_the_margin(min_margin):
    X, y = make_classification(300, 5, random_state=0)
    model = LogisticRegression().fit(X, y)
    result = NearestExplainer(model, min_margin=min_margin).fit(X).explain(X)
    margin = model.decision_function(result.X_cf)[result.status == "found"]
    assert (margin >= min_margin - 1e-9).all()


def test_a_row_nearer_to_the_boundary_is_better_than_none():
    X, y = make_classification(300, 5, random_state=0)
    model = LogisticRegression().fit(X, y)
    result = NearestExplainer(model, min_margin=1e3).fit(X).explain(X)
    assert (result.y_cf == 1).all()


def test_how_scores_are_read_does_not_hang_on_the_order_of_the_rows():
    X, y = make_classification(5000, 4, random_state=0)
    model = Strict().fit(X, y)
    order = np.argsort(model.predict_proba(X)[:, 1])
    for rows in (np.arange(len(X)), order):
        explainer = NearestExplainer(model).fit(X[rows])
        assert not explainer._reader.has_scores


class Strict(LogisticRegression):
    """Says yes from a probability of 0.8 on, which its scores do not tell."""

    def decision_function(self, X):
        return super().decision_function(X)

    def predict(self, X):
        return (self.predict_proba(X)[:, 1] >= 0.8).astype(int)


def test_refining_in_small_blocks_changes_nothing(monkeypatch):
    X, y = make_classification(120, 5, random_state=0)
    model = LogisticRegression().fit(X, y)
    explainer = NearestExplainer(model).fit(X)
    whole = explainer.transform(X)
    monkeypatch.setattr("skcf._refine.BLOCK_ELEMENTS", 200)
    assert_allclose(explainer.transform(X), whole, atol=1e-8)


def test_n_jobs_of_zero_is_refused_in_fit():
    X, y = make_classification(60, 4, random_state=0)
    with pytest.raises(ValueError, match="The 'n_jobs' parameter of NearestExplainer"):
        NearestExplainer(n_jobs=0).fit(X, y)
