"""Several counterfactuals of a row: distinct, valid, in order, and of different features."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skcf import (
    ExactExplainer,
    FeatureSpace,
    InvalidCounterfactualWarning,
    NearestExplainer,
    PrototypeExplainer,
)
from skcf._diverse import _pick


def explain(explainer, X, k):
    """Explain without the warning of those that could not be found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        return explainer.explain(X, n_counterfactuals=k)


def three_doors(X):
    """Accepts whoever has any of three things."""
    scores = np.max(np.asarray(X, dtype=float), axis=1) - 0.5
    return np.column_stack([-scores, scores])


@pytest.fixture
def doors():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(size=(300, 3)), columns=["a", "b", "c"])
    X.iloc[:100] *= 0.4
    return X


def test_each_counterfactual_opens_another_door(doors):
    explainer = NearestExplainer(three_doors, feature_space=FeatureSpace())
    explainer.fit(doors)
    closed = doors[three_doors(doors)[:, 1] < 0][:40]
    result = explain(explainer, closed, 3)
    assert (result.status == "found").all()
    assert (result.n_changes == 1).all()
    changed = (result.X_cf.to_numpy() != result.X.to_numpy()).reshape(40, 3, 3)
    assert (changed.sum(axis=1) == 1).all(), "one of each"
    # the cheapest first: the door that was nearest to being open
    first = changed[:, 0].argmax(axis=1)
    assert_array_equal(first, closed.to_numpy().argmax(axis=1))


def test_several_are_distinct_valid_allowed_and_in_order(population):
    X, _, model = population
    space = FeatureSpace(immutable_features=["sex"], change_direction={"age": +1})
    explainer = NearestExplainer(model, target_class="yes", feature_space=space)
    explainer.fit(X, model.predict(X))
    rejected = X[model.predict(X) == "no"][:50]
    result = explain(explainer, rejected, 4)
    assert_array_equal(result.row, np.repeat(np.arange(50), 4))
    assert_array_equal(result.rank, np.tile(np.arange(4), 50))
    assert_array_equal(result.X_cf.index, np.repeat(rejected.index, 4))
    found = result.status == "found"
    assert found.mean() > 0.95
    assert (model.predict(result.X_cf[found]) == "yes").all()
    fitted = explainer.feature_space_
    assert fitted.feasible(result.X[found], result.X_cf[found]).all()
    cost = np.where(found, result.cost, np.inf).reshape(50, 4)
    assert (np.diff(cost, axis=1)[np.isfinite(cost[:, 1:])] >= 0).all()
    codes = fitted.transform(result.X_cf).reshape(50, 4, -1)
    for of_row, ok in zip(codes, found.reshape(50, 4), strict=True):
        assert len(np.unique(np.nan_to_num(of_row[ok], nan=-9), axis=0)) == ok.sum()
    alone = explainer.explain(rejected)
    assert (cost[:, 0] <= alone.cost + 1e-9).all()


def test_change_sets_differ_where_they_can(population):
    X, _, model = population
    explainer = NearestExplainer(model, target_class="yes").fit(X, model.predict(X))
    rejected = X[model.predict(X) == "no"][:60]
    result = explain(explainer, rejected, 3)
    codes = explainer.feature_space_.transform
    before, after = codes(result.X), codes(result.X_cf)
    changed = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    different = [len({tuple(one) for one in row}) for row in changed.reshape(60, 3, -1)]
    assert min(different) >= 2
    assert np.mean(np.array(different) == 3) > 0.8


def test_there_are_not_always_enough():
    X = pd.DataFrame({"member": [False, True] * 20, "age": np.arange(40)})
    space = FeatureSpace(immutable_features=["age"])

    def accepts(X):
        return X["member"].to_numpy()

    explainer = NearestExplainer(accepts, target_class=True, feature_space=space).fit(X)
    with pytest.warns(InvalidCounterfactualWarning, match="rows got no valid counterfactual"):
        result = explainer.explain(X[:2], n_counterfactuals=3)
    expected = ["found", "not_found", "not_found"]
    assert result.status[:3].tolist() in (expected, ["found", "infeasible", "infeasible"])
    assert_frame_equal(result.X_cf[1:3], X.iloc[[0, 0]])
    assert (result.status[3:] == "already_target").all()


def test_real_rows_where_nothing_is_refined(population):
    X, _, model = population
    X = X.dropna()
    explainer = NearestExplainer(model, target_class="yes", refine=False)
    explainer.fit(X, model.predict(X))
    rejected = X[model.predict(X) == "no"][:20]
    result = explain(explainer, rejected, 3)
    accepted = {tuple(row) for row in X[model.predict(X) == "yes"].to_numpy().tolist()}
    assert all(tuple(row) in accepted for row in result.X_cf.to_numpy().tolist())


def test_a_row_s_answers_do_not_depend_on_the_others(population):
    X, _, model = population
    explainer = NearestExplainer(model, target_class="yes").fit(X, model.predict(X))
    rejected = X[model.predict(X) == "no"][:30]
    together = explain(explainer, rejected, 3)
    some = explain(explainer, rejected[::-7], 3)
    rows = np.arange(30)[::-7]
    places = (3 * rows[:, None] + np.arange(3)).ravel()
    assert_frame_equal(some.X_cf, together.X_cf.iloc[places])


def test_several_classes():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = NearestExplainer(model, target_class="other").fit(X, model.predict(X))
    result = explain(explainer, X[::15], 2)
    assert (result.status == "found").all()
    assert (result.y_cf != result.y).all()


def test_explainers_that_find_one_say_so():
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    explainer = ExactExplainer(model, target_class=0).fit(X, model.predict(X))
    with pytest.raises(ValueError, match="ExactExplainer finds one counterfactual a row, got"):
        explainer.explain(X[100:102], n_counterfactuals=2)


def test_picks_weigh_cost_against_new_features():
    cost = np.array([1.0, 1.1, 1.2, 3.0, 9.0])
    changed = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    found, refined = np.arange(5.0)[:, None], np.zeros(5, dtype=bool)
    # after {0}: {0, 1} shares half, so that 1.2 counts 2.4 and comes before {1}, which costs 3
    assert _pick(found, cost, changed, refined, 3).tolist() == [0, 2, 3]
    # what changes the same comes last
    assert _pick(found, cost, changed, refined, 5).tolist() == [0, 2, 3, 4, 1]
    # and rows as they are before that, but after all that is refined
    spare = np.array([False, False, True, False, False])
    assert _pick(found, cost, changed, spare, 5).tolist() == [0, 3, 4, 2, 1]


def test_equal_candidates_are_picked_once():
    found = np.array([[1.0, np.nan], [1.0, np.nan], [2.0, np.nan]])
    changed = np.array([[True, False]] * 3)
    picked = _pick(found, np.array([1.0, 1.0, 2.0]), changed, np.zeros(3, dtype=bool), 3)
    assert_array_equal(picked, [0, 2])


@pytest.mark.parametrize("Explainer", [NearestExplainer, PrototypeExplainer])
def test_rows_that_have_none_do_not_fail(doors, Explainer):
    """Nothing may change, so there is nothing to choose from."""
    frozen = FeatureSpace(immutable_features=["a", "b", "c"])
    explainer = Explainer(three_doors, feature_space=frozen, target_class=1).fit(doors)
    closed = doors[three_doors(doors)[:, 1] < 0][:4]
    result = explain(explainer, closed, 3)
    assert_array_equal(result.status, ["infeasible"] * 12)
    assert_array_equal(result.X_cf, np.repeat(closed.to_numpy(), 3, axis=0))
