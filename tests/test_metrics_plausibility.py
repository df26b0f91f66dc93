"""Neighbours, outlier scores and densities among real rows of the target class."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import kstest
from sklearn.datasets import load_iris
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from skcf import FeatureSpace
from skcf.metrics import (
    density_quantile,
    isolation_score,
    knn_distance,
    local_outlier_factor,
    neighbour_share,
)

pd = pytest.importorskip("pandas")

METRICS = [
    knn_distance,
    neighbour_share,
    local_outlier_factor,
    isolation_score,
    density_quantile,
    lambda *rows, **more: density_quantile(*rows, density="gmm", n_components=2, **more),
]
REAL, Y = load_iris(return_X_y=True)


def moved(n=20, seed=0):
    rng = np.random.default_rng(seed)
    return REAL[:n], REAL[rng.integers(0, 150, n)] + rng.normal(0, 0.3, (n, 4))


@pytest.mark.parametrize("metric", METRICS)
def test_values_do_not_depend_on_the_batch_or_on_the_order_of_real_rows(metric):
    X, X_cf = moved()
    asked = {"reference": REAL, "y_reference": Y, "target": 1, "average": None}
    values = metric(X, X_cf, **asked)
    np.testing.assert_allclose(metric(X[:3], X_cf[:3], **asked), values[:3])
    if metric in (knn_distance, neighbour_share, local_outlier_factor):
        order = np.random.default_rng(0).permutation(150)
        shuffled = {**asked, "reference": REAL[order], "y_reference": Y[order]}
        np.testing.assert_allclose(metric(X, X_cf, **shuffled), values)


@pytest.mark.parametrize("metric", METRICS)
def test_units_have_no_say(metric):
    X, X_cf = moved()
    asked = {"y_reference": Y, "target": 1, "average": None}
    values = metric(X, X_cf, reference=REAL, **asked)
    factor = np.array([4.0, 0.25, 2.0, 8.0])  # exact: no rounding moves a split
    again = metric(X * factor, X_cf * factor, reference=REAL * factor, **asked)
    np.testing.assert_allclose(again, values)


@pytest.mark.parametrize("metric", METRICS)
def test_each_row_is_held_against_its_own_target(metric):
    X, X_cf = moved()
    target = np.arange(20) % 3
    asked = {"reference": REAL, "y_reference": Y, "average": None}
    values = metric(X, X_cf, target=target, **asked)
    if metric in (knn_distance, neighbour_share, local_outlier_factor):  # nothing drawn
        for label in range(3):
            alone = metric(X, X_cf, target=label, **asked)
            np.testing.assert_allclose(values[target == label], alone[target == label])
    status = ["found"] * 10 + ["infeasible"] * 10
    some = metric(X, X_cf, target=target, status=status, **asked)
    assert np.isfinite(some[:10]).all()
    assert np.isnan(some[10:]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_labels_without_rows_and_nobody(metric):
    X, X_cf = moved()
    asked = {"reference": REAL, "y_reference": Y}
    with pytest.raises(ValueError, match=r"No reference row has the target label 3"):
        metric(X, X_cf, target=3, **asked)
    with pytest.raises(ValueError, match="y_reference needs target"):
        metric(X, X_cf, **asked)
    with pytest.raises(ValueError, match="one label for each reference row"):
        metric(X, X_cf, reference=REAL, y_reference=Y[:3], target=1)
    with pytest.raises(ValueError, match="target must be one label"):
        metric(X, X_cf, target=[0, 1], **asked)
    nobody = np.zeros(20, dtype=bool)
    assert np.isnan(metric(X, X_cf, target=1, status=nobody, **asked))


def test_knn_distance_against_a_loop():
    X, X_cf = moved()
    scale = np.ptp(REAL, axis=0)
    expected = np.sort(cdist(X_cf / scale, REAL[Y == 2] / scale), axis=1)[:, :3].mean(axis=1)
    asked = {"reference": REAL, "y_reference": Y, "target": 2, "n_neighbors": 3}
    np.testing.assert_allclose(knn_distance(X, X_cf, average=None, **asked), expected)
    assert knn_distance(REAL, REAL, reference=REAL, n_neighbors=1) == 0
    far = knn_distance(X, X_cf, reference=REAL[:2], n_neighbors=50)
    assert far == pytest.approx(
        knn_distance(X, X_cf, reference=REAL[:2], n_neighbors=2)
    )  # all there are


def test_distances_are_those_of_the_feature_space():
    """Categories, orders, weights and gaps: the points lie as far apart as the moves cost."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "pay": rng.normal(size=60),
            "job": rng.choice(["a", "b", "c"], 60),
            "size": rng.choice(["S", "M", "L"], 60),
            "flag": rng.random(60) < 0.5,
        }
    )
    rows["job"] = rows["job"].mask(rng.random(60) < 0.2)
    space = FeatureSpace(
        ordinal_features={"size": ["S", "M", "L"]}, feature_weights={"job": 2.0, "pay": 0.5}
    ).fit(rows)
    real, after = rows.iloc[:40], rows.iloc[40:]
    real = real[real["job"].notna()]
    after = after[after["job"].notna()]
    values = knn_distance(
        after, after, reference=real, n_neighbors=1, feature_space=space, average=None
    )
    cost = space.pairwise_cost(after, real, metric="euclidean")
    np.testing.assert_allclose(values, cost.min(axis=1))
    gaps = rows[rows["job"].isna()]
    at_home = knn_distance(gaps, gaps, reference=rows, n_neighbors=1, feature_space=space)
    assert at_home == 0


def test_gaps_of_numbers_and_unknown_categories():
    real = pd.DataFrame({"pay": [0.0, 1.0, 2.0], "job": ["a", "a", "b"]})
    space = FeatureSpace().fit(real)
    X = pd.DataFrame({"pay": [np.nan, 1.0, 1.0], "job": ["a", "c", "d"]})
    near = {"feature_space": space, "n_neighbors": 1, "average": None}
    np.testing.assert_allclose(knn_distance(X, X, reference=real, **near), 1)
    np.testing.assert_allclose(knn_distance(X, X, reference=X, **near), 0, atol=1e-12)
    others = knn_distance(X.iloc[[1]], X.iloc[[1]], reference=X.iloc[[2]], **near)
    np.testing.assert_allclose(others, 1)  # two that the space does not know are two


def test_neighbour_share_against_a_loop():
    X, X_cf = moved()
    scale = np.ptp(REAL, axis=0)
    nearest = np.argsort(cdist(X_cf / scale, REAL / scale), axis=1)[:, :7]
    expected = (Y[nearest] == 1).mean(axis=1)
    asked = {"reference": REAL, "y_reference": Y, "target": 1, "n_neighbors": 7}
    np.testing.assert_allclose(neighbour_share(X, X_cf, average=None, **asked), expected)
    everywhere = neighbour_share(X, X_cf, **{**asked, "n_neighbors": 1000})
    assert everywhere == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="of all classes"):
        neighbour_share(X, X_cf, reference=REAL, y_reference=None)


def test_local_outlier_factor_is_that_of_scikit_learn():
    X, X_cf = moved()
    distinct = np.unique(REAL / np.ptp(REAL, axis=0), axis=0)
    model = LocalOutlierFactor(n_neighbors=10, novelty=True).fit(distinct)
    values = local_outlier_factor(X, X_cf, reference=REAL, n_neighbors=10, average=None)
    np.testing.assert_allclose(values, -model.score_samples(X_cf / np.ptp(REAL, axis=0)))


def test_copies_of_real_rows_have_no_say():
    X, X_cf = moved()
    copies = np.concatenate([REAL, np.repeat(REAL[:5], 300, axis=0)])
    for metric in (local_outlier_factor, isolation_score):
        values = metric(X, X_cf, reference=REAL, average=None)
        np.testing.assert_allclose(metric(X, X_cf, reference=copies, average=None), values)
    assert values.max() < 1


def test_isolation_score_is_that_of_scikit_learn():
    X, X_cf = moved()
    scale = np.ptp(REAL, axis=0)
    random = np.random.RandomState(3)
    forest = IsolationForest(n_estimators=20, random_state=random)
    forest.fit(np.unique(REAL / scale, axis=0))
    values = isolation_score(X, X_cf, reference=REAL, n_estimators=20, random_state=3, average=None)
    np.testing.assert_allclose(values, -forest.score_samples(X_cf / scale))


@pytest.mark.parametrize("density", ["kde", "gmm"])
def test_density_quantiles_of_real_rows_are_uniform(density):
    rng = np.random.default_rng(0)
    values = []
    for seed in range(150):
        rows = rng.normal(size=(61, 2)) ** 3
        asked = {"reference": rows[1:], "density": density, "random_state": seed}
        values.append(density_quantile(rows[:1], rows[:1], n_components=2, **asked))
    assert kstest(values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("density", ["kde", "gmm"])
def test_density_quantile_knows_the_mode_and_what_is_far(density):
    rows = np.random.default_rng(0).normal(size=(400, 3))
    asked = {"reference": rows, "density": density, "n_components": 1}
    assert density_quantile([[9.0] * 3], [[0.0] * 3], **asked) > 0.9
    assert density_quantile([[0.0] * 3], [[9.0] * 3], **asked) == 1 / 201


def test_too_few_real_rows():
    X = [[0.0], [1.0], [2.0]]
    for metric in (local_outlier_factor, isolation_score):
        with pytest.raises(ValueError, match="1 distinct reference row"):
            metric(X, X, reference=[[1.0], [1.0]])
    with pytest.raises(ValueError, match="at least four"):
        density_quantile(X, X, reference=X)
    constant = density_quantile(X, X, reference=[[1.0]] * 6, average=None)
    np.testing.assert_allclose(constant, [1 / 4, 1, 1 / 4])


@pytest.mark.parametrize("value", [0, 2.5, True])
def test_numbers_must_be_whole_and_above_zero(value):
    X = [[0.0], [1.0]]
    with pytest.raises(ValueError, match="n_neighbors must be"):
        knn_distance(X, X, reference=X, n_neighbors=value)
    with pytest.raises(ValueError, match="n_estimators must be"):
        isolation_score(X, X, reference=X, n_estimators=value)
    with pytest.raises(ValueError, match="density must be"):
        density_quantile(X, X, reference=X, density="histogram")
