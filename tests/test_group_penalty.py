"""The penalty of translations, and its proximal operator, against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.isotonic import isotonic_regression

from skcf.group._pairs import pairs_of, pairwise
from skcf.group._penalty import PairwiseL1, TargetL1, pools, prox_of_differences
from skcf.group._sparsify import sparsified

numbers = st.floats(-5, 5, width=32).map(lambda x: round(x, 2))
columns = st.integers(2, 6).flatmap(lambda g: arrays(float, (g, 3), elements=numbers))
weights = st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0])


def brute_force(v, gamma, scale=None):
    """The proximal operator by a quadratic programme: u and bounds of the differences."""
    g = len(v)
    first, second = np.triu_indices(g, 1)
    n = len(first)

    def loss(x):
        return ((x[:g] - v) ** 2).sum() / 2 + gamma * x[g:].sum()

    def slope(x):
        return np.concatenate([x[:g] - v, np.full(n, gamma)])

    apart = np.zeros((n, g))
    apart[np.arange(n), first], apart[np.arange(n), second] = 1, -1
    rows = np.block([[apart, np.eye(n)], [-apart, np.eye(n)]])
    bounds = {"type": "ineq", "fun": lambda x: rows @ x, "jac": lambda x: rows}
    start = np.concatenate([v, np.abs(v[first] - v[second])])
    options = {"maxiter": 500, "ftol": 1e-14}
    return minimize(loss, start, jac=slope, constraints=[bounds], options=options).x[:g]


@settings(max_examples=25, deadline=None)
@given(V=columns, gamma=weights)
def test_prox_solves_the_quadratic_programme(V, gamma):
    U = prox_of_differences(V, gamma)
    for u, v in zip(U.T, V.T, strict=True):
        other = brute_force(v, gamma)

        def objective(x, v=v):
            differences = np.abs(x[:, None] - x).sum() / 2
            return ((x - v) ** 2).sum() / 2 + gamma * differences

        assert objective(u) <= objective(other) + 1e-9
        assert_allclose(u, other, atol=2e-3)


@settings(max_examples=100, deadline=None)
@given(V=columns, gamma=weights, seed=st.integers(0, 99))
def test_prox_satisfies_its_optimality_conditions(V, gamma, seed):
    """A proximal operator has these properties, and no other map has all of them."""
    U = prox_of_differences(V, gamma)
    assert_allclose(U.mean(axis=0), V.mean(axis=0), atol=1e-12)
    # v - u is a subgradient at u: <v - u, u> = gamma p(u), and <v - u, w> <= gamma p(w) for any w
    size = np.abs(pairwise(U)).sum(axis=(0, 1)) / 2
    assert_allclose(((V - U) * U).sum(axis=0), gamma * size, atol=1e-9)
    W = np.random.default_rng(seed).normal(size=(50, *V.shape))
    assert (((V - U) * W).sum(axis=1) <= gamma * PairwiseSum(W) + 1e-9).all()


def PairwiseSum(W):
    return np.abs(pairwise(W)).sum(axis=(1, 2)) / 2


@settings(max_examples=60, deadline=None)
@given(V=columns, gamma=weights)
def test_prox_is_isotonic_regression_of_shifted_values(V, gamma):
    g, U = len(V), prox_of_differences(V, gamma)
    for u, v in zip(U.T, V.T, strict=True):
        shifted = np.sort(v) - gamma * (2 * np.arange(1, g + 1) - g - 1)
        assert_allclose(np.sort(u), isotonic_regression(shifted), atol=1e-12)
        assert (np.diff(u[np.argsort(v, kind="stable")]) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(V=columns, gamma=weights)
def test_columns_that_pool_are_known_beforehand(V, gamma):
    U = prox_of_differences(V, gamma)
    known = pools(np.sort(V, axis=0), np.full(V.shape[1], gamma))
    assert (np.ptp(U[:, known], axis=0) == 0).all()
    assert (np.ptp(U[:, ~known], axis=0) > -1e-12).all()
    slack = 1e-9  # what does not pool stays apart by more than rounding, or is about to
    assert (np.ptp(prox_of_differences(V, gamma + slack)[:, known], axis=0) == 0).all()


def test_prox_by_hand():
    # two groups: each is drawn to the other by gamma, until they meet
    assert_allclose(prox_of_differences(np.array([[0.0], [3.0]]), 1.0), [[1.0], [2.0]])
    assert_array_equal(prox_of_differences(np.array([[0.0], [3.0]]), 1.5), [[1.5], [1.5]])
    # three: 0 and 1 meet at (0 + 2 + 1 + 0) / 2 = 1.5 for gamma 1, 9 goes to 7
    V = np.array([[9.0], [0.0], [1.0]])
    assert_array_equal(prox_of_differences(V, 1.0), [[7.0], [1.5], [1.5]])


def test_pooled_groups_are_equal_to_the_last_bit():
    rng = np.random.default_rng(0)
    V = rng.normal(size=(7, 18, 200)) * 1e3
    U = np.sort(prox_of_differences(V, 30.0), axis=1)
    gaps = np.diff(U, axis=1)
    assert (gaps == 0).any()
    assert (gaps[gaps != 0] > 1e-9).all()


def test_each_problem_and_feature_has_its_own_weight():
    rng = np.random.default_rng(0)
    V, gamma = rng.normal(size=(4, 5, 6)), rng.random((4, 6))
    U = prox_of_differences(V, gamma)
    for b in range(4):
        for f in range(6):
            alone = prox_of_differences(V[b, :, f, None], gamma[b, f])
            assert_array_equal(U[b, :, f, None], alone)


def test_prox_in_blocks_is_the_same(monkeypatch):
    V = np.random.default_rng(0).normal(size=(3, 5, 40))
    expected = prox_of_differences(V, 0.2)
    monkeypatch.setattr("skcf.group._penalty.BLOCK_ELEMENTS", 35)
    assert_array_equal(prox_of_differences(V, 0.2), expected)


@pytest.mark.parametrize("g", [2, 3, 6])
def test_penalty_is_the_mean_over_ordered_pairs(g):
    T = np.random.default_rng(g).normal(size=(4, g, 5))
    pairs = pairs_of(g)
    expected = np.abs(pairs.deltas(T)).sum(axis=-1).mean(axis=-1)
    assert_allclose(PairwiseL1(g).values(T), expected)
    target = TargetL1(g, 1)
    lead = pairs_of(g, target=1).deltas(target.feasible(T))
    assert_allclose(target.values(target.feasible(T)), np.abs(lead).sum(axis=-1).mean(axis=-1))


def test_prox_with_a_target_is_a_soft_threshold_with_signs():
    # penalty |t_0| + |t_1| over two other groups, weight 1/2; delta = -t
    penalty = TargetL1(3, 2, np.array([0, 1, -1]))
    T = np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 0.0]])
    expected = [[0.75, 0.0, 0.75], [-0.75, -0.75, 0.0], [0.0, 0.0, 0.0]]
    assert_allclose(penalty.prox(T, 0.5), expected)
    one = penalty.on([1]).prox(T[:, [1]], 0.5)
    assert_array_equal(one, penalty.prox(T, 0.5)[:, [1]])


def test_k_largest_changes_of_each_pair_or_of_all():
    T = np.array([[0.0, 0.0, 0.0], [1.0, 3.0, 2.0], [-4.0, 3.5, 0.0]])
    own, shared = sparsified(T, 1), sparsified(T, 1, "shared")
    assert_array_equal(own[0, 1], [0, 3, 0])
    assert_array_equal(own[1, 2], [-5, 0, 0])
    assert_array_equal(own, -np.swapaxes(own, 0, 1))
    # |changes| of all pairs: 1 + 4 + 5 = 10; 3 + 3.5 + 0.5 = 7; 2 + 0 + 2 = 4
    assert_array_equal(shared, pairwise(T * [1, 0, 0]))
    assert_array_equal(sparsified(T, None), pairwise(T))
    leading = sparsified(T, 1, "shared", pairs_of(3, target=1))
    # to the second group: 1 + 5, 3 + 0.5, 2 + 2
    assert_array_equal(leading, pairwise(T * [1, 0, 0]))


@pytest.mark.parametrize("k", [0, 4])
def test_number_of_features_must_be_there(k):
    with pytest.raises(ValueError, match="n_features_to_change must be from 1 to 3"):
        sparsified(np.zeros((2, 3)), k)


def test_support_must_be_known():
    with pytest.raises(ValueError, match="support must be one of"):
        sparsified(np.zeros((2, 3)), 1, "both")
