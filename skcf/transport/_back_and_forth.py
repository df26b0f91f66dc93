"""Optimal transport between two densities on a grid, for the squared Euclidean cost.

The back-and-forth method of Jacobs and Léger: the dual is climbed in one potential and in the
other by turns, along gradients that a Poisson equation smooths, and each step ends with the
c-transform, which makes the best of what the step has found. The masses are taken to sit at
the centres of the grid's cells: both bounds that certify an answer are of that problem.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn
from scipy.interpolate import RegularGridInterpolator
from sklearn.exceptions import ConvergenceWarning

from skcf._progress import progress

__all__ = ["GridTransport", "back_and_forth"]

FIRST_STEP = 8.0
"""The first step times the highest density. The step adapts itself: it is cheap to start high."""

STEP_UP, STEP_DOWN, STEP_BACK = 1.25, 0.9, 0.5
"""What a step is multiplied by: where it gained much, little, or more than `SLACK` too little."""

GAIN_HIGH, GAIN_LOW = 0.75, 0.25
"""Much and little, as shares of what the slope at the start of the step promised."""

SLACK = 1 / 64
"""How far a step may fall below the best dual value, in squares of the cells' widths.

On a grid the dual has kinks that the smoothed gradient does not see: a c-transform over centres
is up to an eighth of a square off the one over the whole cube. Insisting on ascent ends at the
first kink, two or three times as far from the optimum."""

CHECK_EVERY = 10
"""Iterations between two certificates; one costs as much as one to ten iterations."""

STALL_CHECKS, STALL_SHARE = 2, 0.02
"""The grid resolves no more once so many certificates in a row close less than this of the gap."""

CLIMB_PARTICLES, PLAN_PARTICLES = {1: 4, 2: 1, 3: 1}, {1: 4, 2: 2, 3: 2}
"""Particles along each side of a cell, by dimension, in which the cell's mass is moved.

More hardly raise the dual value, but make cheaper plans where the map stretches cells."""

BLOCK_ELEMENTS = 2**15
"""Values that a c-transform works on at once: three times as many bytes fit the cache."""


@dataclass(frozen=True, eq=False)
class GridTransport:
    """What moves one density on a grid onto another, and how good that is.

    Grids have cells of equal size over the unit cube; values belong to the cells' centres,
    ``(i + 0.5) / n`` along an axis of n cells.

    Attributes
    ----------
    phi, psi : ndarray of float64, shape (*grid)
        Potentials of the source and of the target, ``phi[x] + psi[y] <= |x - y|**2 / 2``
        everywhere up to rounding, each the c-transform of the other.
    displacement : ndarray of float64, shape (*grid, dim)
        ``T(x) - x = -grad phi(x)`` at the centres of the source's cells, by differences. T(x)
        is in the cube up to rounding. Where the source has no mass, T is one of many.
    primal : float
        Cost of a transport plan between the two densities as masses at the centres: no
        optimum exceeds it. The best plan that was found for the certificate.
    dual : float
        Value of the potentials: no plan costs less.
    gap : float
        Measured certificate: ``(primal - dual) / primal``.
    dual_values : ndarray of float64, shape (n_steps,)
        Dual values at the start and after each accepted step; `dual` is the highest.
    n_iter : int
        Iterations that were done, each with a step in either potential.
    """

    phi: np.ndarray
    psi: np.ndarray
    displacement: np.ndarray
    primal: float
    dual: float
    gap: float
    dual_values: np.ndarray
    n_iter: int

    def map_points(self, points):
        """Where points of the cube are moved: x + the displacement, interpolated multilinearly.

        Parameters
        ----------
        points : array-like of float, shape (n_points, dim)
            Points of the unit cube.

        Returns
        -------
        ndarray of float64, shape (n_points, dim)
            Points of the unit cube. The displacement goes on linearly between the outermost
            centres and the boundary.
        """
        points = np.asarray(points, dtype=float)
        dim = self.phi.ndim
        if points.ndim != 2 or points.shape[1] != dim:
            raise ValueError(f"points must have shape (n_points, {dim}), got {points.shape}.")
        if not np.all((points >= 0) & (points <= 1)):
            raise ValueError("points must be in the unit cube, and not NaN.")
        moves = RegularGridInterpolator(
            _centres(self.phi.shape), self.displacement, bounds_error=False, fill_value=None
        )
        return np.clip(points + moves(points), 0, 1)


def back_and_forth(source, target, *, max_iter=200, tol=0.01, verbose=0):
    """Optimal transport of one density on a grid onto another, by the back-and-forth method.

    Solves, for mu and nu the densities as probabilities at the centres of equal cells of the
    unit cube, with the cost ``c(x, y) = |x - y|**2 / 2`` (Kantorovich's dual, [1]_)::

        max over phi  sum_x phi(x) mu(x) + sum_y phi^c(y) nu(y),  phi^c(y) = min_x c(x, y) - phi(x)

    and the same with psi = phi^c as the variable, by turns.

    Parameters
    ----------
    source, target : array-like of float, shape (n1,), (n1, n2) or (n1, n2, n3)
        Nonnegative, of one shape and the same positive sum; normalised to sum 1. Zeros are
        allowed. Every axis has two cells or more.
    max_iter : int, default=200
        Iterations to do at most. Twenty to fifty get most of what a grid has to give.
    tol : float, default=0.01
        Relative duality gap to stop at.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    GridTransport
        Potentials, displacements, both bounds of the cost, and the gap between them.

    Warns
    -----
    ConvergenceWarning
        If the gap is still wider than `tol` after `max_iter` iterations, or does not close any
        further before that: then the grid is too coarse for it.

    Notes
    -----
    The gap is a certificate of the answer, measured without knowing the optimum. The dual
    value is a lower bound, since the c-transform over the grid's centres is exact: the
    potentials are feasible. The upper bound is the cost of a plan: the one that the map makes,
    with the mass that arrives in the wrong place sent on to where some is missing, in blocks
    of 2, 4, 8, ... cells.

    A map moves a centre to between other centres, so a plan has to split its mass; the smoothed
    gradient knows nothing of that. What is left of the gap when no step helps is of the order of
    the squared width of a cell, and wider where the map jumps; most of it is the plan's, and
    `dual` is much the nearer bound. Replacing densities by masses at centres changes the cost by
    as much, so a finer grid serves both. Where masses move by no more than a few cells, a
    relative gap cannot get small.

    As usual the step is lengthened or shortened by how much of what the slope promised is
    gained; it is taken back only where the dual value falls visibly below the best one.

    References
    ----------
    .. [1] M. Jacobs and F. Léger. "A fast approach to optimal transport: the back-and-forth
       method". Numerische Mathematik 146, 513-544, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.transport._back_and_forth import back_and_forth
    >>> x = (np.arange(200) + 0.5) / 200
    >>> bump = np.exp(-((x - 0.3) ** 2) / 0.01)
    >>> moved = back_and_forth(bump, np.roll(bump, 80))
    >>> moved.map_points([[0.25], [0.3]]).round(2)
    array([[0.65],
           [0.7 ]])
    >>> moved.gap < 0.01
    True
    """
    mu, nu = _check_densities(source, target)
    if max_iter < 1 or not tol > 0:
        raise ValueError(f"max_iter and tol must be positive, got {max_iter} and {tol}.")
    ascent = _Ascent(mu, nu)
    n_iter, stalled = _climb(ascent, max_iter, tol, verbose)
    if ascent.gap > tol:
        _warn(ascent.gap, tol, mu.shape, max_iter, stalled)
    phi, psi = ascent.best
    return GridTransport(
        phi=phi,
        psi=psi,
        displacement=-np.stack([_gradient(phi, axis) for axis in range(phi.ndim)], axis=-1),
        primal=ascent.primal,
        dual=ascent.dual,
        gap=ascent.gap,
        dual_values=np.array(ascent.dual_values),
        n_iter=n_iter,
    )


def _check_densities(source, target):
    """Both as arrays of sum 1."""
    source, target = np.asarray(source, dtype=float), np.asarray(target, dtype=float)
    if source.shape != target.shape:
        raise ValueError(
            f"source and target must have the same shape, got {source.shape} and {target.shape}."
        )
    if source.ndim not in (1, 2, 3) or min(source.shape) < 2:
        raise ValueError(
            "source and target must have one to three dimensions of two cells or more, "
            f"got the shape {source.shape}."
        )
    for name, density in (("source", source), ("target", target)):
        if not np.all(np.isfinite(density)):
            raise ValueError(f"{name} must be finite, got NaN or infinity.")
        if density.min() < 0:
            raise ValueError(f"{name} must be nonnegative, got {density.min()}.")
        if density.sum() == 0:
            raise ValueError(f"{name} must have some mass, got none.")
    if not np.isclose(source.sum(), target.sum(), rtol=1e-6, atol=0):
        raise ValueError(
            "source and target must have the same mass, "
            f"got {source.sum()} and {target.sum()}; divide each by its sum."
        )
    return source / source.sum(), target / target.sum()


def _warn(gap, tol, shape, max_iter, stalled):
    """Say what stood in the way."""
    cells = " x ".join(map(str, shape))
    if stalled:
        why = f"a grid of {cells} cells resolves no more. Refine the grid, or raise tol"
    else:
        why = f"max_iter={max_iter} was reached. Raise max_iter or tol"
    warnings.warn(
        f"back_and_forth stopped at a relative duality gap of {gap:.2g}, above tol={tol}: {why}.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _climb(ascent, max_iter, tol, verbose):
    """Iterate until the gap is narrow enough, or stays as it is."""
    ascent.certify()
    if ascent.gap <= tol:
        return 0, False
    gaps = []
    for n_iter in progress(range(1, max_iter + 1), verbose, max_iter, "back and forth"):
        ascent.step(0)
        ascent.step(1)
        if n_iter % CHECK_EVERY and n_iter < max_iter:
            continue
        ascent.certify()
        gaps.append(ascent.gap)
        if ascent.gap <= tol:
            return n_iter, False
        if len(gaps) > STALL_CHECKS and gaps[-1] > (1 - STALL_SHARE) * gaps[-1 - STALL_CHECKS]:
            return n_iter, True
    return max_iter, False


class _Ascent:
    """Potentials on their way up. Sides: 0 is the source's, 1 the target's."""

    def __init__(self, mu, nu):
        self.masses = mu, nu
        self.climbing = [_Particles(mass, CLIMB_PARTICLES[mu.ndim]) for mass in (mu, nu)]
        self.planning = [_Particles(mass, PLAN_PARTICLES[mu.ndim]) for mass in (mu, nu)]
        self.sigma = [FIRST_STEP / (max(mu.max(), nu.max()) * mu.size)] * 2
        self.slack = SLACK * sum(1 / n**2 for n in mu.shape)
        self.potentials = self.best = np.zeros(mu.shape), np.zeros(mu.shape)
        self.primal, self.dual = np.inf, self.value(*self.potentials)
        self.dual_values = [self.dual]

    @property
    def gap(self):
        """Relative duality gap; differences that are rounding errors count for nothing."""
        difference = self.primal - self.dual
        return max(difference, 0.0) / self.primal if difference > 1e-15 else 0.0

    def value(self, phi, psi):
        """Dual value of feasible potentials."""
        return float(np.vdot(phi, self.masses[0]) + np.vdot(psi, self.masses[1]))

    def step(self, side):
        """Push the mass of a side through its map; raise the other potential where it is missed."""
        other = 1 - side
        missed = self.masses[other] - self.climbing[side].push(self.potentials[side])
        direction = _solve_poisson(missed)
        slope = float(np.sum(missed * direction))
        if slope <= 0:  # it arrives exactly as wanted
            return
        raised = self.potentials[other] + self.sigma[side] * direction
        turned = _c_transform(raised)
        pair = (turned, raised) if side == 0 else (raised, turned)
        value = self.value(*pair)
        if value < self.dual - self.slack:
            self.sigma[side] *= STEP_BACK
            return
        self._adapt(side, (value - self.dual_values[-1]) / (self.sigma[side] * slope))
        raised = _c_transform(turned)
        self._accept((turned, raised) if side == 0 else (raised, turned))

    def _adapt(self, side, gain):
        """Choose the next step of a side by what this one gained, as a share of its promise."""
        if gain > GAIN_HIGH:
            self.sigma[side] *= STEP_UP
        elif gain < GAIN_LOW:
            self.sigma[side] *= STEP_DOWN

    def _accept(self, pair):
        """Go on from potentials, and keep them if they are the best so far."""
        self.potentials = pair
        self.dual_values.append(self.value(*pair))
        if self.dual_values[-1] > self.dual:
            self.dual, self.best = self.dual_values[-1], pair

    def certify(self):
        """Look for a cheaper plan, from the best potentials, by either side's map."""
        for side in (0, 1):
            arrived = self.planning[side].push_moments(self.best[side])
            cost = _coupling_cost(arrived, _moments(self.masses[1 - side]))
            self.primal = max(min(self.primal, cost), 0.0)  # it may round to just below zero


class _Particles:
    """A density as particles: equally many in each cell that has mass.

    A particle is a box as wide as its share of the cell, wherever it is moved to: particles
    that stay in place give back the density exactly.
    """

    def __init__(self, density, per_side):
        self.shape, self.dim, self.per_side = density.shape, density.ndim, per_side
        cells = np.arange(density.size).reshape(self.shape)
        for axis in range(self.dim):
            cells = np.repeat(cells, self.per_side, axis=axis)
        self.index = np.flatnonzero(density.ravel()[cells])
        self.cells = cells.ravel()[self.index]
        self.mass = density.ravel()[self.cells] / self.per_side**self.dim
        places = np.unravel_index(self.index, cells.shape)
        # in cells, counted from the first centre
        self.places = [(p + 0.5) / self.per_side - 0.5 for p in places]
        self.values = _moments(density, weighted=False).reshape(-1, density.size)

    def land(self, potential):
        """Where x - grad potential(x) moves the particles.

        Returns
        -------
        first : ndarray of int, shape (n_particles,)
            Flat index of the first cell, along each axis, that the box covers a part of; it
            is never the last of its axis.
        shares : list of ndarray of float64, shape (n_particles,)
            For each axis the share of the box that the cell after the first one gets.
        """
        first, shares = np.zeros(len(self.index), dtype=np.intp), []
        for axis, n in enumerate(self.shape):
            move = _refine(_gradient(potential, axis) * n, self.per_side)
            place = np.clip(self.places[axis] - move.ravel()[self.index], 0, n - 1)
            left = np.minimum(place.astype(np.intp), n - 2)
            first *= n
            first += left
            shares.append(np.clip((place - left - 0.5) * self.per_side + 0.5, 0, 1))
        return first, shares

    def push(self, potential):
        """Masses that arrive in the cells, shape (*grid); their sum is that of the density."""
        first, shares = self.land(potential)
        return self._deposit(first, self._parts(shares))

    def push_moments(self, potential):
        """Moments of where the mass in a cell comes from, as `_moments` has them."""
        first, shares = self.land(potential)
        parts = self._parts(shares)
        values = (value[self.cells] for value in self.values[1:])
        weighted = ({at: mass * value for at, mass in parts.items()} for value in values)
        return np.stack([self._deposit(first, p) for p in (parts, *weighted)])

    def _parts(self, shares):
        """Masses of the parts of the boxes, by how far along each axis from their first cells."""
        parts = {(): self.mass}
        for share in shares:
            moved = {at: mass * share for at, mass in parts.items()}
            parts = {
                **{(*at, 0): mass - moved[at] for at, mass in parts.items()},
                **{(*at, 1): mass for at, mass in moved.items()},
            }
        return parts

    def _deposit(self, first, parts):
        """Add up by cell."""
        total = np.zeros(self.shape)
        for at, masses in parts.items():
            sums = np.bincount(first, masses, minlength=total.size).reshape(self.shape)
            there = tuple(slice(side, None) for side in at)
            here = tuple(slice(0, n - side) for n, side in zip(self.shape, at, strict=True))
            total[there] += sums[here]
        return total


def _centres(shape):
    """Coordinates of the cells' centres along each axis."""
    return [(np.arange(n) + 0.5) / n for n in shape]


def _moments(density, weighted=True):
    """Mass, second and first moments of each cell, all of it at the centre.

    Shape (2 + dim, *grid), about the middle of the cube. Divided by the mass if not weighted.
    """
    grid = np.meshgrid(*[x - 0.5 for x in _centres(density.shape)], indexing="ij")
    moments = np.stack([np.ones(density.shape), sum(x**2 for x in grid), *grid])
    return moments * density if weighted else moments


def _gradient(values, axis):
    """Mean of the differences to both neighbours along an axis; outermost, the one there is."""
    differences = np.diff(values, axis=axis) * values.shape[axis]
    width = [(int(a == axis),) * 2 for a in range(values.ndim)]
    padded = np.pad(differences, width, mode="edge")
    n = values.shape[axis]
    return (padded.take(range(n), axis) + padded.take(range(1, n + 1), axis)) / 2


def _refine(values, factor):
    """Interpolate multilinearly to the centres of `factor` times as many cells along each axis."""
    if factor == 1:
        return values
    for axis, n in enumerate(values.shape):
        place = (np.arange(n * factor) + 0.5) / factor - 0.5
        left = np.clip(np.floor(place).astype(np.intp), 0, n - 2)
        right = np.expand_dims(place - left, [a for a in range(values.ndim) if a != axis])
        values = values.take(left, axis) * (1 - right) + values.take(left + 1, axis) * right
    return values


def _solve_poisson(masses):
    """Solve -Laplace u = density, the density of masses of sum zero, without flow at the boundary.

    The type-2 cosine transform diagonalises the differences between cells; u has mean zero.
    """
    eigenvalues = 0.0
    for axis, n in enumerate(masses.shape):
        along = 4 * n**2 * np.sin(np.pi * np.arange(n) / (2 * n)) ** 2
        others = [a for a in range(masses.ndim) if a != axis]
        eigenvalues = eigenvalues + np.expand_dims(along, others)
    eigenvalues.flat[0] = np.inf  # the constant
    return idctn(dctn(masses * masses.size) / eigenvalues)


def _c_transform(potential):
    """phi^c(y) = min over centres x of |x - y|**2 / 2 - phi(x), exactly, at all centres y.

    The square is a sum over axes, so the minimum is taken along one axis after the other.
    """
    envelope = -potential
    for axis, n in enumerate(potential.shape):
        lines = np.moveaxis(envelope, axis, 0)
        flat = lines.reshape(n, -1)
        out = np.empty(flat.shape)
        width = max(1, BLOCK_ELEMENTS // n)
        for first in range(0, flat.shape[1], width):
            block = slice(first, first + width)
            out[:, block] = _lower_envelope(np.ascontiguousarray(flat[:, block]))
        envelope = np.moveaxis(out.reshape(lines.shape), 0, axis)
    return envelope


def _lower_envelope(values):
    """Least of (x_i - x_j)**2 / 2 + values[i], for all j of the first axis.

    All lines and all j are done together, one distance i - j after the other: as fast as
    finding the envelope of each line in O(n log n), up to n of 500 or so. Distances stop where
    one more cell would cost more than the steepest descent of the values gives back.
    """
    n = len(values)
    descents = np.diff(values, axis=0) * n**2
    out, candidate = values.copy(), np.empty_like(values)
    # going k cells instead of k - 1 costs (k - 1/2) / n**2; one more, for rounding errors
    farthest = [min(n - 1, int(max(d, 0) + 0.5) + 1) for d in (-descents.min(), descents.max())]
    for k in range(1, max(farthest) + 1):
        near, far, c = slice(0, n - k), slice(k, n), candidate[: n - k]
        for (to, start), limit in zip(((near, far), (far, near)), farthest, strict=True):
            if k <= limit:
                np.add(values[start], (k / n) ** 2 / 2, out=c)
                np.minimum(out[to], c, out=out[to])
    return out


def _coupling_cost(arrived, wanted):
    """Cost of a plan that sends on what has arrived in the wrong cells.

    In each cell as much as is wanted stays. Of the rest as much as can be is paired off, all
    with all, in blocks of twice as many cells along each axis at every turn. Mean squared
    distances follow from moments, so no pair is ever looked at.

    Parameters
    ----------
    arrived : ndarray of float64, shape (2 + dim, *grid)
        Mass in each cell, and second and first moments of where it comes from.
    wanted : ndarray of float64, shape (2 + dim, *grid)
        Mass that is to be in each cell, of the same sum, and its moments there.

    Returns
    -------
    float
        Sum of ``|x - y|**2 / 2`` times mass, x where it comes from and y where it ends.
    """
    cost = 0.0
    while True:
        both = np.minimum(arrived[0], wanted[0])
        going, met = arrived * _ratio(both, arrived[0]), wanted * _ratio(both, wanted[0])
        inner = np.sum(going[2:] * met[2:], axis=0) * _ratio(1.0, both)
        cost += np.sum(going[1] + met[1] - 2 * inner)
        if both.size == 1:
            return float(cost / 2)
        arrived, wanted = _coarsen(arrived - going), _coarsen(wanted - met)


def _ratio(a, b):
    """Divide a by b where b is not zero or next to it, else 0."""
    return np.divide(a, b, out=np.zeros_like(b), where=b > np.finfo(float).tiny)


def _coarsen(moments):
    """Add up blocks of two cells along each axis; an odd last one stays alone."""
    for axis in range(1, moments.ndim):
        moments = np.add.reduceat(moments, range(0, moments.shape[axis], 2), axis=axis)
    return moments
