"""Translations of few features, made the best that these features allow."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA

from skcf import FeatureSpace, TGTExplainer
from skcf._representations import read_representation
from skcf.group._pairs import pairwise
from skcf.group._problem import group_problem
from skcf.group._refit import _damped, refit_each_pair, refit_together
from skcf.group._sparsify import sparsified

WIDE = np.full(4, 1e4)


def curved(X):
    return np.column_stack([np.tanh(X[:, 0] / 5) + X[:, 1] ** 2 / 9, X[:, 2] / 3 + X[:, 3]])


def problem_of(given, **options):
    X, y = load_iris(return_X_y=True)
    found, values = read_representation(given or PCA(2).fit(X), X, FeatureSpace().fit(X))
    return group_problem(X, y, found, values, **options)


def datafits(problem, deltas):
    """Least squares of each two groups, there and back, by a loop."""
    g, r = len(problem.means), problem.representation.values
    missed = [
        np.sum((r(problem.means[i : i + 1] + deltas[i, j]) - problem.targets[j]) ** 2)
        for i in range(g)
        for j in range(g)
        if i != j and problem.pairs.target in (None, j)
    ]
    return np.array(missed)


@pytest.mark.parametrize("k", [1, 2])
def test_each_pair_of_an_affine_map_has_its_least_squares(k):
    problem = problem_of(None)
    deltas = sparsified(problem.starts(), k)
    found = refit_each_pair(problem, deltas, WIDE)
    slope = problem.representation.slope
    for i in range(3):
        for j in range(3):
            kept = deltas[1, i, j] != 0
            best = np.linalg.lstsq(
                slope[kept].T, problem.targets[j] - problem.targets[i], rcond=None
            )[0]
            missed = [
                np.linalg.norm(delta @ slope[kept] - problem.targets[j] + problem.targets[i])
                for delta in (found[1, i, j, kept], best)
            ]
            assert_allclose(missed[0], missed[1], atol=1e-3)
            assert not found[1, i, j, ~kept].any()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_refits_are_no_worse_than_what_was_kept(k):
    problem = problem_of(curved)
    T = problem.starts()
    for support, asked in (
        ("pair", lambda kept: refit_each_pair(problem, kept, WIDE)),
        ("shared", lambda kept: refit_together(problem, T, kept, WIDE)),
    ):
        kept = sparsified(T, k, support)
        found = asked(kept)
        assert_allclose(found, -np.swapaxes(found, 1, 2), atol=1e-12)
        assert np.all(np.count_nonzero(found[1], axis=2) <= k)
        assert datafits(problem, found[1]).sum() <= datafits(problem, kept[1]).sum() + 1e-9
        if support == "shared":
            assert_allclose(found[1], pairwise(found[1, 0]), atol=1e-9)  # transitive


def test_pairs_do_not_depend_on_one_another():
    problem = problem_of(curved)
    T = problem.starts()
    kept = sparsified(T, 2)
    together = refit_each_pair(problem, kept, WIDE)
    for n in range(len(T)):
        assert_allclose(refit_each_pair(problem, kept[n : n + 1], WIDE)[0], together[n], atol=1e-9)


def test_one_target_keeps_directions_and_reach():
    signs = np.array([1, -1, 1, 1])
    reach = np.array([0.5, 0.5, 2.0, 0.2])
    problem = problem_of(curved, target=2, signs=signs)
    T = problem.starts()
    for found in (
        refit_each_pair(problem, sparsified(T, 2), reach),
        refit_together(problem, T, sparsified(T, 2, "shared"), reach),
    ):
        sought = found[:, :2, 2]
        assert np.all(sought * signs >= -1e-12)
        assert np.all(np.abs(sought) <= reach + 1e-12)
        assert sought.any()
        assert not found[:, 2, 2].any()


@pytest.mark.parametrize("support", ["pair", "shared"])
def test_the_explainer_takes_a_refit_where_it_is_more_correct(support):
    X, y = load_iris(return_X_y=True)
    options = {"n_features_to_change": 2, "support": support}
    totals = []
    for refit in (False, True):
        explainer = TGTExplainer(curved, refit=refit, **options).fit(X, y)
        totals.append(np.nanmean(explainer.correctness_))
        deltas = np.array([[explainer.translation(a, b) for b in range(3)] for a in range(3)])
        assert np.all(np.count_nonzero(deltas, axis=2) <= 2)
    assert totals[1] >= totals[0]
    again = TGTExplainer(curved, **options).fit(X, y)
    assert_array_equal(again.translation(0, 2), explainer.translation(0, 2))


def test_residuals_that_follow_from_one_another_have_the_shortest_step():
    """Two equal ones are one; none that changes with the translation leaves it as it is."""
    twice = np.array([[[1.0, 2.0], [1.0, 2.0]]])
    step = _damped(twice, np.ones((1, 2)), np.zeros(1))
    assert_allclose(step, [[-0.2, -0.4]], rtol=1e-6)
    assert_array_equal(_damped(0 * twice, np.ones((1, 2)), np.zeros(1)), [[0.0, 0.0]])
