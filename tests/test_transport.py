"""Unbalanced transport as mathematics: divergences, costs, passes over pairs, solved problems.

What a plan pays and what prices prove is written out anew here, on dense matrices.
"""

import warnings
from itertools import pairwise, product

import numpy as np
import ot
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from ot.unbalanced import mm_unbalanced
from scipy.optimize import minimize, minimize_scalar
from scipy.spatial.distance import cdist
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning

from skcf.transport import (
    MatrixCost,
    PointCost,
    crowding_path,
    solve_transport,
)
from skcf.transport import _pricing as pricing
from skcf.transport._divergences import TARGETS

METRICS = ["sqeuclidean", "euclidean", "cityblock"]
PROBLEMS = list(product(["hard", "kl", "chi2"], ["chi2", "kl"]))

every_problem = pytest.mark.parametrize("source, target", PROBLEMS)
every_metric = pytest.mark.parametrize("metric", METRICS)


# ---- the objective and its dual, written out -----------------------------------------------------


def chi2(p, a):
    return np.sum((p - a) ** 2 / a)


def kl(p, a):
    logs = np.log(np.divide(p, a, out=np.ones_like(p), where=p > 0))
    return np.sum(p * logs - p + a)


def paid(P, C, a, b, source, target, source_penalty, target_penalty):
    """The objective of a plan."""
    p, q = P.sum(axis=1), P.sum(axis=0)
    divergence = {"chi2": chi2, "kl": kl, "hard": lambda p, a: 0.0}
    moved = np.sum(P[P > 0] * C[P > 0])
    return (
        moved
        + source_penalty * divergence[source](p, a)
        + target_penalty * divergence[target](q, b)
    )


def proven(g, C, a, b, source, target, source_penalty, target_penalty):
    """The lower bound that prices give."""
    s, l1, l2 = (C + g).min(axis=1), source_penalty, target_penalty
    if source == "hard":
        h = a * s
    elif source == "kl":
        h = l1 * a * (1 - np.exp(-s / l1))
    else:
        s = np.minimum(s, 2 * l1)
        h = a * (s - s**2 / (4 * l1))
    k = b * (g + g**2 / (4 * l2)) if target == "chi2" else l2 * b * (np.exp(g / l2) - 1)
    return h.sum() - k.sum()


def points(m, n, seed=0, d=2, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(shift, 1.0, size=(n, d))


def problem(m, n, seed=0, d=2):
    """Costs and masses, uneven, with sum 1."""
    X, Y = points(m, n, seed, d)
    rng = np.random.default_rng(seed + 1000)
    a, b = rng.uniform(0.2, 1.8, m), rng.uniform(0.2, 1.8, n)
    return cdist(X, Y, "sqeuclidean"), a / a.sum(), b / b.sum()


def assert_certified(result, C, a, b, source="hard", target="chi2", tol=1e-4, **penalties):
    """The plan is a plan, pays what it says, and its prices prove how good it is."""
    kind = source, target, penalties.get("source_penalty", 1.0), penalties["target_penalty"]
    P = result.plan.toarray()
    assert (P >= 0).all()
    assert_allclose(result.source_marginal, P.sum(axis=1), atol=1e-15)
    assert_allclose(result.target_marginal, P.sum(axis=0), atol=1e-15)
    if source == "hard":
        assert_allclose(P.sum(axis=1), a, rtol=1e-12)
    scale = max(abs(result.primal), 1e-3 * C.mean())
    assert paid(P, C, a, b, *kind) == pytest.approx(result.primal, abs=1e-9 * scale)
    pays = result.transport_cost + result.source_divergence + result.target_divergence
    assert pays == pytest.approx(result.primal, abs=1e-9 * scale)
    assert result.transport_cost == pytest.approx(np.sum(P * C), abs=1e-12 * scale)
    assert_allclose(result.source_prices, (C + result.prices).min(axis=1), atol=1e-9 * C.max())
    assert proven(result.prices, C, a, b, *kind) == pytest.approx(result.dual, abs=1e-9 * scale)
    assert result.dual <= result.primal + 1e-9 * scale
    # (the mean cost is that of a sample)
    assert result.gap == pytest.approx((result.primal - result.dual) / scale, rel=0.05, abs=1e-9)
    assert result.gap <= tol


# ---- solved problems -----------------------------------------------------------------------------


@every_problem
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (30, 40), (3, 200), (200, 3)])
@pytest.mark.parametrize("target_penalty", [0.05, 1.0, 30.0])
def test_gap_is_closed_and_certified(source, target, shape, target_penalty):
    C, a, b = problem(*shape)
    options = {"source": source, "target": target, "target_penalty": target_penalty}
    result = solve_transport(C, a, b, random_state=0, **options)
    assert_certified(result, C, a, b, **options)
    assert not result.infeasible.any()
    assert result.slope == 1.0


@every_problem
def test_gap_is_closed_and_certified_by_passes_over_points(source, target):
    """Beyond the size where all pairs are listed."""
    X, Y = points(900, 700, d=3)
    _, a, b = problem(900, 700, d=3)
    C = cdist(X, Y, "sqeuclidean")
    options = {"source": source, "target": target, "target_penalty": 0.5}
    result = solve_transport(PointCost(X, Y), a, b, random_state=0, **options)
    assert_certified(result, C, a, b, **options)
    assert result.n_passes > 1


@every_metric
def test_points_and_their_matrix_are_the_same_problem(metric):
    X, Y = points(25, 35)
    C = cdist(X, Y, metric)
    by_points = solve_transport(PointCost(X, Y, metric), random_state=0, tol=1e-8)
    by_matrix = solve_transport(C, random_state=0, tol=1e-8)
    assert by_points.primal == pytest.approx(by_matrix.primal, rel=2e-8)
    assert_certified(by_points, C, *uniform(25, 35), target_penalty=1.0, tol=1e-8)


def uniform(m, n):
    return np.full(m, 1 / m), np.full(n, 1 / n)


@pytest.mark.parametrize("tol", [1e-2, 1e-6, 1e-9])
@every_problem
def test_gap_as_small_as_asked_for(source, target, tol):
    C, a, b = problem(20, 30)
    options = {"source": source, "target": target, "target_penalty": 0.7, "tol": tol}
    assert_certified(solve_transport(C, a, b, random_state=0, **options), C, a, b, **options)


@pytest.mark.parametrize("target_penalty", [10.0, 100.0, 1000.0])
@every_problem
def test_large_penalties_converge(source, target, target_penalty):
    source_penalty = 1.0 if source != "kl" else target_penalty / 100
    options = {"source": source, "target": target, "target_penalty": target_penalty}
    options["source_penalty"] = source_penalty
    for m, n, seed in [(60, 80, 0), (400, 300, 1)]:
        C, a, b = problem(m, n, seed)
        assert_certified(solve_transport(C, a, b, random_state=0, **options), C, a, b, **options)


@pytest.mark.parametrize("target_penalty", [10.0, 100.0, 1000.0, 1e5])
@pytest.mark.parametrize("target", ["chi2", "kl"])
def test_large_penalties_converge_on_short_lists(target, target_penalty):
    C, a, b = problem(700, 900, d=3)
    options = {"target": target, "target_penalty": target_penalty, "tol": 1e-3}
    assert_certified(solve_transport(C, a, b, random_state=0, **options), C, a, b, **options)


@every_problem
def test_nobody_gains_by_another_target_at_the_prices(source, target):
    """The equilibrium: mass moves only where effort plus price is least."""
    C, a, b = problem(40, 50)
    options = {"source": source, "target": target, "target_penalty": 0.4, "source_penalty": 2.0}
    result = solve_transport(C, a, b, random_state=0, tol=1e-8, **options)
    P = result.plan.toarray()
    above = C + result.prices - (C + result.prices).min(axis=1, keepdims=True)
    assert (P > 0).any(axis=1).all()
    assert above[P > 0].max() <= 30 * result.softness.max()
    assert np.sum(P * above) <= 1.1e-8 * result.primal
    assert above.max() > 1, "the test needs targets that are dear"


def test_prices_are_the_marginal_cost_of_crowding():
    C, a, b = problem(40, 50)
    result = solve_transport(C, a, b, target_penalty=0.4, random_state=0, tol=1e-9)
    q = result.target_marginal
    assert_allclose(np.maximum(result.prices, -0.8), 2 * 0.4 * (q / b - 1), atol=1e-3)
    result = solve_transport(C, a, b, target="kl", target_penalty=0.4, random_state=0, tol=1e-9)
    q, used = result.target_marginal, result.target_marginal > 1e-6 * b
    assert_allclose(result.prices[used], 0.4 * np.log(q / b)[used], atol=2e-3)


@every_problem
def test_sources_are_served_as_much_as_their_price_is_worth(source, target):
    C, a, b = problem(40, 50)
    l1 = 0.6
    options = {"source": source, "target": target, "target_penalty": 0.4, "source_penalty": l1}
    result = solve_transport(C, a, b, random_state=0, tol=1e-8, **options)
    s, share = result.source_prices, result.source_marginal / a
    worth = {"hard": np.ones(40), "kl": np.exp(-s / l1), "chi2": np.maximum(1 - s / (2 * l1), 0)}
    assert_allclose(share, worth[source], atol=1e-3)
    if source != "hard":
        assert share.min() < 0.7 * share.max(), "the test needs people who are left out"


# ---- against others' solvers ---------------------------------------------------------------------


def by_slsqp(C, a, b, source, target, l1, l2, start=None, power=1):
    """The least objective that a general solver finds, over all plans."""
    m, n = C.shape

    def value(x):
        P = x.reshape(m, n)
        linear = np.sum(P * C**power)
        other = paid(P, np.zeros((m, n)), a, b, source, target, l1, l2)
        return linear ** (1 / power) + other

    def gradient(x):
        P = x.reshape(m, n)
        p, q = P.sum(axis=1), P.sum(axis=0)
        u = {"hard": 0 * p, "kl": l1 * np.log(p / a), "chi2": 2 * l1 * (p / a - 1)}[source]
        g = {"kl": l2 * np.log(q / b), "chi2": 2 * l2 * (q / b - 1)}[target]
        tangent = np.sum(P * C**power) ** (1 / power - 1) / power
        return (tangent * C**power + u[:, None] + g).ravel()

    sums = np.kron(np.eye(m), np.ones(n))
    hard = {"type": "eq", "fun": lambda x: sums @ x - a, "jac": lambda x: sums}
    return minimize(
        value,
        (np.outer(a, b / b.sum()) if start is None else start).ravel(),
        jac=gradient,
        bounds=[(1e-12, None)] * (m * n),
        constraints=[hard] if source == "hard" else [],
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    ).fun


@every_problem
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("l1, l2", [(0.5, 0.2), (3.0, 2.0)])
def test_a_general_solver_finds_the_same_objective(source, target, seed, l1, l2):
    C, a, b = problem(4, 6, seed)
    b *= 1.7  # masses need not agree
    result = solve_transport(
        C, a, b, source=source, target=target, source_penalty=l1, target_penalty=l2, tol=1e-7
    )
    expected = by_slsqp(C, a, b, source, target, l1, l2)
    assert result.primal == pytest.approx(expected, rel=1e-6)
    assert result.dual <= expected * (1 + 1e-6)


def test_pot_s_semirelaxed_transport_agrees():
    C, a, b = problem(20, 25)

    def crowding(P):
        return 0.3 * chi2(P.sum(axis=0), b)

    def slope_of_crowding(P):
        return np.broadcast_to(0.6 * (P.sum(axis=0) / b - 1), P.shape)

    P = ot.optim.semirelaxed_cg(
        a, b, C, 1.0, crowding, slope_of_crowding, numItermax=3000, stopThr=1e-12
    )
    expected = paid(P, C, a, b, "hard", "chi2", 1.0, 0.3)
    result = solve_transport(C, a, b, target_penalty=0.3, tol=1e-7)
    assert result.primal <= expected * (1 + 1e-7)
    assert result.primal == pytest.approx(expected, rel=1e-4)
    assert_allclose(result.target_marginal, P.sum(axis=0), atol=1e-3)


@pytest.mark.parametrize("l1, l2", [(0.5, 0.2), (1.0, 4.0)])
def test_pot_s_chi2_transport_agrees(l1, l2):
    """POT's l2 divergence is half the squared distance: chi2, where all masses are equal."""
    m, n = 15, 20
    C, (a, b) = problem(m, n)[0], uniform(m, n)
    P = mm_unbalanced(
        a, b, C, (2 * l1 * m, 2 * l2 * n), div="l2", numItermax=100_000, stopThr=1e-13
    )
    expected = paid(P, C, a, b, "chi2", "chi2", l1, l2)
    result = solve_transport(C, source="chi2", source_penalty=l1, target_penalty=l2, tol=1e-8)
    assert result.primal <= expected * (1 + 1e-8)
    assert result.primal == pytest.approx(expected, rel=1e-5)
    assert_allclose(result.plan.toarray(), P, atol=2e-4)


@pytest.mark.parametrize("l1, l2", [(0.5, 0.2), (1.0, 4.0)])
def test_pot_s_kl_transport_agrees(l1, l2):
    C, a, b = problem(15, 20)
    P = mm_unbalanced(a, b, C, (l1, l2), div="kl", numItermax=20_000, stopThr=1e-13)
    expected = paid(P, C, a, b, "kl", "kl", l1, l2)
    result = solve_transport(
        C, a, b, source="kl", target="kl", source_penalty=l1, target_penalty=l2, tol=1e-8
    )
    assert result.primal <= expected * (1 + 1e-8)
    assert result.primal == pytest.approx(expected, rel=2e-2)  # POT stops early at times


# ---- limits and odd shapes -----------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_a_small_penalty_sends_everybody_to_the_nearest_target(target):
    C, a, b = problem(30, 40)
    result = solve_transport(C, a, b, target=target, target_penalty=1e-6, tol=1e-6)
    assert result.transport_cost == pytest.approx(a @ C.min(axis=1), rel=1e-4)
    P = result.plan.toarray()
    assert_allclose(P[np.arange(30), C.argmin(axis=1)], a, rtol=1e-2)


@pytest.mark.parametrize("target", TARGETS)
def test_a_large_penalty_is_balanced_transport(target):
    C, a, b = problem(30, 40)
    balanced = ot.emd2(a, b, C)
    costs = []
    for penalty in (10.0, 1e3, 1e5):
        result = solve_transport(C, a, b, target=target, target_penalty=penalty, tol=1e-6)
        assert result.primal <= balanced * (1 + 1e-6)
        costs.append(result.primal)
    assert costs == sorted(costs)
    assert costs[-1] == pytest.approx(balanced, rel=1e-4)
    assert_allclose(result.target_marginal, b, rtol=1e-3)


@every_problem
def test_weights_are_repetition(source, target):
    """Objectives and prices are those of the problem in which every point is written out."""
    X, Y = points(12, 15)
    rng = np.random.default_rng(0)
    often, often_b = rng.integers(1, 5, 12), rng.integers(1, 5, 15)
    options = {"source": source, "target": target, "target_penalty": 0.5, "tol": 1e-8}
    merged = solve_transport(
        PointCost(X, Y), often / often.sum(), often_b / often_b.sum(), random_state=0, **options
    )
    written = PointCost(np.repeat(X, often, axis=0), np.repeat(Y, often_b, axis=0))
    spread = solve_transport(written, random_state=0, **options)
    assert merged.primal == pytest.approx(spread.primal, rel=3e-8)
    assert_allclose(np.repeat(merged.prices, often_b), spread.prices, atol=1e-3)


@every_problem
def test_all_points_equal(source, target):
    ones = np.ones((5, 2)), np.ones((7, 2))
    result = solve_transport(PointCost(*ones), source=source, target=target)
    assert result.primal == pytest.approx(0, abs=1e-7)
    assert result.gap <= 1e-4
    assert_allclose(result.source_marginal, 1 / 5, rtol=1e-3)
    assert_allclose(result.target_marginal, 1 / 7, rtol=1e-2)


@pytest.mark.parametrize("shape", [(2000, 3), (3, 2000), (1, 3000), (3000, 1)])
@every_problem
def test_many_more_of_one_kind_than_of_the_other(source, target, shape):
    C, a, b = problem(*shape)
    options = {"source": source, "target": target, "target_penalty": 0.3}
    assert_certified(solve_transport(C, a, b, random_state=0, **options), C, a, b, **options)


def test_many_more_of_one_kind_beyond_the_lists():
    for m, n in [(20_000, 20), (20, 20_000)]:
        X, Y = points(m, n)
        result = solve_transport(PointCost(X, Y), random_state=0)
        C, (a, b) = cdist(X, Y, "sqeuclidean"), uniform(m, n)
        assert_certified(result, C, a, b, target_penalty=1.0)


@every_problem
def test_a_single_source_spreads_as_the_formula_says(source, target):
    """1 x 1: one number, which the divergences alone decide."""
    c, a, b, l1, l2 = 0.8, 1.3, 0.6, 0.7, 0.4
    options = {"source": source, "target": target, "source_penalty": l1, "target_penalty": l2}
    result = solve_transport([[c]], [a], [b], tol=1e-9, **options)

    def pays(p):
        return paid(np.array([[p]]), np.array([[c]]), np.array([a]), np.array([b]), *kind)

    kind = source, target, l1, l2
    best = a if source == "hard" else minimize_scalar(pays, bounds=(0, 2), method="bounded").x
    assert result.plan.toarray().item() == pytest.approx(best, abs=1e-4)
    assert result.primal == pytest.approx(pays(best), rel=1e-7)


# ---- forbidden pairs -----------------------------------------------------------------------------


@every_problem
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_forbidden_pairs_carry_nothing(source, target, share):
    C, a, b = problem(30, 40)
    C[np.random.default_rng(0).random(C.shape) < share] = np.inf
    C[:, 0], C[np.arange(30), np.arange(30) + 1] = np.inf, 1.0
    C[4] = np.inf
    options = {"source": source, "target": target, "target_penalty": 0.5}
    result = solve_transport(C, a, b, random_state=0, **options)
    P = result.plan.toarray()
    assert (P[np.isinf(C)] == 0).all()
    assert_array_equal(result.infeasible, np.arange(30) == 4)
    assert np.isinf(result.source_prices[4])
    assert np.isfinite(result.source_prices[:4]).all()
    left = np.delete(np.arange(30), 4)
    rest = solve_transport(C[left], a[left], b, random_state=0, **options)
    assert result.primal == pytest.approx(rest.primal, rel=2e-4)
    if source == "hard":
        assert_allclose(P.sum(axis=1)[left], a[left], rtol=1e-12)
    assert result.target_marginal[0] == 0
    C = np.where(np.isinf(C), 1e6, C)
    kind = source, target, 1.0, 0.5
    assert proven(result.prices, C[left], a[left], b, *kind) == pytest.approx(result.dual)
    assert paid(P[left], C[left], a[left], b, *kind) == pytest.approx(result.primal)


class Blocks(MatrixCost):
    """A matrix in whose separate blocks alone something is allowed, and says so."""

    def __init__(self, matrix, rows, columns):
        super().__init__(matrix)
        self.rows, self.columns = rows, columns

    def pools(self):
        both = np.intersect1d(self.rows, self.columns)
        return [(np.flatnonzero(self.rows == g), np.flatnonzero(self.columns == g)) for g in both]

    def take(self, rows, columns):
        return Blocks(self.matrix[rows][:, columns], self.rows[rows], self.columns[columns])

    def times(self, factor):
        return Blocks(self.matrix * factor, self.rows, self.columns)

    def raised(self, power):
        return Blocks(self.matrix**power, self.rows, self.columns)


@every_problem
def test_separate_pools_are_problems_of_their_own(source, target):
    """Solved apart they give what the whole matrix gives, and what each gives alone."""
    C, a, b = problem(45, 55)
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 4, 45), rng.integers(1, 5, 55)  # one has no target, one nobody
    C[rows[:, None] != columns] = np.inf
    options = {"source": source, "target": target, "target_penalty": 0.5, "tol": 1e-6}
    apart = solve_transport(Blocks(C, rows, columns), a, b, random_state=0, **options)
    whole = solve_transport(C, a, b, random_state=0, **options)
    assert_array_equal(apart.infeasible, rows == 0)
    assert_array_equal(whole.infeasible, rows == 0)
    assert apart.gap <= 1e-6
    assert apart.primal == pytest.approx(whole.primal, rel=2e-6)
    kind, left = (source, target, 1.0, 0.5), np.flatnonzero(rows > 0)
    P, finite = apart.plan.toarray(), np.where(np.isinf(C), 1e6, C)
    assert paid(P[left], finite[left], a[left], b, *kind) == pytest.approx(apart.primal)
    assert proven(apart.prices, finite[left], a[left], b, *kind) == pytest.approx(apart.dual)
    least = (finite + apart.prices).min(axis=1)
    assert_allclose(apart.source_prices[left], least[left], atol=1e-12)
    if source == "hard":
        assert_allclose(P.sum(axis=1)[left], a[left], rtol=1e-12)


def test_all_pairs_forbidden():
    with pytest.raises(ValueError, match="All pairs are forbidden"):
        solve_transport(np.full((3, 4), np.inf))
    C = np.array([[1.0, np.inf], [np.inf, np.inf]])
    with pytest.raises(ValueError, match="All pairs are forbidden"):
        solve_transport(C, a=[0.0, 1.0])  # who may move has no mass
    with pytest.raises(ValueError, match="All pairs are forbidden"):
        solve_transport(C, b=[0.0, 1.0])


# ---- masses --------------------------------------------------------------------------------------


@every_problem
def test_points_without_mass_are_left_out(source, target):
    C, a, b = problem(20, 30)
    a[3] = b[5] = b[6] = 0
    options = {"source": source, "target": target, "random_state": 0, "tol": 1e-7}
    result = solve_transport(C, a, b, **options)
    P = result.plan.toarray()
    assert (P[3] == 0).all()
    assert (P[:, [5, 6]] == 0).all()
    assert np.isinf(result.prices[[5, 6]]).all()
    assert np.isfinite(np.delete(result.prices, [5, 6])).all()
    assert not result.infeasible.any()
    left, right = np.delete(np.arange(20), 3), np.delete(np.arange(30), [5, 6])
    rest = solve_transport(C[np.ix_(left, right)], a[left], b[right], **options)
    assert result.primal == pytest.approx(rest.primal, rel=2e-7)
    assert_allclose(P[np.ix_(left, right)], rest.plan.toarray(), atol=2e-4)


@every_problem
@pytest.mark.parametrize("tiny", [1e-15, 1e-10, 1e-7])
def test_tiny_masses_spoil_nothing(source, target, tiny):
    C, a, b = problem(20, 30)
    options = {"source": source, "target": target, "random_state": 0}
    expected = solve_transport(C[1:, 1:], a[1:], b[1:], **options)
    a[0], b[0] = tiny, tiny
    C[:, 0] -= C[:, 0].min()  # what is all but full at once is what is nearest
    result = solve_transport(C, a, b, **options)
    assert result.gap <= 1e-4
    assert result.primal == pytest.approx(expected.primal, rel=3e-4)
    assert np.isfinite(result.primal)
    if source == "hard":
        assert_allclose(result.source_marginal, a, rtol=1e-12)


@every_problem
def test_skewed_masses(source, target):
    C, _, _ = problem(60, 80)
    rng = np.random.default_rng(0)
    a, b = rng.gamma(0.1, size=60) + 1e-8, rng.gamma(0.1, size=80) + 1e-8
    a, b = a / a.sum(), b / b.sum()
    options = {"source": source, "target": target, "target_penalty": 0.5}
    assert_certified(solve_transport(C, a, b, random_state=0, **options), C, a, b, **options)


@every_problem
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_objective_is_proportional_to_the_masses(source, target, factor):
    C, a, b = problem(20, 30)
    options = {"source": source, "target": target, "random_state": 0, "tol": 1e-7}
    expected = solve_transport(C, a, b, **options)
    result = solve_transport(C, factor * a, factor * b, **options)
    assert result.primal == pytest.approx(factor * expected.primal, rel=2e-7)
    assert_allclose(result.prices, expected.prices, atol=1e-3)
    assert_allclose(result.plan.toarray() / factor, expected.plan.toarray(), atol=1e-4)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("cost_power", [1, 2])
@every_problem
def test_units_of_the_cost_do_not_matter(source, target, cost_power, factor):
    C, a, b = problem(20, 30)
    options = {"source": source, "target": target, "cost_power": cost_power, "random_state": 0}
    expected = solve_transport(C, a, b, source_penalty=2.0, target_penalty=0.5, **options)
    penalties = {"source_penalty": 2.0 * factor, "target_penalty": 0.5 * factor}
    result = solve_transport(C * factor, a, b, **penalties, **options)
    assert_allclose(result.plan.toarray(), expected.plan.toarray(), atol=1e-9)
    for name in ("prices", "source_prices", "softness", "primal", "dual", "transport_cost"):
        assert_allclose(getattr(result, name), factor * getattr(expected, name), rtol=1e-7)
    assert result.gap == pytest.approx(expected.gap, rel=1e-3)


@pytest.mark.parametrize("m, n", [(30, 40), (700, 600)])
def test_the_order_of_points_does_not_matter(m, n):
    X, Y = points(m, n)
    _, a, b = problem(m, n)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(m), rng.permutation(n)
    options = {"target_penalty": 0.5, "tol": 1e-6, "random_state": 0}
    plain = solve_transport(PointCost(X, Y), a, b, **options)
    mixed = solve_transport(PointCost(X[rows], Y[columns]), a[rows], b[columns], **options)
    assert mixed.primal == pytest.approx(plain.primal, rel=2e-6)
    assert_allclose(mixed.prices, plain.prices[columns], atol=0.01)
    # the objective is strongly convex in the marginal: as near as both gaps make it
    apart = (mixed.target_marginal - plain.target_marginal[columns]) ** 2 / b[columns]
    assert 0.5 * apart.sum() <= 4 * 1e-6 * plain.primal


def test_nothing_is_written_to_and_the_answer_is_repeatable():
    X, Y = points(600, 600)
    C, a, b = cdist(X, Y), *uniform(600, 600)
    copies = C.copy(), a.copy(), b.copy()
    first = solve_transport(C, a, b, random_state=3)
    second = solve_transport(C, a, b, random_state=3)
    assert_array_equal(first.prices, second.prices)
    assert_array_equal(first.plan.toarray(), second.plan.toarray())
    for now, before in zip((C, a, b), copies, strict=True):
        assert_array_equal(now, before)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_and_tiles_do_not_change_the_answer(backend, monkeypatch):
    X, Y = points(700, 800)
    options = {"target_penalty": 0.5, "random_state": 0}
    whole = solve_transport(PointCost(X, Y), **options)
    monkeypatch.setattr(pricing, "CHUNK_ROWS", 200)
    expected = solve_transport(PointCost(X, Y), **options)
    with parallel_config(backend=backend):
        result = solve_transport(PointCost(X, Y), n_jobs=2, **options)
    assert result.n_passes == expected.n_passes
    assert_array_equal(result.prices, expected.prices)
    assert_array_equal(result.plan.toarray(), expected.plan.toarray())
    # chunks settle which of the pairs that are of little use are listed
    assert expected.primal == pytest.approx(whole.primal, rel=1e-4)


def test_working_memory_changes_the_answer_within_the_gap_alone():
    X, Y = points(700, 800)
    expected = solve_transport(PointCost(X, Y), random_state=0, tol=1e-5)
    with config_context(working_memory=1):
        result = solve_transport(PointCost(X, Y), random_state=0, tol=1e-5)
    assert result.primal == pytest.approx(expected.primal, rel=1e-5)


# ---- cost power ----------------------------------------------------------------------------------


def paid_with_power(P, C, a, b, kind, power):
    moved = np.sum(P * C**power) ** (1 / power)
    return moved + paid(P, np.zeros_like(C), a, b, *kind)


@every_problem
@pytest.mark.parametrize("power", [1.5, 2, 3])
def test_no_plan_near_by_is_better_with_a_cost_power(source, target, power):
    C, a, b = problem(4, 6)
    options = {"source": source, "target": target, "source_penalty": 0.7, "target_penalty": 0.3}
    result = solve_transport(C, a, b, cost_power=power, random_state=0, tol=1e-8, **options)
    P, kind = result.plan.toarray(), (source, target, 0.7, 0.3)
    assert result.primal == pytest.approx(paid_with_power(P, C, a, b, kind, power), rel=1e-9)
    assert result.transport_cost == pytest.approx(np.sum(P * C**power) ** (1 / power))
    best = by_slsqp(C, a, b, *kind, start=P + 1e-9, power=power)
    assert result.primal <= best + 2e-6
    # the tangent at the plan: what the prices are worth
    assert result.slope == pytest.approx(np.sum(P * C**power) ** (1 / power - 1) / power, rel=1e-3)
    full = result.slope * C**power + result.prices
    assert_allclose(result.source_prices, full.min(axis=1), rtol=1e-9)
    assert (full - full.min(axis=1, keepdims=True))[P > 1e-6].max() < 1e-3


def test_a_cost_power_dislikes_long_moves():
    C, a, b = problem(30, 40)
    plain, squared = (
        solve_transport(C, a, b, cost_power=power, target_penalty=0.5, random_state=0)
        for power in (1, 2)
    )
    kind = "hard", "chi2", 1.0, 0.5
    P, P2 = plain.plan.toarray(), squared.plan.toarray()
    assert paid_with_power(P2, C, a, b, kind, 2) < paid_with_power(P, C, a, b, kind, 2)
    assert paid(P, C, a, b, *kind) < paid(P2, C, a, b, *kind)


def test_a_cost_power_where_nothing_costs_anything():
    result = solve_transport(np.zeros((5, 7)), cost_power=2)
    assert result.primal == pytest.approx(0, abs=1e-9)
    assert np.isfinite(result.prices).all()


# ---- paths and warm starts -----------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_effort_rises_and_crowding_falls_along_the_path(target):
    C, a, b = problem(40, 50)
    penalties = np.geomspace(1e-3, 100, 8)
    tol = 1e-7
    path = crowding_path(C, a, b, penalties=penalties, target=target, tol=tol, random_state=0)
    cost = [result.transport_cost for result in path]
    crowding = [result.target_divergence / l2 for result, l2 in zip(path, penalties, strict=True)]
    slack = [2 * tol * result.primal for result in path]
    for (c0, c1), e in zip(pairwise(cost), slack, strict=False):
        assert c1 >= c0 - e
    for k, (d0, d1) in enumerate(pairwise(crowding)):
        assert d1 <= d0 + slack[k] / penalties[k]
    assert cost[-1] > 1.5 * cost[0]
    assert crowding[0] > 100 * crowding[-1]


def test_path_is_in_the_order_asked_for_and_agrees_with_separate_solves():
    C, a, b = problem(40, 50)
    penalties = [3.0, 0.01, 0.3, 0.3]
    path = crowding_path(C, a, b, penalties=penalties, tol=1e-6, random_state=0)
    for penalty, result in zip(penalties, path, strict=True):
        assert_certified(result, C, a, b, target_penalty=penalty, tol=1e-6)
        alone = solve_transport(C, a, b, target_penalty=penalty, tol=1e-6, random_state=0)
        assert result.primal == pytest.approx(alone.primal, rel=2e-6)


def test_path_works_for_soft_sources_and_powers():
    C, a, b = problem(30, 40)
    for options in ({"source": "kl"}, {"source": "chi2"}, {"cost_power": 2}):
        path = crowding_path(C, a, b, penalties=[0.1, 1.0, 5.0], random_state=0, **options)
        for penalty, result in zip([0.1, 1.0, 5.0], path, strict=True):
            alone = solve_transport(C, a, b, target_penalty=penalty, random_state=0, **options)
            assert result.primal == pytest.approx(alone.primal, rel=1e-3)
        # what rises, whatever the source: all but the target's divergence
        rest = [result.primal - result.target_divergence for result in path]
        assert rest == sorted(rest)


@pytest.mark.parametrize("m, n", [(60, 80), (900, 1000)])
def test_prices_of_the_problem_itself_are_a_warm_start(m, n):
    X, Y = points(m, n)
    cost = PointCost(X, Y)
    cold = solve_transport(cost, random_state=0)
    warm = solve_transport(cost, random_state=0, prices=cold.prices)
    assert warm.gap <= 1e-4
    assert warm.n_passes <= cold.n_passes
    if m > 500:
        assert warm.n_passes < cold.n_passes
    assert warm.primal == pytest.approx(cold.primal, rel=2e-4)
    near = solve_transport(cost, random_state=0, prices=cold.prices, target_penalty=1.1)
    assert_certified(near, cdist(X, Y, "sqeuclidean"), *uniform(m, n), target_penalty=1.1)


def test_bad_prices_cost_passes_not_the_answer():
    C, a, b = problem(40, 50)
    expected = solve_transport(C, a, b, random_state=0, tol=1e-6).primal
    rng = np.random.default_rng(0)
    for prices in (100 * rng.normal(size=50), np.full(50, np.inf), np.full(50, np.nan)):
        result = solve_transport(C, a, b, random_state=0, tol=1e-6, prices=prices)
        assert result.gap <= 1e-6
        assert result.primal == pytest.approx(expected, rel=2e-6)


# ---- what is refused, and what is warned of ------------------------------------------------------


GOOD = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cost": [[1.0, np.nan]]}, "cost contains NaN; a forbidden pair costs infinity"),
        ({"cost": [[1.0, -0.5]]}, "cost contains negative values, the least being -0.5"),
        ({"cost": [1.0, 2.0]}, "Expected 2D array"),
        ({"cost": np.zeros((0, 3))}, "0 sample"),
        (
            {"cost": PointCost(np.zeros((0, 2)), np.zeros((3, 2)))},
            r"sources and targets, got a cost of shape \(0, 3\)",
        ),
        ({"a": [1.0, 2.0, 3.0]}, r"a has shape \(3,\), expected \(2,\)"),
        ({"b": [1.0, 2.0]}, r"b has shape \(2,\), expected \(3,\)"),
        ({"a": [1.0, -1.0]}, "a must hold finite masses, none negative and not all zero"),
        ({"a": [0.0, 0.0]}, "a must hold finite masses, none negative and not all zero"),
        ({"b": [1.0, np.nan, 1.0]}, "b must hold finite masses, none negative"),
        ({"b": [1.0, np.inf, 1.0]}, "b must hold finite masses, none negative"),
        ({"b": [1e308, 1e308, 1e308]}, "b must hold finite masses"),
        ({"target_penalty": 0.0}, "'target_penalty' parameter of solve_transport must be"),
        ({"target_penalty": -1.0}, "'target_penalty' parameter of solve_transport must be"),
        ({"target_penalty": np.inf}, "'target_penalty' parameter|target_penalty must be finite"),
        ({"target_penalty": np.nan}, "'target_penalty' parameter of solve_transport must be"),
        ({"source_penalty": 0.0}, "'source_penalty' parameter of solve_transport must be"),
        ({"source_penalty": np.inf}, "'source_penalty' parameter|source_penalty must be finite"),
        (
            {"source": "kl", "source_penalty": 0.1, "target_penalty": 30.0},
            "target_penalty is 300 times source_penalty, which overflows with source='kl'.*200",
        ),
        ({"source": "tv"}, "'source' parameter of solve_transport must be"),
        ({"target": "hard"}, "'target' parameter of solve_transport must be"),
        ({"solver": "simplex"}, "'solver' parameter of solve_transport must be"),
        ({"solver": "newton", "reg": 0.1}, "reg is a parameter of solver='sinkhorn'"),
        ({"cost_power": 0.5}, "'cost_power' parameter of solve_transport must be"),
        ({"cost_power": np.inf}, "'cost_power' parameter of solve_transport must be"),
        ({"tol": 0.0}, "'tol' parameter of solve_transport must be"),
        ({"max_passes": 0}, "'max_passes' parameter of solve_transport must be"),
        ({"prices": [1.0, 2.0]}, r"prices has shape \(2,\), expected \(3,\)"),
    ],
)
def test_what_cannot_be_solved_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        solve_transport(**({"cost": GOOD} | options))


@pytest.mark.parametrize("penalties", [[], 3.0, [[1.0, 2.0]]])
def test_a_path_needs_a_list_of_penalties(penalties):
    with pytest.raises(ValueError, match="penalties must be a list of numbers"):
        crowding_path(GOOD, penalties=penalties)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_path_needs_positive_penalties(bad):
    with pytest.raises(ValueError, match="penalt"):
        crowding_path(GOOD, penalties=[1.0, bad])


def test_a_gap_that_stays_open_is_warned_of_where_the_caller_is():
    C, a, b = problem(40, 50)
    with pytest.warns(ConvergenceWarning, match="gap is .* after 2 passes.*max_passes") as caught:
        result = solve_transport(C, a, b, max_passes=2, tol=1e-9)
    assert [warning.filename for warning in caught] == [__file__]
    assert result.gap > 1e-9
    assert_certified(result, C, a, b, target_penalty=1.0, tol=np.inf)
    with pytest.warns(ConvergenceWarning, match="max_passes") as caught:
        crowding_path(C, a, b, penalties=[0.1, 1.0], max_passes=1, tol=1e-9)
    assert {warning.filename for warning in caught} == {__file__}
    with pytest.warns(ConvergenceWarning, match="max_passes") as caught:
        solve_transport(C, a, b, cost_power=2, max_passes=1, tol=1e-9)
    assert {warning.filename for warning in caught} == {__file__}


def test_more_passes_never_give_a_worse_plan():
    """Also below the gap that rounding allows, what is returned is the best that was found."""
    C, a, b = problem(40, 50)
    gaps = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for max_passes in (3, 5, 8, 12, 60):
            result = solve_transport(C, a, b, tol=1e-15, max_passes=max_passes, random_state=0)
            gaps.append(result.gap)
    assert gaps[-1] < 1e-9
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(gaps))


def test_dense_and_soft_extremes_give_numbers():
    """Penalties far from the cost: nobody, or everybody, is served; never NaN."""
    C, a, b = problem(20, 30)
    for source, target in PROBLEMS:
        for l1, l2 in [(1e-3, 0.1), (1e-3, 1e-3), (1e3, 1e-3), (1e3, 1e3)]:
            options = {"source": source, "target": target}
            options |= {"source_penalty": l1, "target_penalty": l2}
            result = solve_transport(C, a, b, random_state=0, **options)
            assert_certified(result, C, a, b, **options)


def test_result_is_shown_in_one_line():
    shown = repr(solve_transport(GOOD))
    assert shown.startswith("<TransportResult 2 x 3: objective ")
    assert "gap" in shown
