"""The sequential solver: the margin as a constraint, its multiplier found."""

import warnings

import numpy as np
import pytest
from conftest import boosted_pipeline, mixed_population
from scipy.optimize import minimize
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skcf import FeatureSpace, InvalidCounterfactualWarning, PrototypeExplainer


def linear_problem(n_classes=2):
    X, y = make_classification(
        150, 5, n_informative=4, n_redundant=0, n_classes=n_classes, n_clusters_per_class=1,
        random_state=0,
    )  # fmt: skip
    return X, LogisticRegression(max_iter=1000).fit(X, y)


def optimum(slope, lacking, beta):
    """Least ``sum beta |d| + d**2`` with ``slope @ d >= lacking``, d being p - q."""
    both, n = np.concatenate([slope, -slope]), len(slope)
    return minimize(
        lambda pq: beta * pq.sum() + np.sum((pq[:n] - pq[n:]) ** 2),
        np.full(2 * n, 0.1),
        jac=lambda pq: beta + 2 * np.tile(pq[:n] - pq[n:], 2) * np.repeat([1, -1], n),
        bounds=[(0, None)] * (2 * n),
        constraints={"type": "ineq", "fun": lambda pq: both @ pq - lacking, "jac": lambda _: both},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )


@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0])
def test_sequential_meets_the_optimum_of_a_linear_classifier(beta):
    X, model = linear_problem()
    space = FeatureSpace(scale="std")
    explainer = PrototypeExplainer(
        model, c=1.0, theta=0.0, beta=beta, feature_space=space, min_margin=0.5
    ).fit(X)
    queries = X[model.predict(X) == 0][:6]
    result = explainer.explain(queries)
    assert (result.status == "found").all()
    slope = model.coef_[0] * explainer.feature_space_.scale_
    for i, x in enumerate(queries):
        lacking = 0.5 - model.decision_function(x[None])[0]
        best = optimum(slope, lacking, beta)
        assert best.success
        assert result.elastic_net[i] == pytest.approx(best.fun, rel=0.02)
        assert result.elastic_net[i] >= best.fun * (1 - 1e-6)


def test_sequential_is_no_dearer_than_a_search_for_the_weight():
    X, model = linear_problem(3)
    given = {"target_class": 2, "theta": 0.0, "feature_space": FeatureSpace(scale="std")}
    queries = X[model.predict(X) != 2][:20]
    found = PrototypeExplainer(model, c=1.0, **given).fit(X).explain(queries)
    searched = PrototypeExplainer(
        model, c=1.0, c_steps=6, solver="fista", prediction_loss="margin", max_steps=300, **given
    ).fit(X).explain(queries)  # fmt: skip
    both = (found.status == "found") & (searched.status == "found")
    assert (found.status == "found").all()
    assert both.sum() > 10
    assert (found.elastic_net[both] <= searched.elastic_net[both] * 1.02).all()
    assert (found.c >= 0).all()


def test_sequential_with_a_prototype_comes_nearer_to_it_as_its_weight_grows():
    X, model = linear_problem()
    queries = X[model.predict(X) == 0][:20]
    nets = []
    for theta in (0.0, 1.0, 100.0):
        explainer = PrototypeExplainer(model, c=1.0, theta=theta, n_prototypes=1).fit(X)
        nets.append(explainer.explain(queries).elastic_net)
    assert (nets[0] <= nets[1] + 1e-9).all()
    assert nets[1].mean() < nets[2].mean()


def test_sequential_in_lock_step_is_row_by_row():
    X, model = linear_problem(3)
    explainer = PrototypeExplainer(model, c=1.0, target_class="other").fit(X)
    together = explainer.explain(X[:12]).X_cf
    alone = np.concatenate([explainer.explain(X[[i]]).X_cf for i in range(12)])
    np.testing.assert_allclose(together, alone, rtol=1e-7, atol=1e-9)


def test_sequential_needs_a_prediction_loss_and_no_networks():
    X, model = linear_problem()
    with pytest.raises(ValueError, match="solver='sequential' finds the weight"):
        PrototypeExplainer(model, solver="sequential").fit(X)
    with pytest.raises(ValueError, match="solver='sequential' has no encoder: use 'fista'"):
        PrototypeExplainer(model, solver="sequential", c=1.0, encoder=PCA(2).fit(X)).fit(X)


def test_sequential_moves_categories_and_black_boxes():
    X, y = mixed_population(200, missing=False)
    model = boosted_pipeline(X, y, ["job", "sex"])  # no gradients, and steps
    smooth = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(), ["job", "sex"]), (StandardScaler(), ["age", "income", "hours"])
        ),
        LogisticRegression(),
    ).fit(X, y)
    for classifier, share in ((smooth, 1.0), (model, 0.2)):
        explainer = PrototypeExplainer(classifier, c=1.0, target_class="yes").fit(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InvalidCounterfactualWarning)
            result = explainer.explain(X[classifier.predict(X) == "no"][:30])
        found = result.status == "found"
        assert found.mean() >= share
        assert (classifier.predict(result.X_cf[found]) == "yes").all()


def test_sequential_gives_up_no_row_that_the_path_finds():
    X, y = mixed_population(300, seed=4)
    space = FeatureSpace(
        immutable_features=["sex", "job"],
        change_direction={"age": 1},
        permitted_range={"hours": (10, 40)},
    )
    model = boosted_pipeline(X, y, ["job", "sex"])
    statuses = {}
    for solver, c in (("path", 0.0), ("sequential", 1.0)):
        explainer = PrototypeExplainer(
            model, target_class="yes", feature_space=space, solver=solver, c=c, n_prototypes=1,
            theta=0.0 if c else 100.0, random_state=0,
        ).fit(X, model.predict(X))  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InvalidCounterfactualWarning)
            statuses[solver] = explainer.explain(X).status
    found = statuses["path"] == "found"
    assert found.sum() > 50
    assert (statuses["sequential"][found] == "found").all()
