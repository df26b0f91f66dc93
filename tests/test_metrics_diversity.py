"""Diversity of several counterfactuals of one row."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skcf import FeatureSpace, NearestExplainer
from skcf.metrics import dpp_diversity, pairwise_diversity

METRICS = [pairwise_diversity, dpp_diversity]
SPACE = FeatureSpace().fit(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]]))
ROW = np.repeat([3, 7, 5], [4, 2, 1])


def moved(seed=0):
    rng = np.random.default_rng(seed)
    return np.zeros((7, 3)), rng.normal(size=(7, 3))


def distance(x, y):
    return np.sum(np.abs(x - y) / [1.0, 2.0, 4.0])


def test_pairwise_diversity_against_a_loop():
    X, X_cf = moved()
    expected = [
        np.mean([distance(x, y) for x, y in combinations(X_cf[label == ROW], 2)])
        for label in (3, 7)
    ]
    values = pairwise_diversity(X, X_cf, row=ROW, feature_space=SPACE, average=None)
    np.testing.assert_allclose(values, [expected[0], np.nan, expected[1]])  # rows 3, 5, 7
    mean = pairwise_diversity(X, X_cf, row=ROW, feature_space=SPACE)
    assert mean == pytest.approx(np.mean(expected))


def test_dpp_diversity_against_its_formula():
    X, X_cf = moved()
    own = X_cf[:4]
    K = [[1 / (1 + distance(x, y)) for x in own] for y in own]
    values = dpp_diversity(X, X_cf, row=ROW, feature_space=SPACE, average=None)
    pair = 1 - 1 / (1 + distance(*X_cf[4:6])) ** 2
    np.testing.assert_allclose(values, [np.linalg.det(K), np.nan, pair])


def test_dpp_diversity_lies_between_equal_and_far_apart():
    rng = np.random.default_rng(0)
    for _ in range(50):
        X_cf = rng.normal(size=(5, 3)) * 10 ** rng.uniform(-3, 3)
        value = dpp_diversity(X_cf, X_cf, row=[0] * 5, feature_space=SPACE)
        assert 0 <= value <= 1
    X_cf[1] = X_cf[0]
    assert dpp_diversity(X_cf, X_cf, row=[0] * 5, feature_space=SPACE) == pytest.approx(0)
    far = np.diag([1e9, 2e9, 4e9])
    assert dpp_diversity(far, far, row=[0] * 3, feature_space=SPACE) == pytest.approx(1)


@pytest.mark.parametrize("metric", METRICS)
def test_order_has_no_say_and_those_not_found_are_left_out(metric):
    X, X_cf = moved()
    asked = {"feature_space": SPACE, "average": None}
    values = metric(X, X_cf, row=ROW, **asked)
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_allclose(metric(X, X_cf[order], row=ROW[order], **asked), values)
    found = np.array([True, True, True, True, True, False, True])
    some = metric(X, X_cf, row=ROW, status=found, **asked)
    np.testing.assert_allclose(some, [values[0], np.nan, np.nan])
    assert np.isnan(metric(X, X_cf, row=ROW, status=np.zeros(7, dtype=bool)))


@pytest.mark.parametrize("metric", METRICS)
def test_constraints_have_no_say(metric):
    X, X_cf = moved()
    bound = FeatureSpace(immutable_features=[0], change_direction={1: 1})
    bound.fit(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]]))
    free = metric(X, X_cf, row=ROW, feature_space=SPACE)
    assert metric(X, X_cf, row=ROW, feature_space=bound) == free


@pytest.mark.parametrize("metric", METRICS)
def test_a_result_knows_its_rows(metric):
    rows, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(rows, y)
    explainer = NearestExplainer(model, target_class=2).fit(rows)
    result = explainer.explain(rows[:8], n_counterfactuals=3)
    space = explainer.feature_space_
    values = metric(result, feature_space=space, average=None)
    assert values.shape == (8,)
    assert np.nanmin(values) > 0
    apart = metric(
        result.X,
        result.X_cf,
        row=result.row,
        status=result.status,
        feature_space=space,
        average=None,
    )
    np.testing.assert_array_equal(values, apart)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_must_be_told(metric):
    X, X_cf = moved()
    with pytest.raises(ValueError, match="row is missing"):
        metric(X, X_cf)
    with pytest.raises(ValueError, match="row must have shape"):
        metric(X, X_cf, row=[0, 1])
    with pytest.raises(ValueError, match="average must be"):
        metric(X, X_cf, row=ROW, average="sum")
