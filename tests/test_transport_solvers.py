"""Projected gradient and Sinkhorn: bounds that close, other solvers, limits, odd shapes."""

import warnings
from dataclasses import replace
from itertools import product

import numpy as np
import ot
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from ot.optim import semirelaxed_cg
from ot.unbalanced import lbfgsb_unbalanced, mm_unbalanced, sinkhorn_unbalanced
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from skcf.transport import _gradient, _sinkhorn
from skcf.transport._costs import MatrixCost, PointCost
from skcf.transport._divergences import SOURCES, TARGETS
from skcf.transport._gradient import dense_costs, solve_projected_gradient
from skcf.transport._problem import TransportProblem
from skcf.transport._sinkhorn import solve_sinkhorn
from skcf.transport._solution import magnitude

SOLVERS = {"projected_gradient": solve_projected_gradient, "sinkhorn": solve_sinkhorn}
PAIRS = list(product(SOURCES, TARGETS))

every_pair = pytest.mark.parametrize("source, target", PAIRS)
every_solver = pytest.mark.parametrize("solve", SOLVERS.values(), ids=SOLVERS)


def clouds(m, n, seed=0, d=2):
    """Two clouds of points, one beside the other."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(0.7, 1.0, size=(n, d))


def problem(source="hard", target="chi2", *, penalties=(0.3, 0.3), shape=(40, 30), seed=0, **kind):
    """A problem whose costs are 1 on average.

    Its masses are ``even`` or not, and a part of its pairs is ``forbidden``.
    """
    m, n = shape
    C = cdist(*clouds(m, n, seed), "sqeuclidean")
    C /= C.mean()
    rng = np.random.default_rng(seed + 1)
    a, b = rng.uniform(0.1, 2.0, m), rng.uniform(0.1, 2.0, n)
    if kind.get("even"):
        a, b = np.ones(m), np.ones(n)
    if kind.get("forbidden"):
        banned = rng.random((m, n)) < 0.6
        banned[np.arange(m), rng.integers(n, size=m)] = False
        C[banned] = np.inf
    divergences = SOURCES[source](penalties[0]), TARGETS[target](penalties[1])
    return TransportProblem(MatrixCost(C), a / a.sum(), b / b.sum(), *divergences)


def paid(problem, P):
    """The objective of a dense plan."""
    moved = float(np.sum(P[P > 0] * problem.cost.matrix[P > 0]))
    return problem.primal(moved, P.sum(axis=1), P.sum(axis=0))


def assert_certified(problem, solution, tol):
    """Plan and prices are what they should be, and so are the bounds that they give."""
    C, P = problem.cost.matrix, solution.plan.toarray()
    assert (P >= 0).all()
    assert_array_equal(P[np.isinf(C)], 0)
    if problem.source.name == "hard":
        assert_allclose(P.sum(axis=1), problem.a, rtol=1e-12)
    scale = magnitude(solution.primal)
    least = (C + solution.prices).min(axis=1)
    assert_allclose(solution.source_prices, least, atol=1e-12 * max(1, abs(least).max()))
    assert solution.primal == pytest.approx(paid(problem, P), abs=1e-10 * scale)
    assert solution.dual == pytest.approx(problem.dual(least, solution.prices), abs=1e-10 * scale)
    assert solution.dual <= solution.primal + 1e-12 * scale
    assert solution.gap <= tol


# ---- the gap closes ------------------------------------------------------------------------------


@every_solver
@every_pair
@pytest.mark.parametrize("penalty", [0.1, 1.0])
@pytest.mark.parametrize("even", [True, False])
def test_gap_closes_and_is_certified(source, target, penalty, even, solve):
    task = problem(source, target, penalties=(penalty, penalty), even=even, seed=3)
    assert_certified(task, solve(task, tol=1e-4, max_iter=5000), 1e-4)


@every_solver
@every_pair
@pytest.mark.parametrize("penalties", [(0.02, 1.0), (1.0, 0.02), (1e-3, 1e-3), (30.0, 3.0)])
def test_gap_closes_for_unlike_penalties(source, target, penalties, solve):
    task = problem(source, target, penalties=penalties, shape=(15, 20))
    assert_certified(task, solve(task, tol=1e-3, max_iter=5000), 1e-3)


@every_solver
@every_pair
@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (4, 150), (150, 4)])
@pytest.mark.parametrize("forbidden", [False, True])
def test_gap_closes_for_odd_shapes(source, target, shape, forbidden, solve):
    task = problem(source, target, shape=shape, forbidden=forbidden)
    assert_certified(task, solve(task, tol=1e-4, max_iter=5000), 1e-4)


@every_solver
@every_pair
def test_a_target_that_nobody_may_use_stays_empty(source, target, solve):
    task = problem(source, target)
    C = task.cost.matrix.copy()
    C[:, 7] = np.inf
    task = replace(task, cost=MatrixCost(C))
    solution = solve(task, tol=1e-4, max_iter=5000)
    assert_certified(task, solution, 1e-4)
    assert solution.plan.sum(axis=0)[7] == 0


@every_solver
@pytest.mark.parametrize("target", TARGETS)
def test_very_uneven_masses(target, solve):
    task = problem("hard", target)
    b = np.where(np.arange(len(task.b)) % 3, task.b, 1e-6 * task.b)
    task = replace(task, b=b / b.sum())
    assert_certified(task, solve(task, tol=1e-4, max_iter=5000), 1e-4)


@every_solver
@every_pair
def test_total_masses_may_differ(source, target, solve):
    task = problem(source, target)
    task = replace(task, a=2.0 * task.a, b=0.6 * task.b)
    assert_certified(task, solve(task, tol=1e-4, max_iter=5000), 1e-4)


@every_solver
@every_pair
def test_costs_without_differences(source, target, solve):
    """Any target is as good: everything is a tie."""
    task = replace(problem(source, target), cost=MatrixCost(np.ones((40, 30))))
    solution = solve(task, tol=1e-6, max_iter=2000)
    assert_certified(task, solution, 1e-6)
    q = solution.plan.sum(axis=0)
    assert_allclose(q / q.sum(), task.b, rtol=0.05)


@every_solver
@every_pair
def test_bounds_hold_however_early_it_stops(source, target, solve):
    task = problem(source, target, penalties=(1.0, 1.0))
    best = solve(task, tol=1e-5, max_iter=20_000)
    for max_iter in (1, 3, 10, 30):
        early = solve(task, tol=1e-9, max_iter=max_iter)
        assert_certified(task, early, np.inf)
        assert early.dual <= best.primal
        assert early.primal >= best.dual


# ---- the two of them, and the kind of cost -------------------------------------------------------


@every_pair
def test_both_solvers_agree(source, target):
    """As far as their gaps let them differ: the dual is strongly concave in the prices."""
    task = problem(source, target)
    one, other = (solve(task, tol=1e-5, max_iter=20_000) for solve in SOLVERS.values())
    assert one.dual <= other.primal
    assert other.dual <= one.primal
    g, q = one.prices, other.plan.sum(axis=0)
    # by Fenchel and Young, what prices of one and masses of the other miss is part of the gap
    missed = task.target.value(q, task.b) + np.sum(task.target.conjugate(g, task.b)) - q @ g
    assert -1e-12 <= missed <= other.primal - one.dual + 1e-12
    if target == "chi2":
        apart = np.sum(task.b * (one.prices - other.prices) ** 2) / (4 * task.target.penalty)
        assert apart <= 4 * max(s.primal - s.dual for s in (one, other))
    costs = [float((s.plan * task.cost.matrix).sum()) for s in (one, other)]
    assert costs[0] == pytest.approx(costs[1], rel=5e-3)


@every_solver
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cityblock"])
def test_points_and_their_matrix_agree(metric, solve):
    X, Y = clouds(40, 30)
    cost = PointCost(X, Y, metric=metric)
    cost = cost.times(1 / dense_costs(cost).mean())
    task = replace(problem(), cost=cost)
    matrix = cdist(X, Y, metric)
    same = replace(task, cost=MatrixCost(matrix / matrix.mean()))
    one, other = (solve(t, tol=1e-5, max_iter=5000) for t in (task, same))
    assert_certified(same, one, 1e-5)
    assert_allclose(one.prices, other.prices, atol=0.01)
    assert one.primal == pytest.approx(other.primal, rel=1e-5)


@pytest.mark.parametrize("block", [1, 37, 10**6])
def test_dense_costs_do_not_depend_on_the_blocks(block, monkeypatch):
    monkeypatch.setattr(_gradient, "BLOCK_PAIRS", block)
    X, Y = clouds(11, 7)
    assert_allclose(dense_costs(PointCost(X, Y)), cdist(X, Y, "sqeuclidean"), rtol=1e-14)


@every_solver
@every_pair
def test_good_prices_save_passes(source, target, solve):
    task = problem(source, target, penalties=(1.0, 1.0))
    cold = solve(task, tol=1e-4, max_iter=5000)
    warm = solve(task, tol=1e-4, max_iter=5000, prices=cold.prices)
    assert_certified(task, warm, 1e-4)
    assert warm.n_iter < cold.n_iter


@every_solver
def test_useless_prices_do_no_harm(solve):
    task = problem("kl", "kl", penalties=(0.1, 1.0))
    for prices in (np.full(30, 50.0), np.full(30, -50.0), np.linspace(-20, 20, 30)):
        assert_certified(task, solve(task, tol=1e-3, max_iter=5000, prices=prices), 1e-3)


@every_solver
def test_progress_is_shown_on_standard_error(solve, capsys):
    solve(problem(), tol=1e-3, max_iter=500, verbose=1)
    assert capsys.readouterr().err
    solve(problem(), tol=1e-3, max_iter=500)
    assert not capsys.readouterr().err


# ---- other people's solvers ----------------------------------------------------------------------


def optimum_by_sqp(task):
    """The dual by sequential quadratic programming: s and g such that s_i <= C_ij + g_j."""
    (m, n), C = task.shape, task.cost.matrix

    def loss(z):
        return -task.dual(z[:m], z[m:])

    def slope(z):
        return np.r_[-task.source.mass(z[:m], task.a), task.target.mass(z[m:], task.b)]

    rooms = np.hstack([-np.kron(np.eye(m), np.ones((n, 1))), np.tile(np.eye(n), (m, 1))])
    room = {"type": "ineq", "fun": lambda z: C.ravel() + rooms @ z, "jac": lambda z: rooms}
    found = minimize(
        loss,
        np.r_[C.min(axis=1), np.zeros(n)],
        jac=slope,
        constraints=[room],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assert found.success
    return -found.fun


def plan_by_sqp(task):
    """The primal as a quadratic programme in the plan."""
    (m, n), C = task.shape, task.cost.matrix
    l1, l2 = task.source.penalty, task.target.penalty

    def loss(x):
        return paid(task, np.maximum(x.reshape(m, n), 0))

    def slope(x):
        p, q = x.reshape(m, n).sum(axis=1), x.reshape(m, n).sum(axis=0)
        u = np.zeros(m) if hard else 2 * l1 * (p / task.a - 1)
        return (C + u[:, None] + 2 * l2 * (q / task.b - 1)).ravel()

    hard = task.source.name == "hard"
    rows = np.kron(np.eye(m), np.ones(n))
    served = {"type": "eq", "fun": lambda x: rows @ x - task.a, "jac": lambda x: rows}
    found = minimize(
        loss,
        np.outer(task.a, task.b).ravel(),
        jac=slope,
        bounds=[(0, None)] * (m * n),
        constraints=[served] if hard else [],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 2000},
    )
    assert found.success
    return found.x.reshape(m, n)


@every_solver
@every_pair
@pytest.mark.parametrize("penalties", [(0.1, 0.1), (1.0, 0.4)])
def test_optimum_is_that_of_a_nonlinear_programme(source, target, penalties, solve):
    task = problem(source, target, penalties=penalties, shape=(6, 5))
    expected = optimum_by_sqp(task)
    solution = solve(task, tol=1e-6, max_iter=10_000)
    assert_certified(task, solution, 1e-6)
    assert solution.dual <= expected * (1 + 1e-7)
    assert solution.primal >= expected * (1 - 1e-7)


@every_solver
@pytest.mark.parametrize("source", ["hard", "chi2"])
def test_plan_is_that_of_a_quadratic_programme(source, solve):
    task = problem(source, "chi2", shape=(6, 5))
    expected = plan_by_sqp(task)
    solution = solve(task, tol=1e-7, max_iter=10_000)
    assert solution.primal == pytest.approx(paid(task, expected), rel=1e-6)
    assert_allclose(solution.plan.toarray(), expected, atol=1e-3)


@every_solver
@pytest.mark.parametrize("penalties", [(0.2, 0.5), (1.0, 0.1)])
@pytest.mark.parametrize("name, div", [("kl", "kl"), ("chi2", "l2")])
def test_pot_without_entropy_agrees(name, div, penalties, solve):
    """POT's l2 divergence is half the squared distance: chi2, where all masses are equal."""
    m, n = shape = 12, 15
    task = problem(name, name, penalties=penalties, shape=shape, even=True)
    factors = (2 * m, 2 * n) if div == "l2" else (1, 1)
    weights = tuple(np.multiply(penalties, factors))
    C = task.cost.matrix
    P = mm_unbalanced(task.a, task.b, C, weights, div=div, numItermax=20_000, stopThr=1e-11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of scipy, for POT
        Q = lbfgsb_unbalanced(
            task.a, task.b, C, 0, weights, regm_div=div, numItermax=5000, stopThr=1e-14
        )
    solution = solve(task, tol=1e-6, max_iter=20_000)
    for rival in (P, Q):
        assert solution.dual <= paid(task, rival) * (1 + 1e-9)
        assert solution.primal == pytest.approx(paid(task, rival), rel=2e-6)


@every_solver
def test_pot_s_conditional_gradient_agrees(solve):
    task = problem("hard", "chi2", penalties=(1.0, 0.5), shape=(15, 12), even=True)
    P = semirelaxed_cg(
        task.a,
        task.b,
        task.cost.matrix,
        0.5,
        lambda P: np.sum((P.sum(axis=0) - task.b) ** 2 / task.b),
        lambda P: np.tile(2 * (P.sum(axis=0) - task.b) / task.b, (15, 1)),
        numItermax=3000,
        stopThr=1e-10,
        stopThr2=1e-12,
    )
    solution = solve(task, tol=1e-5, max_iter=5000)
    assert solution.dual <= paid(task, P)
    assert solution.primal == pytest.approx(paid(task, P), rel=1e-3)


@pytest.mark.parametrize("method", ["sinkhorn", "sinkhorn_stabilized"])
@pytest.mark.parametrize("source", ["hard", "kl"])
@pytest.mark.parametrize("reg", [0.05, 0.5])
def test_pot_with_entropy_agrees(source, reg, method):
    """Its reference measure is a b' too, and its divergences have their mass terms."""
    task = problem(source, "kl", penalties=(0.3, 0.5), shape=(25, 20))
    if source == "kl":
        task = replace(task, a=1.3 * task.a, b=0.7 * task.b)
    P = sinkhorn_unbalanced(
        task.a,
        task.b,
        task.cost.matrix,
        reg,
        (np.inf if source == "hard" else 0.3, 0.5),
        method=method,
        reg_type="kl",
        numItermax=100_000,
        stopThr=1e-12,
    )
    solution = solve_sinkhorn(task, tol=1e-10, max_iter=5000, reg=reg)
    assert_allclose(solution.plan.toarray(), P, rtol=1e-4, atol=1e-12)


# ---- limits --------------------------------------------------------------------------------------


@every_solver
def test_a_large_penalty_is_balanced_transport(solve):
    """How near, the potentials of balanced transport tell."""
    penalty = 30.0
    task = problem("hard", "chi2", penalties=(1.0, penalty), shape=(20, 25))
    P, log = ot.emd(task.a, task.b, task.cost.matrix, log=True)
    balanced = float(np.sum(P * task.cost.matrix))
    g = -(log["v"] - task.b @ log["v"])
    solution = solve(task, tol=1e-3, max_iter=5000)
    assert solution.gap <= 1e-3
    assert solution.dual <= balanced
    assert solution.primal >= balanced - task.b @ g**2 / (4 * penalty)
    assert solution.primal == pytest.approx(balanced, rel=0.02)


@every_solver
@pytest.mark.parametrize("target", TARGETS)
def test_a_small_penalty_sends_everybody_to_the_nearest(target, solve):
    task = problem("hard", target, penalties=(1.0, 1e-5))
    solution = solve(task, tol=1e-4, max_iter=5000)
    assert solution.gap <= 1e-4
    nearest = task.a @ task.cost.matrix.min(axis=1)
    moved = float((solution.plan * task.cost.matrix).sum())
    assert moved == pytest.approx(nearest, rel=1e-3)


@every_solver
@pytest.mark.parametrize("source, target", [("kl", "chi2"), ("chi2", "kl"), ("kl", "kl")])
def test_a_large_source_penalty_is_a_hard_source(source, target, solve):
    soft = solve(problem(source, target, penalties=(50.0, 0.3)), tol=1e-3, max_iter=5000)
    hard = solve(problem("hard", target), tol=1e-4, max_iter=5000)
    assert soft.primal == pytest.approx(hard.primal, rel=0.02)
    assert soft.dual <= hard.primal


@every_solver
@pytest.mark.parametrize("source", ["kl", "chi2"])
def test_a_small_source_penalty_leaves_everybody_out(source, solve):
    task = problem(source, "chi2", penalties=(1e-3, 1e-3))
    solution = solve(task, tol=1e-4, max_iter=5000)
    assert solution.plan.sum() < 0.2
    assert solution.primal <= 2e-3


# ---- Sinkhorn's own ------------------------------------------------------------------------------


def entropic_bounds(task, solution, reg):
    """Both values of the problem with an entropy, densely, at a solution."""
    C, P = task.cost.matrix, solution.plan.toarray()
    product = np.outer(task.a, task.b)
    logs = np.log(np.divide(P, product, out=np.ones_like(P), where=P > 0))
    primal = paid(task, P) + reg * np.sum(P * logs - P + product)
    s = -reg * logsumexp(-(C + solution.prices) / reg, b=task.b, axis=1)
    f = task.source.soften(s, reg)
    moved = product * np.exp((f[:, None] - C - solution.prices) / reg)
    dual = task.source.dual(f, task.a).sum()
    dual -= task.target.conjugate(solution.prices, task.b).sum() + reg * np.sum(moved - product)
    return primal, dual


@every_pair
@pytest.mark.parametrize("reg", [0.01, 0.1, 2.0])
@pytest.mark.parametrize("forbidden", [False, True])
def test_entropy_is_part_of_both_values(source, target, reg, forbidden):
    task = problem(source, target, forbidden=forbidden)
    task = replace(task, a=1.2 * task.a)
    solution = solve_sinkhorn(task, tol=1e-6, max_iter=5000, reg=reg)
    primal, dual = entropic_bounds(task, solution, reg)
    assert solution.primal == pytest.approx(primal, rel=1e-10)
    assert solution.dual == pytest.approx(dual, rel=1e-10)
    assert dual <= primal * (1 + 1e-12)
    assert 0 <= solution.gap <= 1e-6
    assert solution.softness == reg
    assert_allclose(
        solution.source_prices, (task.cost.matrix + solution.prices).min(axis=1), atol=1e-12
    )
    if source == "hard":
        assert_allclose(solution.plan.sum(axis=1), task.a, rtol=1e-12)


def test_softness_is_zero_or_what_the_plan_has():
    task = problem()
    assert solve_projected_gradient(task, tol=1e-3, max_iter=500).softness == 0
    assert 0 < solve_sinkhorn(task, tol=1e-3, max_iter=500).softness < 0.1


def test_negligible_pairs_are_left_out():
    task = problem(shape=(60, 50))
    solution = solve_sinkhorn(task, tol=1e-5, max_iter=5000)
    entries = solution.plan.tocoo()
    assert entries.nnz < 60 * 50 / 10
    assert (entries.data > 0.99e-12 * task.a[entries.row]).all()


class PooledCost(MatrixCost):
    """Sources and targets of two groups that do not mix."""

    def __init__(self, matrix, groups):
        own, theirs = groups
        super().__init__(np.where(own[:, None] == theirs, matrix, np.inf))
        self.groups = groups

    def pools(self):
        return [tuple(np.flatnonzero(g == group) for g in self.groups) for group in (0, 1)]


@pytest.fixture(params=["streamed", "pooled"])
def large(request, monkeypatch):
    """A problem for which nothing that is large is stored."""
    monkeypatch.setattr(_sinkhorn, "STORED_PAIRS", 0)
    monkeypatch.setattr(_sinkhorn, "KERNEL_PAIRS", 300)
    monkeypatch.setattr(_sinkhorn, "BLOCK_PAIRS", 100)
    task = problem()
    if request.param == "pooled":
        groups = np.arange(40) % 3 % 2, np.arange(30) % 2
        return replace(task, cost=PooledCost(task.cost.matrix, groups))
    X, Y = clouds(40, 30)
    return replace(task, cost=PointCost(X, Y, factor=1 / cdist(X, Y, "sqeuclidean").mean()))


def stored(task):
    """The same problem, its costs in a matrix without pools."""
    return replace(task, cost=MatrixCost(dense_costs(task.cost)))


@every_pair
def test_streaming_changes_nothing(source, target, large):
    kind = {"source": SOURCES[source](0.3), "target": TARGETS[target](0.3)}
    large = replace(large, **kind)
    solution = solve_sinkhorn(large, tol=1e-4, max_iter=5000)
    assert_certified(stored(large), solution, 1e-4)
    other = solve_projected_gradient(stored(large), tol=1e-4, max_iter=5000)
    assert_allclose(solution.prices, other.prices, atol=0.05)


@pytest.mark.parametrize("reg", [0.02, 0.3])
@every_pair
def test_streaming_with_entropy(source, target, reg, large):
    large = replace(large, source=SOURCES[source](0.3), target=TARGETS[target](0.3))
    solution = solve_sinkhorn(large, tol=1e-4, max_iter=5000, reg=reg)
    primal, dual = entropic_bounds(stored(large), solution, reg)
    assert solution.primal == pytest.approx(primal, rel=1e-9)
    assert solution.dual == pytest.approx(dual, rel=1e-9)
    assert solution.gap <= 1e-4


def test_bounds_hold_where_no_kernel_ever_fits(large, monkeypatch):
    monkeypatch.setattr(_sinkhorn, "KERNEL_PAIRS", 0)
    solution = solve_sinkhorn(large, tol=1e-4, max_iter=40)
    assert_certified(stored(large), solution, 0.5)


# ---- projected gradient's own --------------------------------------------------------------------


@pytest.mark.parametrize("name", TARGETS)
def test_straightened_divergence_is_convex_with_its_slope(name):
    masses = np.full(200, 0.7)
    marginal = _gradient._Marginal(TARGETS[name](0.4), masses, 1e-2)
    q = np.linspace(-0.3, 2.0, 200)
    slope = marginal.slope(q)
    assert (np.diff(slope) >= 0).all()
    for k in range(200):
        step = np.zeros(200)
        step[k] = 1e-6
        change = marginal.value(q + step) - marginal.value(q - step)
        assert change == pytest.approx(2e-6 * slope[k], rel=1e-3, abs=1e-9)
    inside = q > 0.01
    assert_allclose(slope[inside], TARGETS[name](0.4).price(q[inside], masses[inside]))


@every_pair
@pytest.mark.parametrize("curvature", [1.0, 30.0])
def test_a_step_over_lists_is_the_dense_projection(source, target, curvature):
    task = problem(source, target)
    descent = _gradient._Descent(task, 1e-4)
    descent.start(None)
    for _ in range(5):
        descent.step()
    point = descent._point()
    pairs, x, _ = descent._projected(point, curvature)
    found, Y = np.zeros(task.shape), np.zeros(task.shape)
    found[pairs.rows, pairs.columns] = x
    Y[descent.pairs.rows, descent.pairs.columns] = point.y
    stride = 1 / (1 / point.r[:, None] + 1 / point.c) / curvature
    full = task.cost.matrix + point.g
    if source == "hard":
        low, high = np.full(len(task.a), -1e3), np.full(len(task.a), 1e3)
        for _ in range(100):
            levels = (low + high) / 2
            P = np.maximum(Y - stride * (full - levels[:, None]), 0)
            less = P.sum(axis=1) < task.a
            low, high = np.where(less, levels, low), np.where(less, high, levels)
    else:
        P = np.maximum(Y - stride * (full - point.levels[:, None]), 0)
    assert_allclose(found, P, atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_level_of_the_prices_is_the_best_one_for_a_hard_source(target):
    transport = problem("hard", target)
    prices = np.random.default_rng(3).normal(-2.0, 0.5, 30)
    level = transport.level(prices)

    def bound(shift):
        least = (transport.cost.matrix + prices + shift).min(axis=1)
        return transport.dual(least, prices + shift)

    assert abs(level) > 0.5
    assert bound(level) > max(bound(0), bound(level - 0.01), bound(level + 0.01))
    wanted = transport.target.mass(prices + level, transport.b)
    assert wanted.sum() == pytest.approx(transport.a.sum())


@pytest.mark.parametrize("source", ["kl", "chi2"])
def test_a_soft_source_holds_the_level_in_place(source):
    assert problem(source).level(np.full(30, 5.0)) == 0
