"""Translations between groups: what is minimised, and that each solver gets there."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso

from skcf import FeatureSpace
from skcf._representations import read_representation
from skcf.group._coordinate import least_penalty, solve_coordinate
from skcf.group._metric import GroupScore, Members, solve_metric
from skcf.group._metric_pairs import climb_each_pair
from skcf.group._pairs import pairwise
from skcf.group._problem import group_problem
from skcf.group._prox import minimise, solve_prox
from skcf.group._selection import select_supports
from skcf.group._sparsify import sparsified
from skcf.group._stochastic import published_weight, solve_stochastic
from skcf.metrics import group_correctness, group_coverage

ALPHAS = [0.0, 0.05, 0.3, 1.0]


def curved(Z):
    """A smooth map that is not affine."""
    return np.stack([np.sin(Z[:, 0]) + Z[:, 1], Z[:, 2] + 0.3 * Z[:, 1] ** 2], axis=1)


def blobs(n_groups=3, d=4, seed=0, n=15):
    """Rows around some centres, and their groups."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(n_groups), n + np.arange(n_groups))
    return rng.normal(size=(n_groups, d))[codes] + 0.3 * rng.normal(size=(len(codes), d)), codes


def problem_of(X, codes, representation=curved, **options):
    found, values = read_representation(representation, X, FeatureSpace().fit(X))
    return group_problem(X, codes, found, values, **options)


def score_of(problem, X, codes, eps):
    groups = range(problem.pairs.n_groups)
    members = Members(X, [np.flatnonzero(codes == code) for code in groups])
    reached = [problem.representation.values(rows) for rows in members]
    return GroupScore(problem.representation, members, reached, problem.pairs, eps)


def deltas_of(path):
    return pairwise(path.translations)


# --------------------------------------------------------------------------- what is minimised


@pytest.mark.parametrize("target", [None, 1])
def test_mean_datafit_is_equation_9(target):
    X, codes = blobs()
    problem = problem_of(X, codes, target=target)
    T = np.random.default_rng(1).normal(size=(3, 4))
    T -= T[1]
    terms = []
    for i in range(3):
        for j in range(3) if target is None else [target]:
            if i != j:
                delta = T[j] - T[i]
                reached = curved((X[codes == i].mean(axis=0) + delta)[None])[0]
                aim = curved(X[codes == j]).mean(axis=0)
                terms.append(((reached - aim) ** 2).sum() + 0.7 * np.abs(delta).sum())
    assert_allclose(problem.objective(T[None], 0.7), [np.mean(terms)])


def test_min_datafit_is_equation_5():
    X, codes = blobs()
    problem = problem_of(X, codes, loss="min")
    T = np.random.default_rng(1).normal(size=(3, 4))
    terms = []
    for i in range(3):
        for j in set(range(3)) - {i}:
            moved = curved(X[codes == i] + T[j] - T[i])
            there = curved(X[codes == j])
            square = ((moved[:, None] - there) ** 2).sum(axis=2)
            terms.append(square.min(axis=1).mean())
    assert_allclose(problem.datafit.values(T[None]), [np.mean(terms)])


@pytest.mark.parametrize("loss", ["mean", "min"])
@pytest.mark.parametrize("target", [None, 0])
@pytest.mark.parametrize("kind", ["curved", "affine"])
def test_gradients_are_differences(loss, target, kind):
    X, codes = blobs()
    representation = curved if kind == "curved" else PCA(2).fit(X)
    weights = 1.0 + np.arange(9).reshape(3, 3)
    problem = problem_of(X, codes, representation, loss=loss, target=target, weights=weights)
    T = np.random.default_rng(1).normal(size=(2, 3, 4))
    values, grad = problem.values_and_gradients(T)
    assert_allclose(values, problem.datafit.values(T))
    step, expected = 1e-6, np.zeros(T.shape)
    for i in range(3):
        for f in range(4):
            e = np.zeros(T.shape)
            e[:, i, f] = step
            both = problem.datafit.values(T + e) - problem.datafit.values(T - e)
            expected[:, i, f] = both / (2 * step)
    if target is not None:
        expected[:, target] = 0  # it is held
    assert_allclose(grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ["mean", "min"])
def test_problems_in_blocks_are_the_same(loss, monkeypatch):
    X, codes = blobs()
    problem = problem_of(X, codes, loss=loss)
    T = np.random.default_rng(1).normal(size=(5, 3, 4))
    expected = problem.values_and_gradients(T)
    monkeypatch.setattr("skcf.group._datafit.BLOCK_ELEMENTS", 60)
    for found, wanted in zip(problem.values_and_gradients(T), expected, strict=True):
        assert_allclose(found, wanted, rtol=1e-12)


def test_a_net_is_the_same_with_its_first_layer_taken_off():
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = torch.nn.Linear(6, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)
    inner = torch.nn.Sequential(*parts).double()
    other = type("Other", (torch.nn.Sequential,), {})
    X, codes = blobs(d=6)
    T = np.random.default_rng(1).normal(size=(2, 3, 6))
    for loss in ("mean", "min"):
        whole = problem_of(X, codes, other(inner), loss=loss)
        split = problem_of(X, codes, inner, loss=loss)
        assert whole.datafit.slope is None
        assert split.datafit.slope.shape == (6, 3)
        for a, b in zip(whole.values_and_gradients(T), split.values_and_gradients(T), strict=True):
            assert_allclose(a, b, rtol=1e-9)


def test_means_of_float32_are_taken_in_float64(monkeypatch):
    X, codes = blobs()
    expected = problem_of(X.astype(np.float32).astype(float), codes).means
    monkeypatch.setattr("skcf.group._problem.BLOCK_ELEMENTS", 12)
    assert_allclose(problem_of(X.astype(np.float32), codes).means, expected, rtol=1e-12)


def test_what_cannot_be_is_refused():
    X, codes = blobs()
    with pytest.raises(ValueError, match="loss must be one of"):
        problem_of(X, codes, loss="max")
    with pytest.raises(ValueError, match="target must be one of the 3 groups"):
        problem_of(X, codes, target=3)
    with pytest.raises(ValueError, match="at least two groups"):
        problem_of(X, np.zeros(len(X), dtype=int))
    with pytest.raises(ValueError, match="weights must be finite"):
        problem_of(X, codes, weights=np.zeros((3, 3)))


# ---------------------------------------------------------------------------------------- prox


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 999), g=st.integers(2, 4), alpha=st.sampled_from([0.0, 0.1, 0.5, 2.0]))
def test_objective_is_never_above_a_start(seed, g, alpha):
    X, codes = blobs(g, seed=seed)
    problem = problem_of(X, codes)
    starts = np.random.default_rng(seed).normal(size=(3, g, 4))
    path = solve_prox(problem, [alpha], starts=starts, max_iter=30)
    every = np.concatenate([problem.starts(), starts])
    assert path.objectives[0] <= problem.objective(every, alpha).min() + 1e-12
    assert_allclose(path.objectives, problem.objective(path.translations, alpha))
    alone = minimise(problem, every, alpha, max_iter=5)
    assert (alone.objective() <= problem.objective(every, alpha) + 1e-12).all()


def test_path_is_stationary_and_falls_with_alpha():
    X, codes = blobs(4)
    path = solve_prox(problem_of(X, codes), ALPHAS, max_iter=3000, tol=1e-6)
    assert (path.certificates < 1e-4).all()
    assert (np.diff(path.objectives) >= 0).all()
    # each alpha's objective at its own translations is no greater than at another's
    problem = problem_of(X, codes)
    for alpha, own in zip(ALPHAS, path.objectives, strict=True):
        assert own <= problem.objective(path.translations, alpha).min() + 1e-9
    lengths = problem.penalty.values(path.translations)
    assert (np.diff(lengths) <= 1e-9).all()


@pytest.mark.parametrize("options", [{}, {"target": 1, "signs": np.tile([0, 1, -1], 4)}])
def test_steps_of_the_features_in_use_lead_to_the_same(options, monkeypatch):
    X, codes = blobs(4, d=12)
    problem = problem_of(X, codes, PCA(3).fit(X), **options)
    whole = solve_prox(problem, ALPHAS, max_iter=5000, tol=1e-8)
    monkeypatch.setattr("skcf.group._prox.MANY_FEATURES", 2)
    widths, step = [], type(problem).on

    def watched(self, columns):
        widths.append(len(columns))
        return step(self, columns)

    monkeypatch.setattr(type(problem), "on", watched)
    for newton in (True, False):
        monkeypatch.setattr("skcf.group._prox.can_step", lambda problem, newton=newton: newton)
        narrow = solve_prox(problem, ALPHAS, max_iter=5000, tol=1e-8)
        assert (narrow.certificates[1:] < 1e-7).all()
        assert_allclose(narrow.objectives, whole.objectives, rtol=1e-7, atol=1e-9)
    assert min(widths) < 12


def test_a_great_alpha_moves_nothing_and_zeros_are_exact():
    X, codes = blobs(4)
    path = solve_prox(problem_of(X, codes), [0.1, 0.5, 1e3])
    deltas = deltas_of(path)
    assert (deltas[2] == 0).all()
    assert (deltas[1] == 0).mean() > (deltas[0] == 0).mean() > 4 / 16
    # the fourth feature does nothing to r: no translation takes it
    assert (deltas[:2, ..., 3] == 0).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999), order=st.permutations(range(4)))
def test_other_names_of_the_groups_change_nothing(seed, order):
    X, codes = blobs(4, seed=seed)
    order = np.array(order)
    named = solve_prox(problem_of(X, codes), [0.2], max_iter=3000, tol=1e-7)
    other = solve_prox(problem_of(X, order[codes]), [0.2], max_iter=3000, tol=1e-7)
    assert_allclose(other.objectives, named.objectives, rtol=1e-5)
    found = deltas_of(other)[0][np.ix_(order, order)]
    assert_allclose(found, deltas_of(named)[0], atol=5e-3)


def test_any_reference_gives_the_same_translations():
    X, codes = blobs(4)
    problem = problem_of(X, codes)
    T = solve_prox(problem, [0.2]).translations[0]
    for reference in range(4):
        moved = T - T[reference]
        assert_allclose(pairwise(moved), pairwise(T), atol=1e-15)
        assert_allclose(problem.objective(moved[None], 0.2), problem.objective(T[None], 0.2))


@pytest.mark.parametrize("solver", ["prox", "coordinate", "stochastic", "metric"])
def test_translations_are_symmetric_and_transitive(solver):
    X, codes = blobs(4)
    problem = problem_of(X, codes, PCA(2).fit(X))
    if solver == "stochastic":
        T = solve_stochastic(problem, 0.1, max_iter=50, min_iter=5, random_state=0).translations
    elif solver == "metric":
        score = score_of(problem, X, codes, 0.3)
        T = solve_metric(problem, score, problem.starts(), max_iter=5).translations
    else:
        solve = solve_prox if solver == "prox" else solve_coordinate
        T = solve(problem, [0.1]).translations[0]
    deltas = sparsified(T, 2, "shared")
    assert np.abs(deltas).max() > 0
    assert_array_equal(deltas, -np.swapaxes(deltas, 0, 1))
    for i, j, k in np.ndindex(4, 4, 4):
        assert_allclose(deltas[i, j] + deltas[j, k], deltas[i, k], atol=1e-14)


def test_columns_that_are_not_free_stay():
    X, codes = blobs()
    free = np.array([True, False, True, True])
    path = solve_prox(problem_of(X, codes, free=free), ALPHAS)
    assert (deltas_of(path)[..., 1] == 0).all()
    # without a target, a column with a direction cannot move either way
    path = solve_prox(problem_of(X, codes, signs=np.array([0, 1, -1, 0])), ALPHAS)
    assert (deltas_of(path)[..., [1, 2]] == 0).all()
    assert np.abs(deltas_of(path)[..., 0]).max() > 0


@pytest.mark.parametrize("solver", [solve_prox, solve_coordinate])
def test_signs_hold_on_the_way_to_a_target(solver):
    X, codes = blobs(4)
    signs = np.array([0, 1, -1, 0])
    for target in range(4):
        problem = problem_of(X, codes, PCA(2).fit(X), target=target, signs=signs)
        T = solver(problem, ALPHAS).translations
        deltas = problem.pairs.deltas(T)
        assert (deltas[..., 1] >= 0).all()
        assert (deltas[..., 2] <= 0).all()
        assert (T[:, target] == 0).all()
        assert np.abs(deltas).max() > 0


def test_with_a_target_each_group_is_a_problem_of_its_own():
    X, codes = blobs(4)
    representation = PCA(2).fit(X)
    whole = solve_coordinate(problem_of(X, codes, representation, target=3), [0.3])
    for i in range(3):
        weights = np.zeros((4, 4))
        weights[i, 3] = 1
        # the penalty is a mean over the three pairs, the datafit has the one
        problem = problem_of(X, codes, representation, target=3, weights=weights)
        alone = solve_coordinate(problem, [0.9])
        assert_allclose(alone.translations[0, i], whole.translations[0, i], atol=1e-8)


def test_a_problem_that_nothing_solves_stays_at_a_start():
    X, codes = blobs()
    path = solve_prox(problem_of(X, codes, lambda Z: np.ones((len(Z), 2))), [0.0, 1.0])
    assert_array_equal(path.objectives, [0, 0])
    frozen = solve_prox(problem_of(X, codes, free=np.zeros(4, dtype=bool)), [0.5])
    assert (frozen.translations == 0).all()


# ---------------------------------------------------------------------------------- coordinate


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), alpha=st.floats(0.02, 2.0), target=st.sampled_from([None, 0, 1]))
def test_two_groups_are_a_lasso(seed, alpha, target):
    X, codes = blobs(2, d=6, seed=seed)
    problem = problem_of(X, codes, PCA(3).fit(X), target=target)
    path = solve_coordinate(problem, [alpha])
    i, j = problem.pairs.source[0], problem.pairs.end[0]
    slope = problem.representation.slope.T
    aim = problem.targets[j] - problem.representation.values(problem.means[[i]])[0]
    # scikit-learn halves the square and divides it by the number of outputs
    lasso = Lasso(alpha / (2 * len(aim)), fit_intercept=False, tol=1e-14, max_iter=10**6)
    assert_allclose(deltas_of(path)[0, i, j], lasso.fit(slope, aim).coef_, atol=1e-6)


@pytest.mark.parametrize("target", [None, 2])
@pytest.mark.parametrize("g", [3, 5])
def test_coordinate_and_prox_agree(g, target):
    X, codes = blobs(g, d=5)
    problem = problem_of(X, codes, PCA(3).fit(X), target=target)
    exact = solve_coordinate(problem, ALPHAS[1:])
    path = solve_prox(problem, ALPHAS[1:], max_iter=5000, tol=1e-8)
    assert (exact.certificates < 1e-8).all()
    assert_allclose(path.objectives, exact.objectives, rtol=1e-7)
    assert (exact.objectives <= path.objectives + 1e-12).all()


def test_weights_of_pairs_count():
    X, codes = blobs(3, d=5)
    weights = np.array([[0, 5.0, 1.0], [1.0, 0, 0.1], [2.0, 1.0, 0]])
    problem = problem_of(X, codes, PCA(3).fit(X), weights=weights)
    exact = solve_coordinate(problem, [0.3])
    path = solve_prox(problem, [0.3], max_iter=5000, tol=1e-8)
    assert_allclose(path.objectives, exact.objectives, rtol=1e-7)
    even = solve_coordinate(problem_of(X, codes, PCA(3).fit(X)), [0.3])
    assert not np.allclose(even.translations, exact.translations)


def test_two_groups_without_penalty_are_a_linear_programme():
    X, codes = blobs(2, d=5)
    problem = problem_of(X, codes, PCA(2).fit(X))
    slope = problem.representation.slope
    aim = problem.targets[1] - problem.targets[0]
    by_hand = linprog(np.ones(10), A_eq=np.concatenate([slope, -slope]).T, b_eq=aim)
    T = least_penalty(problem)
    assert_allclose(problem.penalty.values(T), by_hand.fun, rtol=1e-9)
    assert_allclose((T[1] - T[0]) @ slope, aim, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"target": 1}, {"target": 1, "signs": [0, 1, -1, 0, 1]}])
def test_least_penalty_is_the_limit(options):
    X, codes = blobs(4, d=5)
    if "signs" in options:
        options = {**options, "signs": np.array(options["signs"])}
    problem = problem_of(X, codes, PCA(2).fit(X), **options)
    limit, near = solve_coordinate(problem, [0.0, 1e-4]).translations
    fits = problem.datafit.values(np.stack([limit, near]))
    lengths = problem.penalty.values(np.stack([limit, near]))
    assert fits[0] <= fits[1] + 1e-12
    assert lengths[0] >= lengths[1] - 1e-9
    assert_allclose(fits[1], fits[0], atol=1e-3)
    assert_allclose(lengths[1], lengths[0], rtol=1e-2)


def test_coordinate_is_for_affine_maps_and_means():
    X, codes = blobs()
    for problem in (problem_of(X, codes), problem_of(X, codes, PCA(2).fit(X), loss="min")):
        with pytest.raises(ValueError, match="affine representations, such as PCA"):
            solve_coordinate(problem, [0.1])


# ---------------------------------------------------------------------------------- stochastic


def test_one_step_of_the_published_algorithm():
    X, codes = blobs()
    problem = problem_of(X, codes)
    for seed in range(4):
        random = np.random.RandomState(seed)
        p = random.choice(6, p=np.full(6, 1 / 6))
        i, j = problem.pairs.source[p], problem.pairs.end[p]
        run = solve_stochastic(problem, 0.4, max_iter=2, min_iter=1, patience=9, random_state=seed)
        # at delta = 0 the subgradient of the penalty is 0
        value = problem.representation.values(problem.means[[i]]) - problem.targets[j]
        grad = problem.representation.pullback(problem.means[[i]], value)[0]
        grad = np.clip(grad, -5, 5)
        expected = np.zeros((3, 4))
        share = 1.0 if 0 in (i, j) else 0.5
        expected[j] -= 0.01 * share * grad * (j != 0)
        expected[i] += 0.01 * share * grad * (i != 0)
        if run.translations.any():  # the second value is below the first one
            assert_allclose(run.translations, expected, rtol=1e-9)
        assert (run.translations[0] == 0).all()


def test_published_weight_scales_the_whole_objective():
    X, codes = blobs()
    problem = problem_of(X, codes)
    T = np.random.default_rng(0).normal(size=(1, 3, 4))
    weight = published_weight(0.6, 4)
    deltas = problem.pairs.deltas(T)
    published = problem.datafit.values(T) / 2 + weight * np.abs(deltas).mean(axis=(1, 2))
    assert_allclose(2 * published, problem.objective(T, 0.6))


def test_a_run_is_reproduced_to_the_bit():
    X, codes = blobs()
    problem = problem_of(X, codes)
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    runs = [
        solve_stochastic(problem, 0.1, min_iter=50, patience=50, random_state=seed)
        for seed in (3, 3, 4)
    ]
    assert_array_equal(runs[0].translations, runs[1].translations)
    assert runs[0].average == runs[1].average
    assert not np.array_equal(runs[0].translations, runs[2].translations)
    assert np.random.random() == expected  # noqa: NPY002


def test_stochastic_goes_down_and_prox_lower():
    X, codes = blobs(4)
    problem = problem_of(X, codes)
    run = solve_stochastic(problem, 0.1, min_iter=500, patience=500, random_state=0)
    reached = problem.objective(run.translations[None], 0.1)[0]
    assert reached < 0.7 * problem.objective(np.zeros((1, 4, 4)), 0.1)[0]
    assert solve_prox(problem, [0.1]).objectives[0] <= reached


def test_stochastic_is_of_all_pairs():
    X, codes = blobs()
    with pytest.raises(ValueError, match="of all pairs of groups"):
        solve_stochastic(problem_of(X, codes, target=1), 0.1)


# --------------------------------------------------------------------- selection, and the metric


def test_selected_features_are_those_that_matter():
    X, codes = blobs(4, d=5)
    found = select_supports(problem_of(X, codes, lambda Z: Z[:, [1, 3]]), 2)
    sizes = (np.ptp(found, axis=1) > 0).sum(axis=1)
    assert set(sizes) == {1, 2}
    problem = problem_of(X, codes, lambda Z: Z[:, [1, 3]])
    best = found[problem.datafit.values(found).argmin()]
    assert_array_equal(np.flatnonzero(np.ptp(best, axis=0)), [1, 3])
    assert problem.datafit.values(best[None])[0] < 1e-6


@pytest.mark.parametrize("target", [None, 1])
def test_score_is_correctness_and_coverage(target):
    X, codes = blobs(3)
    problem = problem_of(X, codes, target=target)
    score = score_of(problem, X, codes, 0.3)
    T = 0.7 * problem.difference_between_means()
    options = {"eps": 0.3, "representation": curved, "average": None}
    at = problem.pairs.source, problem.pairs.end
    correct, covered = score.of_each(problem.pairs.deltas(T))
    assert_allclose(correct, group_correctness(X, codes, T, **options)[at])
    assert_allclose(covered, group_coverage(X, codes, T, **options)[at])
    total = np.mean(correct + covered)
    assert_allclose(score.total(problem.pairs.deltas(T)), total)
    assert_allclose(score.smoothed(problem.pairs.deltas(T)[None], 0.1)[1].sum(), total)


def test_correctness_may_weigh_more_than_coverage():
    X, codes = blobs(3)
    problem = problem_of(X, codes)
    score = score_of(problem, X, codes, 0.3)
    deltas = problem.pairs.deltas(0.7 * problem.difference_between_means())
    correct, covered = score.of_each(deltas).mean(axis=1)
    assert correct != covered
    weighted = GroupScore(
        score.representation, score.members, score.represented, score.pairs, 0.3, balance=0.8
    )
    assert_allclose(weighted.total(deltas), 1.6 * correct + 0.4 * covered)
    gradient, totals = weighted.smoothed(deltas[None], 0.1)
    assert_allclose(totals.sum(axis=1), [weighted.total(deltas)])
    ends = [
        GroupScore(score.representation, score.members, score.represented, score.pairs, 0.3, b)
        for b in (1.0, 0.0)
    ]
    alone = [end.smoothed(deltas[None], 0.1)[0] for end in ends]
    assert_allclose(gradient, 0.8 * alone[0] + 0.2 * alone[1], atol=1e-12)


@pytest.mark.parametrize("blocks", [False, True])
def test_gradient_of_the_smoothed_score(blocks, monkeypatch):
    if blocks:
        monkeypatch.setattr("skcf.group._metric.BLOCK_ELEMENTS", 1)
        monkeypatch.setattr("skcf.group._metric.BATCH_ELEMENTS", 1)
    X, codes = blobs(3)
    problem, width = problem_of(X, codes), 0.2
    score = score_of(problem, X, codes, 0.3)
    deltas = problem.pairs.deltas(problem.starts((0.8, 0.3)))

    def smoothed(deltas):
        """As it is defined, by loops."""
        total = 0.0
        for p, (i, j) in enumerate(zip(problem.pairs.source, problem.pairs.end, strict=True)):
            moved, there = curved(score.members[i] + deltas[p]), curved(score.members[j])
            D = np.sqrt(((moved[:, None] - there) ** 2).sum(axis=2))
            for axis in (0, 1):
                total += np.mean(1 / (1 + np.exp((D.min(axis=axis) - 0.3) / width))) / 6
        return total

    gradient, _ = score.smoothed(deltas, width)
    for s, p, f in np.ndindex(2, 6, 4):
        e = np.zeros((6, 4))
        e[p, f] = 1e-6
        slope = (smoothed(deltas[s] + e) - smoothed(deltas[s] - e)) / 2e-6
        assert_allclose(gradient[s, p, f], slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("support", ["pair", "shared"])
@pytest.mark.parametrize("target", [None, 1])
def test_what_is_reported_does_not_fall(support, target):
    X, codes = blobs(4, d=5)
    problem = problem_of(X, codes, target=target)
    score = score_of(problem, X, codes, 0.2)
    starts = solve_prox(problem, ALPHAS).translations
    run = solve_metric(problem, score, starts, 2, support=support, max_iter=40)
    at = problem.pairs.source, problem.pairs.end
    every = np.concatenate([starts, problem.difference_between_means()[None]])
    truncated = sparsified(every, 2, support, problem.pairs)
    totals = [score.total(deltas[at]) for deltas in truncated]
    own = sparsified(run.translations, 2, support, problem.pairs)[at]
    assert run.total > max(totals)
    assert_allclose(score.total(own), run.total)
    used = own.any(axis=0) if support == "shared" else own.astype(bool)
    assert (used.sum(axis=-1) <= 2).all()


@pytest.mark.parametrize("target", [None, 1])
def test_each_two_groups_climb_by_themselves(target):
    """No pair falls, and features, signs and reach are kept."""
    X, codes = blobs(4, d=5)
    signs = np.array([0, 1, 0, -1, 0]) if target is not None else None
    problem = problem_of(X, codes, target=target, signs=signs)
    score, at = score_of(problem, X, codes, 0.2), (problem.pairs.source, problem.pairs.end)
    means = problem.penalty.feasible(problem.difference_between_means())
    several = np.array([1.0, 0.7, 0.4])[:, None, None] * means
    candidates, reach = sparsified(several, 2), np.full(5, 1.5)
    found = climb_each_pair(problem, score, candidates, reach, max_iter=40)
    before = [score.of_each(np.clip(c, -reach, reach)[at]).sum(axis=0) for c in candidates]
    after = score.of_each(found[at]).sum(axis=0)
    way = {pair: n for n, pair in enumerate(zip(*at, strict=True))}
    both = [[way[pair] for pair in ((i, j), (j, i)) if pair in way] for i, j in way]
    gains = [after[ways].sum() - max(b[ways].sum() for b in before) for ways in both]
    assert min(gains) >= -1e-12
    assert max(gains) > 0.05
    assert np.abs(found).max() <= 1.5
    assert ((found[at] != 0).sum(axis=1) <= 2).all()
    assert_array_equal(found, -np.swapaxes(found, 0, 1))
    if signs is not None:
        assert (found[:, target] * signs >= 0).all()


def test_large_groups_are_climbed_on_a_sample(monkeypatch):
    monkeypatch.setattr("skcf.group._metric.MOST_ROWS", 8)
    X, codes = blobs(3)
    problem = problem_of(X, codes)
    score = score_of(problem, X, codes, 0.2)
    few = score.sampled(8, 0)
    assert [len(rows) for rows in few.members] == [8, 8, 8]
    for own, reached in zip(few.members, few.represented, strict=True):
        assert_allclose(curved(own), reached)
    runs = [
        solve_metric(problem, score, problem.starts(), 2, max_iter=20, random_state=0)
        for _ in range(2)
    ]
    assert_array_equal(runs[0].translations, runs[1].translations)
    deltas = sparsified(runs[0].translations, 2)[problem.pairs.source, problem.pairs.end]
    assert_allclose(runs[0].total, score.total(deltas))  # over all rows


def test_metric_keeps_what_may_not_change():
    X, codes = blobs(3)
    problem = problem_of(X, codes, free=np.array([True, True, False, True]))
    score = score_of(problem, X, codes, 0.2)
    run = solve_metric(problem, score, problem.starts(), 2, max_iter=20)
    assert (pairwise(run.translations)[..., 2] == 0).all()


# ------------------------------------------------------------------------------- published data


@pytest.fixture(scope="module")
def iris():
    """Rows, groups, published encoder and radius."""
    torch = pytest.importorskip("torch")
    path = Path(os.environ.get("SKCF_DATA", "")) / "tgt_iris.npz"
    if not path.exists():
        pytest.skip("SKCF_DATA names no folder with tgt_iris.npz")
    data = np.load(path)
    layers = []
    for i in range(4):
        layer = torch.nn.Linear(*data[f"enc_W{i}"].shape)
        layer.weight.data = torch.tensor(data[f"enc_W{i}"].T)
        layer.bias.data = torch.tensor(data[f"enc_b{i}"])
        layers += [layer, torch.nn.ELU()]
    keep = data["labels"] >= 0
    net = torch.nn.Sequential(*layers[:-1])
    return data["X"][keep], data["labels"][keep].astype(int), net, float(data["eps"])


def test_prox_is_no_worse_than_several_published_runs(iris):
    X, codes, net, _ = iris
    problem = problem_of(X, codes, net)
    alphas = 2 * np.array([0.5, 2.5]) / 4
    path = solve_prox(problem, alphas)
    for alpha, own in zip(alphas, path.objectives, strict=True):
        runs = [
            solve_stochastic(problem, alpha, max_iter=600, min_iter=300, random_state=seed)
            for seed in range(2)
        ]
        T = np.stack([run.translations for run in runs])
        assert own <= problem.objective(T, alpha).min() + 1e-6


def test_published_table_is_passed_on_iris(iris):
    X, codes, net, eps = iris
    problem = problem_of(X, codes, net)
    score = score_of(problem, X, codes, eps)
    starts = np.concatenate(
        [solve_prox(problem, [0.1, 0.5]).translations, select_supports(problem, 2)]
    )
    run = solve_metric(problem, score, starts, 2, support="shared", max_iter=60)
    deltas = sparsified(run.translations, 2, "shared")
    options = {"eps": eps, "representation": problem.representation.values}
    options["diagonal"] = "leave_one_out"
    assert group_correctness(X, codes, deltas, **options) > 0.856
    assert group_coverage(X, codes, deltas, **options) > 0.722
