"""What transport is made of: divergences, costs of pairs, and passes over all pairs."""

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist

from skcf.transport import MatrixCost, PointCost, cheapest, mean_cost, solve_transport
from skcf.transport import _pricing as pricing
from skcf.transport._divergences import SOURCES, TARGETS
from skcf.transport._pricing import every_pair, price

METRICS = ["sqeuclidean", "euclidean", "cityblock"]

every_metric = pytest.mark.parametrize("metric", METRICS)


def points(m, n, seed=0, d=2, shift=1.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.normal(shift, 1.0, size=(n, d))


# ---- divergences ---------------------------------------------------------------------------------


def lowest(f, low, high):
    """Least value of a convex function, by golden sections from a grid."""
    grid = np.linspace(low, high, 2001)
    near = grid[np.argmin([f(x) for x in grid])]
    step = grid[1] - grid[0]
    inside = max(low, near - step), min(high, near + step)
    best = minimize_scalar(f, bounds=inside, method="bounded", options={"xatol": 1e-12})
    return min(best.fun, f(near))


@pytest.mark.parametrize("name", ["kl", "chi2"])
@pytest.mark.parametrize("penalty", [0.3, 2.0])
def test_source_dual_is_the_least_that_a_source_pays_at_a_price(name, penalty):
    divergence, a = SOURCES[name](penalty), np.array([0.7])
    for s in np.array([-2.0, -0.4, 0.0, 0.5, 1.9, 2.1, 7.0]) * penalty:
        least = lowest(lambda p, s=s: p * s + divergence.value(np.array([p]), a), 0.0, 8.0)
        assert divergence.dual(np.array([s]), a)[0] == pytest.approx(least, abs=1e-6 * penalty)


@pytest.mark.parametrize("name", ["kl", "chi2"])
@pytest.mark.parametrize("penalty", [0.3, 2.0])
def test_target_conjugate_is_the_most_that_a_target_gains_at_a_price(name, penalty):
    divergence, b = TARGETS[name](penalty), np.array([0.7])
    for g in np.array([-1.9, -0.4, 0.0, 0.5, 1.7]) * penalty:
        most = -lowest(lambda q, g=g: divergence.value(np.array([q]), b) - q * g, 0.0, 8.0)
        assert divergence.conjugate(np.array([g]), b)[0] == pytest.approx(most, abs=1e-6 * penalty)


def slope(f, x, step=1e-6):
    return (f(x + step) - f(x - step)) / (2 * step)


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("penalty", [0.3, 2.0])
def test_source_mass_and_curvature_are_derivatives(name, penalty):
    divergence = SOURCES[name](penalty)
    s = penalty * np.array([-1.5, -0.2, 0.0, 0.7, 1.9, 2.2, 9.0])
    a = np.full(len(s), 0.7)
    assert_allclose(divergence.mass(s, a), slope(lambda s: divergence.dual(s, a), s), atol=1e-7)
    curvature = -slope(lambda s: divergence.mass(s, a), s)
    assert_allclose(divergence.curvature(s, a), curvature, atol=1e-7)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("penalty", [0.3, 2.0])
def test_target_mass_price_and_curvature_are_derivatives(name, penalty):
    divergence = TARGETS[name](penalty)
    g = penalty * np.array([-1.9, -0.2, 0.0, 0.7, 1.9])
    b = np.full(len(g), 0.7)
    q = divergence.mass(g, b)
    assert_allclose(q, slope(lambda g: divergence.conjugate(g, b), g), atol=1e-7)
    assert_allclose(divergence.curvature(g, b), slope(lambda g: divergence.mass(g, b), g), 1e-6)
    assert_allclose(divergence.price(q, b), g, atol=1e-12)
    own = [slope(lambda x, i=i: divergence.value(x, b[i : i + 1]), q[i : i + 1]) for i in range(5)]
    assert_allclose(divergence.price(q, b), own, atol=1e-6)


def test_hard_source_has_no_choice():
    hard, a, s = SOURCES["hard"](3.0), np.array([0.2, 0.5]), np.array([-1.0, 4.0])
    assert_array_equal(hard.dual(s, a), a * s)
    assert hard.value(a, a) == 0
    assert hard.scaled(7.0).penalty == np.inf


@pytest.mark.parametrize("name", ["kl", "chi2"])
@pytest.mark.parametrize("side", [SOURCES, TARGETS])
def test_divergence_is_least_at_the_mass_given_and_scales(side, name):
    divergence, a = side[name](0.5), np.array([0.2, 0.5])
    assert divergence.value(a, a) == 0
    assert divergence.value(np.array([0.0, 0.5]), a) > 0
    assert divergence.value(np.array([0.3, 0.5]), a) > 0
    assert divergence.scaled(4.0).penalty == 2.0
    p = np.array([0.1, 0.9])
    assert divergence.scaled(4.0).value(p, a) == pytest.approx(4 * divergence.value(p, a))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("eps", [1e-4, 1e-2, 1.0])
def test_softened_source_price_serves_what_it_offers(name, eps):
    """The fixed point of the entropic dual: ``h'(f) = a exp((f - s) / eps)``."""
    s = np.linspace(-3, 3, 61)
    source, a = SOURCES[name](0.4), np.full(len(s), 0.7)
    f = source.soften(s, eps)
    served = source.mass(f, a)
    told = served > 1e-6 * a  # beyond that its logarithm is rounding
    assert told.sum() > 20
    assert_allclose(np.log(served[told] / 0.7), (f - s)[told] / eps, atol=1e-8)
    assert (a * np.exp((f - s) / eps) < 1e-5)[~told].all()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("eps", [1e-4, 1e-2, 1.0])
def test_softened_target_price_wants_what_it_is_offered(name, eps):
    """The fixed point of the entropic dual: ``k'(g) = b exp((t - g) / eps)``."""
    t = np.linspace(-3, 3, 61)
    target, b = TARGETS[name](0.4), np.full(len(t), 0.7)
    g = target.soften(t, eps)
    wanted = target.mass(g, b)
    told = wanted > 1e-6 * b
    assert told.sum() > 20
    assert_allclose(np.log(wanted[told] / 0.7), (t - g)[told] / eps, atol=1e-8)
    assert (b * np.exp((t - g) / eps) < 1e-5)[~told].all()


@pytest.mark.parametrize("name", TARGETS)
def test_clipped_prices_are_the_lowest_that_matter(name):
    target = TARGETS[name](0.5)
    g = np.array([-np.inf, -1e9, 0.0, 3.0])
    clipped = target.clip(g)
    assert np.isfinite(clipped).all()
    assert_array_equal(clipped[2:], g[2:])
    assert (target.mass(clipped[:2], 1.0) < 1e-12).all()


# ---- what pairs cost -----------------------------------------------------------------------------


def matrix_of(cost):
    """All pairs, exactly."""
    rows, columns = np.indices(cost.shape)
    return cost.pairs(rows.ravel(), columns.ravel()).reshape(cost.shape)


def some_cost(metric, exponent=1.0, m=40, n=50, d=3, shift=1.0):
    X, Y = points(m, n, d=d, shift=shift)
    if metric == "matrix":
        C = cdist(X, Y)
        C[3], C[:, 4], C[7, 8:20] = np.inf, np.inf, np.inf
        return MatrixCost(C)
    return PointCost(X, Y, metric, exponent)


@every_metric
@pytest.mark.parametrize("exponent", [1, 1.5, 2])
def test_pairs_cost_the_power_of_the_distance(metric, exponent):
    cost = some_cost(metric, exponent)
    expected = cdist(cost.X, cost.Y, metric) ** exponent
    assert_allclose(matrix_of(cost), expected, rtol=1e-12)
    assert_allclose(matrix_of(cost.times(3.0)), 3 * expected, rtol=1e-12)
    assert_allclose(matrix_of(cost.times(3.0).raised(2)), 9 * expected**2, rtol=1e-12)
    assert_allclose(matrix_of(cost.raised(2).times(3.0)), 3 * expected**2, rtol=1e-12)


def test_matrix_cost_is_the_matrix():
    cost = some_cost("matrix")
    assert_array_equal(matrix_of(cost), cost.matrix)
    assert_array_equal(matrix_of(cost.times(3.0).raised(2)), 9 * cost.matrix**2)
    assert_array_equal(cost.feasible(), np.arange(40) != 3)


@pytest.mark.parametrize("dtype", [np.float32, int])
def test_costs_of_other_dtypes_are_exact_in_float64(dtype):
    matrix = np.random.default_rng(0).uniform(0, 9, (20, 30)).astype(dtype)
    cost = MatrixCost(matrix).times(1 / 3)
    assert matrix_of(cost).dtype == np.float64
    assert_array_equal(matrix_of(cost), matrix.astype(float) * (1 / 3))
    tile = cost.reduced(np.zeros(20), np.full(30, 0.1))
    reduced = tile(slice(0, 20), slice(0, 30))
    error = np.abs(reduced - (matrix_of(cost) + 0.1)).max()
    assert error <= cost.rounding(np.zeros(20), np.full(30, 0.1)) + 1e-15


@pytest.mark.parametrize("metric", [*METRICS, "matrix"])
def test_a_pair_costs_the_same_bits_in_any_list(metric):
    cost = some_cost(metric, 1.0).times(0.37)
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(40, size=500), rng.integers(50, size=500)
    order = rng.permutation(500)
    exact = cost.pairs(rows, columns)
    assert_array_equal(cost.pairs(rows[order], columns[order]), exact[order])
    assert_array_equal(matrix_of(cost)[rows, columns], exact)
    for i in range(5):
        assert cost.pairs(rows[i : i + 1], columns[i : i + 1]) == exact[i : i + 1]
    part = cost.take(rows[:9], columns[:11])
    assert_array_equal(matrix_of(part), matrix_of(cost)[np.ix_(rows[:9], columns[:11])])


@pytest.mark.parametrize("metric", [*METRICS, "matrix"])
@pytest.mark.parametrize("exponent", [1, 1.5])
@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6])
@pytest.mark.parametrize("shift", [1.0, 1e4])
def test_reduced_costs_are_right_up_to_their_rounding(metric, exponent, factor, shift):
    cost = some_cost(metric, shift=shift).raised(exponent).times(factor)
    rng = np.random.default_rng(1)
    levels, prices = factor * rng.normal(size=40), factor * rng.normal(size=50)
    with np.errstate(invalid="ignore"):
        exact = matrix_of(cost) + prices - levels[:, None]
    tile, rounding = cost.reduced(levels, prices), cost.rounding(levels, prices)
    largest = np.max(exact[np.isfinite(exact)])
    assert rounding <= 1e-4 * largest
    for rows, columns in [
        (slice(0, 40), slice(0, 50)),
        (slice(7, 19), slice(30, 31)),
        (slice(3, 4), slice(4, 50)),
    ]:
        block, expected = tile(rows, columns), exact[rows, columns]
        assert block.shape == expected.shape
        forbidden = np.isinf(expected)
        assert_array_equal(np.isinf(block), forbidden)
        error = np.abs(block[~forbidden].astype(float) - expected[~forbidden])
        assert error.max(initial=0) <= rounding + 1e-12 * largest


@pytest.mark.parametrize("metric", [*METRICS, "matrix"])
def test_some_rows_and_columns_are_taken(metric):
    cost = some_cost(metric).times(2.0)
    rows, columns = np.array([7, 2, 2, 30]), np.array([4, 0, 9])
    for own, theirs in [
        (rows, columns),
        (slice(3, 9), columns),
        (rows, slice(0, 50)),
        (slice(5, 6), slice(2, 9)),
    ]:
        part = cost.take(own, theirs)
        expected = matrix_of(cost)[own][:, theirs]
        assert part.shape == expected.shape
        assert_array_equal(matrix_of(part), expected)
        assert_array_equal(part.feasible(), np.isfinite(expected).any(axis=1))


def test_tiles_are_new_arrays_and_leave_the_cost_alone():
    cost = some_cost("matrix")
    before = cost.matrix.copy()
    tile = cost.reduced(np.zeros(40), np.zeros(50))
    first = tile(slice(0, 10), slice(0, 10))
    expected = first.copy()
    first[:] = -5
    assert_array_equal(tile(slice(0, 10), slice(0, 10)), expected)
    assert_array_equal(cost.matrix, before)


def test_mean_cost_is_that_of_the_allowed_pairs():
    X, Y = points(60, 70)
    C = cdist(X, Y)
    allowed = np.random.default_rng(0).random(C.shape) < 0.3
    sampled = mean_cost(MatrixCost(np.where(allowed, C, np.inf)), np.random.RandomState(0))
    assert sampled == pytest.approx(C[allowed].mean(), rel=0.05)
    weight = np.zeros(60)
    weight[5] = 1.0
    own = mean_cost(MatrixCost(C), np.random.RandomState(0), weight, np.full(70, 1 / 70))
    assert own == pytest.approx(C[5].mean(), rel=0.05)
    assert mean_cost(MatrixCost(np.zeros((3, 3))), np.random.RandomState(0)) == 1.0


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"metric": "minkowski"}, "metric.*minkowski"),
        ({"Y": np.zeros((4, 3))}, "features"),
        ({"X": np.full((5, 2), np.nan)}, "NaN"),
    ],
)
def test_points_that_have_no_distance_are_refused(wrong, message):
    options = {"X": np.zeros((5, 2)), "Y": np.ones((4, 2)), "metric": "euclidean"} | wrong
    with pytest.raises(ValueError, match=message):
        solve_transport(PointCost(**options))


# ---- passes over all pairs -----------------------------------------------------------------------


@pytest.fixture
def small_tiles(monkeypatch):
    """Many tiles and chunks even of small problems."""
    monkeypatch.setattr(pricing, "TILE_ROWS", 16)
    monkeypatch.setattr(pricing, "TILE_COLUMNS", 13)
    monkeypatch.setattr(pricing, "CHUNK_ROWS", 21)


def brute_force(cost, prices, window):
    """All pairs within a window of the best of their source, by source and then target."""
    full = matrix_of(cost) + prices
    with np.errstate(invalid="ignore"):
        near = full - full.min(axis=1, keepdims=True) <= window
    return np.nonzero(near & np.isfinite(full))


def assert_same_pairs(found, rows, columns):
    assert_array_equal(found.rows, rows)
    assert_array_equal(found.columns, columns)


@pytest.mark.parametrize("metric", [*METRICS, "matrix"])
@pytest.mark.parametrize("exponent", [1, 1.5])
@pytest.mark.parametrize("window", [0.0, 0.05, 2.0, np.inf])
def test_a_pass_finds_exactly_the_pairs_within_the_window(metric, exponent, window, small_tiles):
    cost = some_cost(metric, exponent, 80, 90)
    cost = cost if metric == "matrix" else cost.take(np.arange(80), np.arange(90) % 60)  # ties
    if metric == "matrix":
        cost = cost.take(np.delete(np.arange(40), 3), slice(0, 50))
    prices = np.round(np.random.default_rng(2).normal(size=cost.shape[1]), 1)
    levels = (matrix_of(cost) + prices).min(axis=1)
    rows, columns = brute_force(cost, prices, window)
    for given in (levels, None):
        found = price(cost, prices, given, min(window, 1e300), most=10**6)
        inside = found.cost + prices[found.columns] - levels[found.rows] <= window
        if given is None:  # the levels are found up to rounding
            found.rows, found.columns = found.rows[inside], found.columns[inside]
            found.cost = found.cost[inside]
        assert_same_pairs(found, rows, columns)
        assert_array_equal(found.cost, cost.pairs(rows, columns))
        assert_array_equal(found.least(prices), levels)


def test_levels_above_the_least_only_add_pairs():
    cost = some_cost("sqeuclidean")
    prices = np.zeros(50)
    levels = matrix_of(cost).min(axis=1) + 0.3
    found = price(cost, prices, levels, 0.2, most=10**6)
    assert_same_pairs(found, *brute_force(cost, prices, 0.5))


@pytest.mark.parametrize("most", [1, 4, 64])
def test_a_window_that_holds_too_much_loses_no_best_pair(most):
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 4, (300, 2)) / 1.0, rng.integers(0, 4, (900, 2)) / 1.0
    cost = PointCost(X, Y)
    prices = rng.integers(0, 3, 900) / 1.0
    levels = (matrix_of(cost) + prices).min(axis=1)
    found = price(cost, prices, levels, 50.0, most=most)
    assert_array_equal(found.least(prices), levels)
    kept = set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))
    assert len(kept) == len(found.rows)
    assert set(zip(*(x.tolist() for x in brute_force(cost, prices, 0.0)), strict=True)) <= kept
    if most == 1:
        assert len(kept) < 300 * 900


@pytest.mark.parametrize("metric", ["sqeuclidean", "cityblock", "matrix"])
def test_each_target_keeps_its_best_sources_too(metric, small_tiles):
    cost = some_cost(metric, m=80, n=90)
    if metric == "matrix":
        cost = cost.take(np.delete(np.arange(40), 3), slice(0, 50))
    m, n = cost.shape
    prices = 3 * np.random.default_rng(2).normal(size=n)
    reduced = matrix_of(cost) + prices
    reduced -= reduced.min(axis=1, keepdims=True)
    window, wanted = 0.5, np.random.default_rng(3).integers(0, 4, n)
    levels = (matrix_of(cost) + prices).min(axis=1)
    found = price(cost, prices, levels, window, most=10**6, for_target=wanted)
    kept = np.zeros((m, n), dtype=bool)
    kept[found.rows, found.columns] = True
    assert kept[reduced <= window].all()
    n_far = 0
    for j in range(n):
        own = reduced[:, j]
        far = np.sort(own[kept[:, j] & (own > window)])
        assert len(far) <= wanted[j]
        reach = own[np.isfinite(own)].min(initial=np.inf) + pricing.SCARCE_WINDOW * window
        best = np.sort(own[(own > window) & (own <= reach)])[: wanted[j]]
        assert_allclose(far[: len(best)], best, rtol=1e-6)  # of those that tie in float32, any
        n_far += len(best)
    assert n_far > n // 4


def test_passes_do_not_depend_on_tiles_or_workers(monkeypatch):
    cost, prices = some_cost("sqeuclidean", m=150, n=170), np.zeros(170)
    levels = matrix_of(cost).min(axis=1)
    options = {"most": 10**6, "for_target": np.full(170, 5)}
    expected = price(cost, prices, levels, 0.4, **options)
    best = cheapest(cost, prices, 4)
    monkeypatch.setattr(pricing, "TILE_ROWS", 16)
    monkeypatch.setattr(pricing, "TILE_COLUMNS", 31)
    monkeypatch.setattr(pricing, "CHUNK_ROWS", 40)
    for backend, n_jobs in [("threading", None), ("threading", 2), ("loky", 2)]:
        with parallel_config(backend=backend):
            found = price(cost, prices, levels, 0.4, n_jobs=n_jobs, **options)
            again = cheapest(cost, prices, 4, n_jobs=n_jobs)
        assert_same_pairs(found, expected.rows, expected.columns)
        assert_array_equal(found.cost, expected.cost)
        assert_array_equal(again[0], best[0])
        assert_array_equal(again[1], best[1])


def test_every_pair_is_every_allowed_pair():
    cost = some_cost("matrix")
    found = every_pair(cost)
    assert_same_pairs(found, *np.nonzero(np.isfinite(cost.matrix)))


@pytest.mark.parametrize("metric", [*METRICS, "matrix"])
@pytest.mark.parametrize("k", [1, 3, 50, 60])
def test_cheapest_targets_are_those_of_brute_force(metric, k, small_tiles):
    cost = some_cost(metric)
    if metric != "matrix":  # every second target is the same as another one
        cost = cost.take(slice(0, 40), np.arange(50) // 2 * 2)
    prices = np.repeat(np.round(np.random.default_rng(4).normal(size=25), 1), 2)
    prices[[6, 20, 21]] = np.inf
    full = matrix_of(cost) + prices
    index, value = cheapest(cost, prices, k)
    order = np.argsort(full, axis=1, kind="stable")[:, :k]
    ranked = np.take_along_axis(full, order, axis=1)
    if k > 50:
        assert (index[:, 50:] == -1).all()
        assert np.isinf(value[:, 50:]).all()
    assert_array_equal(value[:, :50], ranked)
    assert_array_equal(index[:, :50], np.where(np.isfinite(ranked), order, -1))


def test_cheapest_of_integer_points_takes_the_first_of_a_tie():
    X = np.arange(5.0)[:, None]
    Y = np.array([[1.0], [3.0], [1.0], [3.0]])
    index, full = cheapest(PointCost(X, Y), np.zeros(4), 2)
    assert index.tolist() == [[0, 2], [0, 2], [0, 1], [1, 3], [1, 3]]
    assert full[2].tolist() == [1.0, 1.0]


def test_cheapest_with_nothing_offered():
    index, full = cheapest(PointCost(*points(3, 4)), np.full(4, np.inf), 2)
    assert (index == -1).all()
    assert np.isinf(full).all()


@pytest.mark.parametrize("metric", METRICS)
def test_a_source_s_cheapest_targets_do_not_depend_on_the_others(metric):
    cost = some_cost(metric, m=60, n=40)
    prices = np.random.default_rng(0).normal(size=40)
    index, full = cheapest(cost, prices, 3)
    order = np.random.default_rng(1).permutation(60)[:20]
    assert_array_equal(cheapest(cost.take(order, slice(0, 40)), prices, 3)[0], index[order])
    alone = cheapest(cost.take(slice(9, 10), slice(0, 40)), prices, 3)
    assert_array_equal(alone[0][0], index[9])
    assert_array_equal(alone[1][0], full[9])
