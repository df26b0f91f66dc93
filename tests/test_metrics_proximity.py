"""Proximity, MAD and Gower distances, sparsity and redundancy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcf import FeatureSpace
from skcf.metrics import gower_distance, mad_distance, proximity, redundancy, sparsity

pd = pytest.importorskip("pandas")

DISTANCES = [
    lambda *rows, **more: proximity(*rows, norm="l1", **more),
    lambda *rows, **more: proximity(*rows, norm="l2", **more),
    lambda *rows, **more: proximity(*rows, norm="linf", **more),
    mad_distance,
    gower_distance,
]
ROWS = arrays(np.float64, (4, 3), elements=st.integers(-40, 40).map(lambda n: n / 4))
MANY = settings(deadline=None, derandomize=True, max_examples=40)


def test_norms_by_hand():
    space = FeatureSpace(feature_weights={0: 2.0}).fit([[0.0, 0.0], [10.0, 4.0]])
    pair = [[1.0, 1.0]], [[4.0, 3.0]]  # 0.3 at weight 2, and 0.5
    assert proximity(*pair, feature_space=space) == pytest.approx(1.1)
    expected = np.sqrt(2 * 0.3**2 + 0.5**2)
    assert proximity(*pair, norm="l2", feature_space=space) == pytest.approx(expected)
    assert proximity(*pair, norm="linf", feature_space=space) == pytest.approx(0.6)


@pytest.mark.parametrize("norm, metric", [("l1", "cityblock"), ("l2", "euclidean")])
def test_norms_are_the_cost_of_allowed_moves(norm, metric):
    rng = np.random.default_rng(0)
    X, X_cf = rng.normal(size=(2, 30, 3))
    space = FeatureSpace(feature_weights=[1.0, 2.0, 0.5], change_direction={0: 1}).fit(X)
    cost = space.cost(X, X_cf, metric=metric)
    values = proximity(X, X_cf, norm=norm, feature_space=space, average=None)
    allowed = np.isfinite(cost)
    assert 0 < allowed.sum() < 30
    np.testing.assert_allclose(values[allowed], cost[allowed])
    assert np.isfinite(values).all()  # a forbidden move has a length, too


def test_mad_distance_against_its_formula():
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(51, 4)) * [1, 10, 0.1, 5]
    X, X_cf = rng.normal(size=(2, 20, 4))
    mad = np.median(np.abs(reference - np.median(reference, axis=0)), axis=0)
    expected = (np.abs(X - X_cf) / mad).sum(axis=1)
    values = mad_distance(X, X_cf, reference=reference, average=None)
    np.testing.assert_allclose(values, expected)
    space = FeatureSpace(scale="mad").fit(reference)
    np.testing.assert_allclose(mad_distance(X, X_cf, feature_space=space, average=None), expected)
    ranges = FeatureSpace().fit(reference)
    again = mad_distance(X, X_cf, feature_space=ranges, reference=reference, average=None)
    np.testing.assert_allclose(again, expected)


def test_gower_distance_against_its_formula():
    reference = pd.DataFrame(
        {"age": [20.0, 60.0, 30.0], "pay": [1.0, 5.0, 2.0], "job": ["a", "b", "c"]}
    )
    X, X_cf = reference.iloc[[0, 2]], reference.iloc[[1, 0]]
    expected = [(1 + 1 + 1) / 3, (10 / 40 + 1 / 4 + 1) / 3]
    values = gower_distance(X, X_cf, reference=reference, average=None)
    np.testing.assert_allclose(values, expected)
    space = FeatureSpace(feature_weights={"job": 3.0}, scale="std").fit(reference)
    weighted = gower_distance(X, X_cf, reference=reference, feature_space=space, average=None)
    np.testing.assert_allclose(weighted, [1, (10 / 40 + 1 / 4 + 3) / 5])


def test_scales_must_come_from_somewhere():
    X = [[0.0], [1.0]]
    with pytest.raises(ValueError, match=r"scale='range'.*reference"):
        mad_distance(X, X, feature_space=FeatureSpace().fit(X))
    with pytest.raises(ValueError, match=r"scale='std'.*reference"):
        gower_distance(X, X, feature_space=FeatureSpace(scale="std").fit(X))
    with pytest.raises(ValueError, match="norm must be one of"):
        proximity(X, X, norm="l3")


@pytest.mark.parametrize("distance", DISTANCES)
@MANY
@given(X=ROWS, Y=ROWS, Z=ROWS)
def test_distances_are_distances(distance, X, Y, Z):
    reference = np.concatenate([X, Y, Z])

    def between(first, second):
        return distance(first, second, average=None, **given_scales(distance, reference))

    assert np.all(between(X, X) == 0)
    np.testing.assert_allclose(between(X, Y), between(Y, X))
    assert np.all(between(X, Z) <= between(X, Y) + between(Y, Z) + 1e-9)


def given_scales(distance, reference):
    if distance in (mad_distance, gower_distance):
        return {"reference": reference}
    return {"feature_space": FeatureSpace().fit(reference)}


@pytest.mark.parametrize("distance", DISTANCES)
def test_units_have_no_say(distance):
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(2, 25, 3))
    factor, shift = np.array([10.0, 0.01, 3.0]), np.array([5.0, -2.0, 0.0])
    values = distance(X, Y, average=None, **given_scales(distance, X))
    rescaled = X * factor + shift, Y * factor + shift
    again = distance(*rescaled, average=None, **given_scales(distance, rescaled[0]))
    np.testing.assert_allclose(again, values)


def test_sparsity_counts_what_changes_as_one_thing_once():
    X = pd.DataFrame(
        {"r": [1, 0], "g": [0, 1], "degree": ["ba", "ma"], "years": [3, 5], "pay": [1.0, np.nan]}
    )
    X_cf = X.iloc[::-1].reset_index(drop=True).assign(pay=X["pay"])
    assert sparsity(X, X_cf) == 4
    space = FeatureSpace(onehot_groups=[["r", "g"]], linked_features=[["degree", "years"]]).fit(X)
    assert sparsity(X, X_cf, feature_space=space) == 2
    assert sparsity(X, X_cf, feature_space=space, share=True) == pytest.approx(2 / 3)
    assert sparsity(X, X, feature_space=space) == 0


def test_sparsity_of_categories_that_the_space_does_not_know():
    space = FeatureSpace().fit(pd.DataFrame({"job": ["cook", "nurse"]}))
    X, X_cf = pd.DataFrame({"job": ["pilot", "pilot"]}), pd.DataFrame({"job": ["pilot", "judge"]})
    np.testing.assert_array_equal(sparsity(X, X_cf, feature_space=space, average=None), [0, 1])


def brute_force_redundancy(X, X_cf, accepts):
    counts = np.zeros(len(X))
    for i, (x, y) in enumerate(zip(X, X_cf, strict=True)):
        for j in range(len(x)):
            undone = y.copy()
            undone[j] = x[j]
            counts[i] += x[j] != y[j] and accepts(undone[None])[0]
    return counts


def test_redundancy_against_a_loop():
    rng = np.random.default_rng(3)
    X, X_cf = rng.integers(-3, 4, size=(2, 60, 4)).astype(float)

    def accepts(rows):
        return rows.sum(axis=1) > 0

    values = redundancy(X, X_cf, estimator=accepts, target_class=True, average=None)
    valid = accepts(X_cf)
    expected = brute_force_redundancy(X, X_cf, accepts)
    np.testing.assert_array_equal(values, np.where(valid, expected, np.nan))
    assert redundancy(X, X_cf, estimator=accepts, target_class=True) == expected[valid].mean()
    assert expected[valid].max() > 1


def test_redundancy_undoes_groups_as_one_and_keeps_implications():
    X, X_cf = np.array([[1.0, 0.0, 20.0, 0.0]]), np.array([[0.0, 1.0, 30.0, 1.0]])

    def always(rows):
        return rows[:, 3] >= 0

    def count(**constraints):
        space = FeatureSpace(onehot_groups=[[0, 1]], **constraints).fit(np.concatenate([X, X_cf]))
        asked = {"estimator": always, "target_class": True, "feature_space": space}
        return redundancy(X, X_cf, **asked)

    assert count() == 3
    assert count(implications={3: (2, 2)}) == 2  # the third column's rise is asked for
    assert count(implications={3: (2, 2)}, immutable_features=[0, 1]) == 3  # not held to anything


def test_redundancy_of_nobody_is_nan():
    X = np.array([[0.0], [1.0]])

    def never(rows):
        return rows[:, 0] > 5

    assert np.isnan(redundancy(X, X + 1, estimator=never, target_class="other"))
