"""The back-and-forth method: bounds that hold, maps that are known, and its parts one by one."""

import warnings

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

from skcf.transport import _back_and_forth as module
from skcf.transport._back_and_forth import (
    _Ascent,
    _c_transform,
    _centres,
    _gradient,
    _moments,
    _Particles,
    _solve_poisson,
    back_and_forth,
)

SHAPES = [(17,), (9, 12), (6, 5, 7)]
ROUNDING = 1e-12


def centres(shape):
    """Coordinates of the cells' centres, shape (*grid, dim)."""
    return np.stack(np.meshgrid(*_centres(shape), indexing="ij"), axis=-1)


def bump(shape, centre, width):
    """A Gaussian bump, cut off by the cube, of mass 1."""
    squares = np.sum((centres(shape) - np.asarray(centre)) ** 2, axis=-1)
    density = np.exp(-squares / (2 * width**2))
    return density / density.sum()


def rough(shape, seed):
    """Random masses, a third of them zero, of mass 1."""
    rng = np.random.default_rng(seed)
    density = rng.random(shape) * (rng.random(shape) > 1 / 3)
    return density / density.sum()


def two_bumps(n):
    """One mass that has to be torn apart: the map jumps."""
    source = bump((n, n), (0.5, 0.5), 0.08)
    target = (bump((n, n), (0.3, 0.4), 0.05) + bump((n, n), (0.7, 0.7), 0.05)) / 2
    return source, target


def half_squares(shape):
    """Costs between all centres, shape (n_cells, n_cells)."""
    X = centres(shape).reshape(-1, len(shape))
    return ot.dist(X, X) / 2


def optimum(source, target):
    """Cost of the optimal plan between masses at the centres, by the network simplex."""
    M = half_squares(source.shape)
    return ot.emd2(source.ravel(), target.ravel(), M, numItermax=10**7)


def solve(source, target, **params):
    """As far as the grid allows, which is no matter of warnings here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return back_and_forth(source, target, **{"tol": 1e-6, **params})


def mean_error(result, density, expected):
    """Mean distance of where the centres go from where they should, in cells."""
    error = np.linalg.norm(result.displacement - expected, axis=-1)
    return np.sum(density * error) * density.shape[0]


def flows(seed, shape=(10, 8)):
    """An ascent under way: potentials that are neither zero nor optimal."""
    ascent = _Ascent(rough(shape, seed), rough(shape, seed + 1))
    for side in (0, 1, 0):
        ascent.step(side)
    return ascent


# ---- the c-transform


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.1, 10.0])
def test_c_transform_is_the_minimum_over_all_centres(shape, scale):
    potential = scale * np.random.default_rng(0).standard_normal(shape)
    brute = np.min(half_squares(shape) - potential.reshape(1, -1), axis=1)
    assert_allclose(_c_transform(potential), brute.reshape(shape), atol=ROUNDING * (1 + scale))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 99))
def test_c_transform_finds_far_minima_of_steep_potentials(n, slope, bend, seed):
    x = centres((n,))[:, 0]
    noise = np.random.default_rng(seed).standard_normal(n) / n**2
    potential = slope * x + bend * x**2 + noise
    brute = np.min(half_squares((n,)) - potential, axis=1)
    assert_allclose(_c_transform(potential), brute, atol=ROUNDING)


@pytest.mark.parametrize("block", [1, 40, 2**15])
def test_c_transform_does_not_depend_on_blocks(monkeypatch, block):
    potential = np.random.default_rng(1).standard_normal((11, 13)) / 50
    expected = _c_transform(potential)
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", block)
    assert_array_equal(_c_transform(potential), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_c_transform_is_an_involution_on_c_concave_functions(shape):
    potential = np.random.default_rng(2).standard_normal(shape) / 20
    once = _c_transform(potential)
    twice = _c_transform(once)
    assert_allclose(_c_transform(twice), once, atol=ROUNDING)
    assert np.all(twice >= potential - ROUNDING)
    assert np.any(twice > potential + 1e-3)


def test_c_transform_of_a_parabola_is_known():
    """For phi = a x**2 / 2, a < 0: phi^c = y**2 a / (2 (a - 1)), to (1 - a) h**2 / 8."""
    n, a = 400, -1.5
    x = centres((n,))[:, 0] - 0.5
    error = _c_transform(a * x**2 / 2) - a / (a - 1) * x**2 / 2
    assert error.min() > -ROUNDING
    assert error.max() < (1 - a) / (8 * n**2) * 1.0001


def test_c_transform_leaves_its_argument_alone():
    potential = np.random.default_rng(3).standard_normal((5, 6))
    kept = potential.copy()
    _c_transform(potential)
    assert_array_equal(potential, kept)


# ---- pushing masses


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("per_side", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.0, 0.01, 3.0])
def test_pushing_conserves_mass(shape, per_side, scale):
    density = rough(shape, 0)
    potential = scale * np.random.default_rng(1).standard_normal(shape)
    arrived = _Particles(density, per_side).push(potential)
    assert arrived.min() >= 0
    assert_allclose(arrived.sum(), 1, rtol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("per_side", [1, 2, 4])
def test_mass_that_stays_in_place_stays_exactly(shape, per_side):
    """Also in empty cells: halves and quarters are exact."""
    density = rough(shape, 0)
    arrived = _Particles(density, per_side).push(np.full(shape, 0.3))
    assert_allclose(arrived, density, rtol=1e-13, atol=0)


@pytest.mark.parametrize("per_side", [1, 2])
def test_a_push_by_parts_of_a_cell_is_multilinear(per_side):
    """x - grad phi moves by a quarter of a cell to the right and half a cell down."""
    density = np.zeros((8, 8))
    density[3, 4] = 1
    x = centres((8, 8))
    arrived = _Particles(density, per_side).push(-(x[..., 0] * 0.25 - x[..., 1] * 0.5) / 8)
    expected = np.zeros((8, 8))
    expected[3:5, 3:5] = np.outer([0.75, 0.25], [0.5, 0.5])
    assert_allclose(arrived, expected, atol=ROUNDING)


def test_nothing_leaves_the_cube():
    density = rough((6, 7), 0)
    x = centres((6, 7))
    arrived = _Particles(density, 2).push(-5 * x[..., 0])  # far to the right
    assert_allclose(arrived[-1], density.sum(axis=0), atol=ROUNDING)


def test_moments_tell_where_the_mass_comes_from():
    """Summed over the cells they are the moments of the source, however it was moved."""
    ascent = flows(0)
    arrived = _Particles(ascent.masses[0], 2).push_moments(ascent.potentials[0])
    axes = (1, 2)
    expected = _moments(ascent.masses[0]).sum(axis=axes)
    assert_allclose(arrived.sum(axis=axes), expected, atol=ROUNDING)
    # no variance is negative
    spread = arrived[1] * arrived[0] - np.sum(arrived[2:] ** 2, axis=0)
    assert spread.min() > -ROUNDING


# ---- the smoothed gradient


@pytest.mark.parametrize("shape", SHAPES)
def test_poisson_solves_the_difference_equation(shape):
    masses = rough(shape, 0) - rough(shape, 1)
    u = _solve_poisson(masses)
    laplacian = np.zeros(shape)
    for axis, n in enumerate(shape):
        # no flow through the boundary
        ends = np.zeros_like(u.take([0], axis))
        laplacian += np.diff(np.diff(u, axis=axis), axis=axis, prepend=ends, append=ends) * n**2
    assert_allclose(-laplacian, masses * masses.size, atol=1e-9)
    assert abs(u.mean()) < ROUNDING


def test_gradient_is_exact_for_parabolas_inside():
    x = centres((10, 12))
    values = x[..., 0] ** 2 - 3 * x[..., 0] * x[..., 1]
    assert_allclose(_gradient(values, 0)[1:-1], (2 * x[..., 0] - 3 * x[..., 1])[1:-1], atol=1e-12)
    assert_allclose(_gradient(values, 1), -3 * x[..., 0], atol=1e-12)


@pytest.mark.parametrize("side", [0, 1])
def test_the_direction_is_one_of_ascent(side):
    """For a smooth density and a step that is longer than a cell's kinks, but not by much."""
    source, target = bump((64,), (0.3,), 0.1), bump((64,), (0.6,), 0.15)
    ascent = _Ascent(source, target)
    before = ascent.dual
    ascent.sigma = [1e-2, 1e-2]
    ascent.step(side)
    assert ascent.dual > before


@pytest.mark.parametrize(
    "first, change",
    [
        (1e-5, module.STEP_UP),  # the slope holds
        (1e6, module.STEP_BACK),  # falls
    ],
)
def test_steps_adapt(first, change):
    ascent = _Ascent(bump((64,), (0.3,), 0.1), bump((64,), (0.6,), 0.15))
    ascent.sigma = [first, first]
    before = ascent.potentials
    ascent.step(0)
    assert_allclose(ascent.sigma, [first * change, first])
    assert (ascent.potentials is before) == (change < module.STEP_DOWN)


@pytest.mark.parametrize("gain, change", [(0.9, 1.25), (0.5, 1.0), (0.1, 0.9), (-0.1, 0.9)])
def test_gains_decide_on_the_next_step(gain, change):
    ascent = flows(0)
    before = list(ascent.sigma)
    ascent._adapt(1, gain)
    assert_allclose(ascent.sigma, [before[0], before[1] * change])


# ---- bounds


CASES = {
    "line": (rough((60,), 0), rough((60,), 1)),
    "torn": two_bumps(24),
    "rough": (rough((14, 18), 0), rough((14, 18), 1)),
    "shrunk": (bump((20, 20), (0.5, 0.5), 0.15), bump((20, 20), (0.4, 0.6), 0.07)),
    "solid": (bump((8, 9, 7), (0.3, 0.4, 0.5), 0.15), bump((8, 9, 7), (0.6, 0.6, 0.4), 0.2)),
    "points": (np.eye(1, 144).reshape(12, 12), np.eye(1, 144, 100).reshape(12, 12)),
}


@pytest.mark.parametrize("case", CASES)
def test_both_bounds_hold(case):
    """Neither knows a tolerance: the potentials are feasible, and so is the plan."""
    best = optimum(*CASES[case])
    for max_iter in (1, 10, 200):
        result = solve(*CASES[case], max_iter=max_iter)
        assert result.dual <= best + ROUNDING
        assert result.primal >= best - ROUNDING
        assert_allclose(result.gap, max(result.primal - result.dual, 0) / result.primal, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_potentials_are_feasible_and_make_the_dual_value(case):
    source, target = CASES[case]
    result = solve(source, target)
    sums = result.phi.reshape(-1, 1) + result.psi.reshape(1, -1)
    assert np.all(sums <= half_squares(source.shape) + ROUNDING)
    assert_allclose(_c_transform(result.phi), result.psi, atol=ROUNDING)
    assert_allclose(_c_transform(result.psi), result.phi, atol=ROUNDING)
    value = np.sum(result.phi * source) + np.sum(result.psi * target)
    assert_allclose(value, result.dual, atol=ROUNDING)
    reached = centres(source.shape) + result.displacement
    assert reached.min() >= -ROUNDING
    assert reached.max() <= 1 + ROUNDING


@pytest.mark.parametrize("case", CASES)
def test_no_accepted_step_falls_by_more_than_the_slack(case):
    result = solve(*CASES[case])
    slack = module.SLACK * sum(1 / n**2 for n in result.phi.shape)
    highest = np.maximum.accumulate(result.dual_values)
    assert np.all(result.dual_values >= highest - slack - ROUNDING)
    assert result.dual == highest[-1]


@pytest.mark.parametrize("case", CASES)
def test_without_slack_every_accepted_step_climbs(monkeypatch, case):
    monkeypatch.setattr(module, "SLACK", 0.0)
    result = solve(*CASES[case])
    assert np.all(np.diff(result.dual_values) >= -ROUNDING)
    assert len(result.dual_values) > 2


def test_slack_is_worth_its_while(monkeypatch):
    """The reason for it, on the case where it matters most: the map jumps."""
    source, target = two_bumps(48)
    with_slack = solve(source, target).dual
    monkeypatch.setattr(module, "SLACK", 0.0)
    assert with_slack > solve(source, target).dual


def test_the_gap_is_of_the_order_of_the_grid():
    """A smooth problem leaves less than the squared width of a cell between the bounds.

    Masses at centres have to be split between centres: that alone costs up to an eighth of it
    for each axis.
    """
    for n in (16, 32):
        result = solve(bump((n, n), (0.35, 0.4), 0.1), bump((n, n), (0.6, 0.55), 0.12))
        assert result.primal - result.dual < 1 / n**2


# ---- known answers


def test_line_against_the_quantile_formula():
    """The optimum is exact here: half the mean of squared differences of quantiles."""
    n = 256
    source = bump((n,), (0.3,), 0.08)
    target = (bump((n,), (0.65,), 0.05) + bump((n,), (0.3,), 0.05)) / 2
    x = centres((n,))[:, 0]
    exact = ot.emd2_1d(x, x, source, target) / 2
    result = solve(source, target)
    assert result.dual <= exact + ROUNDING
    assert_allclose([result.dual, result.primal], exact, rtol=2e-3)
    # the map joins quantiles; their levels are known to the mass of a cell
    middle = np.cumsum(source) - source / 2
    quantiles = x[np.minimum(np.searchsorted(np.cumsum(target), middle), n - 1)]
    error = np.abs(result.map_points(x[:, None])[:, 0] - quantiles)
    # where the mass is torn apart (at the level 1/2) a cell may go to either side
    assert np.sum(source * error) * n < 2
    assert np.quantile(error[source > 1e-3], 0.95) * n < 2


def test_line_between_normal_distributions():
    """The map is affine: 0.6 + 2 (x - 0.35), to a cell within 2.5 standard deviations."""
    n = 300
    x = centres((n,))[:, 0]
    source, target = norm.pdf(x, 0.35, 0.04), norm.pdf(x, 0.6, 0.08)
    result = solve(source / source.sum(), target / target.sum())
    expected = (0.25 + (x - 0.35))[:, None]
    core = np.abs(x - 0.35) < 0.1
    assert np.max(np.abs(result.displacement - expected)[core]) * n < 1
    assert_allclose(result.dual, (0.25**2 + 0.04**2) / 2, rtol=2e-3)


@pytest.mark.parametrize("shift", [(20, 28), (-13, 0), (0, 9)])
def test_translations(shift):
    """By whole cells, so that the plan splits nothing and the optimum is |shift|**2 / 2."""
    n = 64
    centre = 0.5 - np.array(shift) / (2 * n)
    source = bump((n, n), centre, 0.05)
    source[source < 1e-6 * source.max()] = 0  # nothing that would wrap around
    source /= source.sum()
    result = solve(source, np.roll(source, shift, axis=(0, 1)))
    moved = np.array(shift) / n
    assert_allclose(result.dual, moved @ moved / 2, rtol=0.01)
    assert_allclose(result.primal, moved @ moved / 2, rtol=0.01)
    assert mean_error(result, source, moved) < 0.5


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scalings(factor):
    """From a bump to one as wide by a factor at another place: an affine map."""
    n, width = 64, 0.08
    source = bump((n, n), (0.45, 0.5), width / np.sqrt(factor))
    target = bump((n, n), (0.55, 0.5), width * np.sqrt(factor))
    result = solve(source, target)
    x = centres((n, n))
    expected = np.array([0.55, 0.5]) + factor * (x - [0.45, 0.5]) - x
    assert mean_error(result, source, expected) < 0.5
    exact = (0.1**2 + 2 * width**2 * (np.sqrt(factor) - np.sqrt(1 / factor)) ** 2) / 2
    assert_allclose(result.dual, exact, atol=0.5 / n**2)


@pytest.mark.parametrize("case", ["torn", "shrunk", "rough"])
def test_plane_against_the_network_simplex(case):
    """The optimum is of the same masses at the same centres: what is left is the climb's.

    It ends where the kinks of the dual stop the smoothed gradient. Those are an eighth of h**2
    high for each axis, so they are what it may be expected to miss; twice that is allowed.
    """
    source, target = CASES[case]
    assert optimum(source, target) - solve(source, target).dual < 0.5 / source.shape[0] ** 2


def test_solid():
    """A translation in three dimensions, by whole cells: (3, 0, -2) of 16."""
    n = 16
    source = bump((n, n, n), (0.4, 0.5, 0.55), 0.09)
    source[source < 1e-4 * source.max()] = 0
    source /= source.sum()
    result = solve(source, np.roll(source, (3, 0, -2), axis=(0, 1, 2)), max_iter=60)
    exact = (3**2 + 2**2) / n**2 / 2
    assert exact - 0.5 / n**2 < result.dual <= exact + ROUNDING
    assert mean_error(result, source, np.array([3, 0, -2]) / n) < 0.5


def test_cells_need_not_be_squares():
    """Widths differ by axis; the cost does not."""
    source, target = bump((48, 24), (0.3, 0.5), 0.1), bump((48, 24), (0.6, 0.5), 0.1)
    result = solve(source, target)
    assert result.dual <= optimum(source, target) + ROUNDING
    assert_allclose(result.dual, 0.3**2 / 2, rtol=0.01)


def test_nothing_to_do():
    density = rough((12, 13), 0)
    result = back_and_forth(density, density)
    assert result.n_iter == 0
    assert result.gap == 0
    assert_array_equal(result.displacement, 0)


# ---- symmetries


@pytest.mark.parametrize("axis", [0, 1])
def test_flipping_an_axis_flips_the_answer(axis):
    source, target = two_bumps(20)
    one = solve(source, target, max_iter=10)
    other = solve(np.flip(source, axis), np.flip(target, axis), max_iter=10)
    assert_allclose(other.dual, one.dual, rtol=1e-9)
    assert_allclose(np.flip(other.phi, axis), one.phi, atol=1e-9)
    mirrored = np.flip(other.displacement, axis) * np.where(np.arange(2) == axis, -1, 1)
    assert_allclose(mirrored, one.displacement, atol=1e-7)


def test_transposing_the_grid_transposes_the_answer():
    source, target = bump((20, 15), (0.3, 0.5), 0.1), bump((20, 15), (0.6, 0.4), 0.12)
    one, other = (solve(*pair, max_iter=10) for pair in ((source, target), (source.T, target.T)))
    assert_allclose(other.phi.T, one.phi, atol=1e-9)
    assert_allclose(other.displacement.transpose(1, 0, 2)[..., ::-1], one.displacement, atol=1e-7)


def test_swapping_the_sides_swaps_the_potentials():
    """To within the gap: the first step is in the target's potential, so the paths differ."""
    source, target = CASES["shrunk"]
    there, back = solve(source, target), solve(target, source)
    narrow = min(there.primal, back.primal) - max(there.dual, back.dual)
    assert narrow >= -ROUNDING
    assert abs(there.dual - back.dual) <= there.primal - there.dual
    # the way back undoes the way there, to a cell on average
    x = centres(source.shape)
    landed = back.map_points(there.map_points(x.reshape(-1, 2))).reshape(x.shape)
    assert mean_error(there, source, there.displacement + landed - x) < 1


def test_masses_are_normalised():
    source, target = CASES["shrunk"]
    one, other = solve(source, target), solve(4 * source, 4 * target)
    assert one.dual == other.dual
    assert_array_equal(one.displacement, other.displacement)


# ---- points, inputs, warnings


@pytest.mark.parametrize("case", ["line", "shrunk", "solid"])
def test_map_points_agrees_with_the_grid(case):
    result = solve(*CASES[case], max_iter=20)
    x = centres(result.phi.shape)
    points = x.reshape(-1, x.shape[-1])
    moved = result.map_points(points).reshape(x.shape)
    assert_allclose(moved, x + result.displacement, atol=ROUNDING)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_map_points_goes_on_linearly_to_the_boundary():
    """From uniform to uniform on the first half: T(x) = x / 2, up to a kink's half cell."""
    n = 40
    target = np.where(np.arange(n) < n // 2, 2.0, 0.0)
    result = solve(np.ones(n), target)
    points = np.linspace(0, 1, 101)
    assert_allclose(result.map_points(points[:, None])[:, 0], points / 2, atol=0.6 / n)
    moves = result.displacement[:, 0]
    beyond = result.map_points([[1.0], [0.0]])[:, 0] - [1.0, 0.0]
    expected = [moves[-1] + (moves[-1] - moves[-2]) / 2, moves[0] + (moves[0] - moves[1]) / 2]
    assert_allclose(beyond, np.clip(expected, [-1, 0], [0, 1]), atol=ROUNDING)


def test_map_points_is_multilinear_between_centres_and_stays_in_the_cube():
    result = solve(*CASES["shrunk"], max_iter=20)
    corners = np.array([[5, 7], [6, 7], [5, 8], [6, 8]])
    grid = result.displacement[tuple(corners.T)]
    point = (corners[0] + 0.5 + [0.25, 0.5]) / 20
    weights = np.outer([0.5, 0.5], [0.75, 0.25]).ravel()
    assert_allclose(result.map_points([point])[0], point + weights @ grid, atol=ROUNDING)
    edges = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 1.0]])
    moved = result.map_points(edges)
    assert moved.shape == (5, 2)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_map_points_refuses_what_is_no_point_of_the_cube():
    result = solve(*CASES["shrunk"], max_iter=1)
    with pytest.raises(ValueError, match=r"shape \(n_points, 2\), got \(3,\)"):
        result.map_points([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"shape \(n_points, 2\), got \(1, 3\)"):
        result.map_points([[0.1, 0.2, 0.3]])
    for bad in (1.1, -0.1, np.nan):
        with pytest.raises(ValueError, match="unit cube"):
            result.map_points([[0.5, bad]])


@pytest.mark.parametrize(
    "source, target, message",
    [
        ([0.5, -0.5, 1.0], [1.0, 0, 0], "source must be nonnegative, got -0.5"),
        ([1.0, 0, 0], [0.5, -0.5, 1.0], "target must be nonnegative, got -0.5"),
        ([0.5, np.nan], [0.5, 0.5], "source must be finite"),
        ([0.5, 0.5], [0.5, np.inf], "target must be finite"),
        ([0.5, 0.5], [0.5, 0.25, 0.25], r"same shape, got \(2,\) and \(3,\)"),
        ([0.0, 0.0], [0.5, 0.5], "source must have some mass"),
        ([0.5, 0.5], [0.0, 0.0], "target must have some mass"),
        ([0.5, 0.5], [0.5, 0.6], "same mass, got 1.0 and 1.1"),
        (np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 2)), r"one to three dimensions.*\(2, 2, 2, 2\)"),
        (np.ones((3, 1)), np.ones((3, 1)), r"two cells or more.*\(3, 1\)"),
        (1.0, 1.0, r"one to three dimensions.*\(\)"),
    ],
)
def test_bad_densities(source, target, message):
    with pytest.raises(ValueError, match=message):
        back_and_forth(source, target)


@pytest.mark.parametrize("params", [{"max_iter": 0}, {"tol": 0}, {"tol": -1}, {"tol": np.nan}])
def test_bad_parameters(params):
    with pytest.raises(ValueError, match="must be positive"):
        back_and_forth(*CASES["shrunk"], **params)


def test_inputs_are_not_written_to():
    source, target = (3 * density for density in CASES["shrunk"])
    kept = source.copy(), target.copy()
    solve(source, target, max_iter=5)
    assert_array_equal(source, kept[0])
    assert_array_equal(target, kept[1])


def test_a_warning_names_the_parameter_to_raise():
    with pytest.warns(ConvergenceWarning, match="max_iter=3 .* Raise max_iter or tol") as caught:
        result = back_and_forth(*CASES["shrunk"], max_iter=3, tol=1e-6)
    assert result.n_iter == 3
    assert caught[0].filename == __file__


def test_a_warning_tells_when_iterations_do_not_help():
    with pytest.warns(ConvergenceWarning, match="14 x 18 cells resolves no more. Refine the grid"):
        result = back_and_forth(*CASES["rough"], tol=1e-6)
    assert result.n_iter < 200


def test_no_warning_where_the_tolerance_is_reached():
    """Warnings are errors here."""
    result = back_and_forth(*CASES["line"], tol=0.2)
    assert result.gap <= 0.2


@pytest.mark.parametrize("shape", [(2,), (2, 2), (3, 40), (5, 4, 3)])
def test_lonely_masses_zeros_and_tiny_masses_make_no_nan(shape):
    first, last = np.zeros(shape), np.zeros(shape)
    first.flat[0] = last.flat[-1] = 1
    tiny = last + np.random.default_rng(0).random(shape) * 1e-310
    with np.errstate(all="raise", under="ignore"):
        for pair in ((first, last), (first, np.full(shape, 1 / first.size)), (tiny, first)):
            result = solve(*pair, max_iter=40)
            assert np.all(np.isfinite(result.displacement))
            assert np.isfinite(result.gap)
            assert result.gap < 0.05


def test_progress_goes_to_standard_error(capsys):
    solve(*CASES["shrunk"], max_iter=2, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "back and forth" in err
