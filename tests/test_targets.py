"""The nearest allowed rows of the target class are found exactly."""

import numpy as np
import pytest
from conftest import mixed_population
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

from skcf import FeatureSpace
from skcf._targets import OTHER, TargetRows, target_code

SPACE = FeatureSpace(
    immutable_features=["sex"],
    change_direction={"age": +1},
    permitted_range={"hours": (0, 45), "job": ["clerk", "cook", "nurse"]},
    feature_weights={"income": 2.0, "owner": 0.5},
)
METRICS = ["cityblock", "euclidean", "sqeuclidean"]


@pytest.fixture(scope="module")
def task():
    """Target rows of three classes, and queries with gaps, unseen and forbidden values."""
    X, _ = mixed_population(250)
    queries, _ = mixed_population(60, seed=1)
    queries.loc[queries.index[:4], "job"] = "astronaut"
    space = SPACE.fit(X)
    labels = np.random.default_rng(0).integers(0, 3, len(X))
    own = np.random.default_rng(1).integers(0, 3, len(queries))
    targets = TargetRows(space.transform(X), labels, space)
    return targets, space, X, labels, queries, own


def brute_force(task, target, metric="cityblock"):
    """Cost of moving each query to each distinct row, infinite where it must not."""
    targets, space, X, labels, queries, own = task
    assert len(targets.Z) == len(X), "no duplicates in this data"
    cost = space.pairwise_cost(queries, X, metric=metric)
    wrong = (
        labels == own[:, None] if target == OTHER else np.broadcast_to(labels != target, cost.shape)
    )
    return np.where(wrong, np.inf, cost)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 5, 400])
@pytest.mark.parametrize("target", [0, 2, OTHER])
def test_nearest_rows_are_those_of_brute_force(task, target, k, metric):
    targets, space, _, labels, queries, own = task
    Z = space.transform(queries)
    index, cost = targets.nearest(Z, own, target, k=k, metric=metric)
    expected = brute_force(task, target, metric)
    assert index.shape == cost.shape == (len(queries), k)
    best = np.sort(expected, axis=1)[:, :k]
    assert_allclose(cost[:, : best.shape[1]], best)
    assert np.isinf(cost[:, best.shape[1] :]).all()
    assert_array_equal(index >= 0, np.isfinite(cost))
    of, rank = np.nonzero(index >= 0)
    assert_allclose(expected[of, index[of, rank]], cost[of, rank])
    pairs = np.column_stack([of, index[of, rank]])
    assert len(np.unique(pairs, axis=0)) == len(pairs), "a row came twice"
    if target == OTHER:
        assert (labels[index[of, rank]] != own[of]).all()
    else:
        assert (labels[index[of, rank]] == target).all()


def test_some_queries_have_no_allowed_row(task):
    targets, space, _, _, queries, own = task
    Z = space.transform(queries)
    expected = np.isfinite(brute_force(task, 1)).any(axis=1)
    assert_array_equal(targets.any_allowed(Z, own, 1), expected)
    assert 0 < expected.sum() < len(expected)


def test_rows_that_differ_in_an_immutable_feature_are_never_offered(task):
    targets, space, X, _, queries, own = task
    index, _ = targets.nearest(space.transform(queries), own, 1, k=9)
    of, rank = np.nonzero(index >= 0)
    before, after = queries.iloc[of], X.iloc[index[of, rank]]
    assert_array_equal(before["sex"], after["sex"])
    assert (after["age"].to_numpy() >= before["age"].to_numpy()).all()
    assert (after["hours"] <= 45).all()


@pytest.mark.parametrize("target", [1, OTHER])
def test_threads_and_blocks_change_nothing(task, target):
    targets, space, _, _, queries, own = task
    Z = space.transform(queries)
    index, cost = targets.nearest(Z, own, target, k=3)
    for n_jobs, memory in [(2, 1024), (1, 0.005), (2, 0.005)]:
        with config_context(working_memory=memory):
            index_again, cost_again = targets.nearest(Z, own, target, k=3, n_jobs=n_jobs)
        assert_array_equal(index_again, index)
        assert_array_equal(cost_again, cost)


def test_blocks_are_as_small_as_the_memory(task, monkeypatch):
    targets, space, _, _, queries, own = task
    sizes = []
    pairwise = targets.costs.pairwise

    def spy(reference, Z, *args, **kwargs):
        sizes.append(8 * len(reference) * len(Z))
        return pairwise(reference, Z, *args, **kwargs)

    monkeypatch.setattr(targets.costs, "pairwise", spy)
    with config_context(working_memory=0.005):
        targets.nearest(space.transform(queries), own, 1)
    assert len(sizes) > 2
    assert max(sizes) <= 0.005 * 2**20


@pytest.mark.parametrize("metric", METRICS)
def test_on_numbers_it_is_what_scikit_learn_finds(metric):
    rng = np.random.default_rng(0)
    X, queries = rng.normal(size=(300, 4)), rng.normal(size=(50, 4))
    space = FeatureSpace(scale="std").fit(X)
    labels = np.zeros(len(X), dtype=int)
    targets = TargetRows(X, labels, space)
    index, cost = targets.nearest(queries, np.ones(50, dtype=int), 0, k=4, metric=metric)
    peer = NearestNeighbors(n_neighbors=4, metric=metric).fit(X / space.scale_)
    expected_cost, expected = peer.kneighbors(queries / space.scale_)
    assert_array_equal(index, expected)
    assert_allclose(cost, expected_cost)


def test_equal_rows_are_kept_once_for_each_label():
    Z = np.array([[1.0, np.nan], [0.0, 2.0], [1.0, np.nan], [-0.0, 2.0], [1.0, np.nan], [5.0, 2.0]])
    space = FeatureSpace().fit(np.array([[0.0, 1.0], [1.0, 2.0]]))
    targets = TargetRows(Z, np.array([0, 1, 0, 1, 1, 0]), space)
    assert_array_equal(targets.Z, Z[[0, 1, 4, 5]])
    assert_array_equal(targets.labels, [0, 1, 1, 0])


@pytest.mark.parametrize("k", [2, 3, 5, 11])
def test_in_a_tie_the_first_rows_come(k):
    # many rows at the same cost: more neighbours must be a superset of fewer
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    X = np.random.default_rng(0).permutation(grid)
    space = FeatureSpace().fit(X)
    targets = TargetRows(X, np.zeros(len(X), dtype=int), space)
    own = np.ones(len(X), dtype=int)
    index, _ = targets.nearest(X, own, 0, k=k)
    full = space.pairwise_cost(X, X)
    assert_array_equal(index, np.argsort(full, axis=1, kind="stable")[:, :k])
    assert_array_equal(index[:, :1], targets.nearest(X, own, 0, k=1)[0])


def test_imposing_leaves_forbidden_changes_out_of_the_cost():
    X, _ = mixed_population(120, missing=False)
    bound = FeatureSpace(immutable_features=["sex", "owner"]).fit(X)
    free = FeatureSpace(feature_weights={"sex": 0, "owner": 0}).fit(X)
    labels = np.zeros(len(X), dtype=int)
    targets = TargetRows(bound.transform(X), labels, bound)
    index, cost = targets.nearest(bound.transform(X), labels + 1, 0, k=len(X), impose=True)
    expected = free.pairwise_cost(X, X)
    assert_allclose(cost, np.sort(expected, axis=1))
    assert_allclose(np.take_along_axis(expected, index, axis=1), cost)


def test_no_query_and_no_target_row_are_fine(task):
    targets, space, _, _, queries, own = task
    Z = space.transform(queries)
    index, cost = targets.nearest(Z[:0], own[:0], 1, k=2)
    assert index.shape == cost.shape == (0, 2)
    index, cost = targets.nearest(Z, own, 7, k=2)  # a class that no row has
    assert (index == -1).all()
    assert np.isinf(cost).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 4])
def test_tree_and_blocks_find_the_same(metric, k, monkeypatch):
    rng = np.random.default_rng(0)
    X, queries = rng.normal(size=(700, 4)), rng.normal(size=(50, 4))
    space = FeatureSpace(
        immutable_features=[3], permitted_range={0: (-1, 1)}, feature_weights={1: 2.0, 2: 0.0}
    )
    X[:, 3], queries[:, 3] = 0.0, 0.0
    X[:, 0] = np.clip(X[:, 0], -1, 1)
    space.fit(X)
    targets = TargetRows(X, np.zeros(len(X), dtype=int), space)
    own = np.ones(len(queries), dtype=int)
    searched = []
    search = TargetRows._search_tree
    monkeypatch.setattr(
        TargetRows, "_search_tree", lambda *args: searched.append(1) or search(*args)
    )
    index, cost = targets.nearest(queries, own, 0, k=k, metric=metric)
    assert searched
    monkeypatch.setattr("skcf._targets.TREE_FEATURES", 0)
    index_blocks, cost_blocks = targets.nearest(queries, own, 0, k=k, metric=metric)
    assert_array_equal(index, index_blocks)
    assert_allclose(cost, cost_blocks, rtol=1e-12)


@pytest.mark.parametrize(
    "constraint",
    [
        {"change_direction": {0: +1}},
        {"permitted_range": {0: (-0.5, 0.5)}},
        {"immutable_features": [0]},
        {"categorical_features": [2]},
    ],
    ids=lambda constraint: next(iter(constraint)),
)
def test_no_tree_where_constraints_or_categories_have_a_say(constraint):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(700, 2)), rng.integers(0, 3, 700)])
    queries = np.column_stack([rng.normal(size=(50, 2)), rng.integers(0, 3, 50)])
    queries[:, 0] = X[:50, 0]
    space = FeatureSpace(**constraint).fit(X)
    targets = TargetRows(space.transform(X), np.zeros(len(X), dtype=int), space)
    cost = space.pairwise_cost(queries, X)
    _, found = targets.nearest(space.transform(queries), np.ones(50, dtype=int), 0)
    assert_allclose(found[:, 0], cost.min(axis=1))


@pytest.mark.parametrize(
    "wanted, classes, code",
    [
        (None, ["a", "b"], 1),
        (None, ["a", "b", "c"], OTHER),
        ("other", ["a", "b"], OTHER),
        ("other", ["a", "other"], 1),
        ("a", ["a", "b"], 0),
        (2, [0, 2, 5], 1),
    ],
)
def test_codes_of_target_classes(wanted, classes, code):
    assert target_code(wanted, np.array(classes)) == code


@pytest.mark.parametrize("wanted", ["c", 1, ["a"]])
def test_target_classes_that_are_none(wanted):
    with pytest.raises(ValueError, match="is not a class of the classifier"):
        target_code(wanted, np.array(["a", "b"]))
