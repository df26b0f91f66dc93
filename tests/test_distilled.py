"""Smooth nets in the place of maps that are constant in steps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from skcf import DBMExplainer, FeatureSpace, TGTExplainer
from skcf._distilled import distilled
from skcf._maps import AskedMap
from skcf._representations import is_flat, read_representation

pytestmark = pytest.mark.filterwarnings("ignore::skcf.InvalidCounterfactualWarning")

TREES = {
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": RandomForestClassifier(100, random_state=0),
    "boosted": HistGradientBoostingClassifier(max_iter=50, random_state=0),
}


@pytest.fixture(scope="module")
def rows():
    """Two numbers and three categories; a staircase of them."""
    random = np.random.default_rng(0)
    Z = np.column_stack([random.normal(0, [1.0, 20.0], (600, 2)), random.integers(0, 3, 600)])

    def stairs(Z):
        level = np.array([-1.0, 0.0, 2.0])[Z[:, 2].astype(int)]
        first, second = np.floor(2 * Z[:, 0]) / 2, np.floor(Z[:, 1] / 10)
        return np.column_stack([first + level, second - first])

    return Z, AskedMap(stairs, np.array([1.0, 20.0, 1.0]))


def test_a_net_is_like_the_staircase_and_has_slopes(rows):
    Z, stairs = rows
    net = distilled(stairs, Z, [2], random_state=0)
    told, true = net.values(Z), stairs.values(Z)
    assert (np.std(told - true, axis=0) < 0.3 * np.std(true, axis=0)).all()
    slope = net.pullback(Z, np.tile([1.0, 0.0], (len(Z), 1))).mean(axis=0)
    assert_allclose(slope[:2] * [1, 20], [1, 0], atol=0.15)
    slope = net.pullback(Z, np.tile([0.0, 1.0], (len(Z), 1))).mean(axis=0)
    assert_allclose(slope[:2] * [1, 20], [-1, 2], atol=0.2)


def test_slopes_are_those_of_the_net_and_categories_have_none(rows):
    Z, stairs = rows
    net, V = distilled(stairs, Z, [2], random_state=0), np.array([[0.3, -2.0]])
    for z in Z[:5]:
        wanted = [
            (net.values((z + e)[None]) - net.values((z - e)[None]))[0] @ V[0] / (2 * e.max())
            for e in np.diag([1e-5, 1e-4, 0])[:2]
        ]
        assert_allclose(net.pullback(z[None], V)[0], [*wanted, 0.0], rtol=1e-5, atol=1e-9)
    weights, gradient = net.residual_pullback(Z, lambda values, part: 2 * values)
    assert_array_equal(weights, 2 * net.values(Z))
    assert_allclose(gradient, net.pullback(Z, weights))


def test_the_same_seed_gives_the_same_net_and_leaves_the_global_one(rows):
    Z, stairs = rows
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (distilled(stairs, Z, [2], random_state=1).values(Z) for _ in range(2))
    assert_array_equal(one, two)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.fixture(scope="module")
def tumours():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :10], y


@pytest.mark.parametrize("kind", TREES)
def test_what_is_constant_in_steps_is_told_though_trees_are_cut_at_rows(tumours, kind):
    X, y = tumours
    model = TREES[kind].fit(X, y)
    explainer = DBMExplainer(estimator=model).fit(X, model.predict(X))
    assert is_flat(explainer._represent)
    found, _ = read_representation(lambda X: model.predict_proba(X), X, FeatureSpace().fit(X))
    assert is_flat(found)
    linear = LogisticRegression(max_iter=5000).fit(X, y)
    found, _ = read_representation(lambda X: linear.predict_proba(X), X, FeatureSpace().fit(X))
    assert not is_flat(found)


@pytest.mark.parametrize("kind", ["forest", "boosted"])
def test_few_features_lead_across_the_steps_of_trees(tumours, kind):
    X, y = tumours
    model = TREES[kind].fit(X, y)
    labels, given = model.predict(X), {"estimator": model, "n_features_to_change": 3}
    means = DBMExplainer(**given).fit(X, labels)
    found = TGTExplainer(random_state=0, **given).fit(X, labels)
    assert np.nanmean(found.correctness_) > np.nanmean(means.correctness_)
    assert found.score(X) > means.score(X) + 0.1
    again = TGTExplainer(random_state=0, **given).fit(X, labels)
    assert_array_equal(found.translations_, again.translations_)


def test_the_radius_of_scores_that_many_rows_have_is_that_of_distinct_ones(tumours):
    X, y = tumours
    model = TREES["forest"].fit(X, y)
    labels = model.predict(X)
    explainer = TGTExplainer(estimator=model, solver="metric", random_state=0).fit(X, labels)
    scores = explainer.represent(X)[:, 0]
    gaps = [np.diff(np.unique(scores[labels == c])) for c in (0, 1)]
    assert min(map(np.min, gaps)) <= explainer.eps_ <= max(map(np.max, gaps))
    assert np.isfinite(explainer.translations_).all()
    assert explainer.score(X) > 0.9
