"""Projected gradient on the whole plan: the poster's solver, O(m n) a step.

The plan is moved against the gradient, ``C_ij + u_i + g_j`` with u and g the slopes of the
divergences at its marginals, and projected: on the simplex of mass a_i in each row for a hard
source ([1]_, Step 1), on P >= 0 otherwise ([1]_, Step 2). The poster says no more; read here as
follows.

*Metric.* Steps are measured in ``sum_ij (P_ij - Y_ij)^2 / w_ij``, where w_ij is the inverse of the
objective's second derivative in P_ij alone. So no mass is too small or too large for a common
step. The projection on a simplex is as easy in it as in the usual one.

*Infinite slopes.* The slope of KL at 0 is minus infinity. It is held to what a small share of the
mass has, below which the divergence goes on straight. That moves the optimum by no more than
the same share of it, and the bounds that are reported are those of the problem itself.

*Length.* As long as a quadratic bound holds, found by backtracking, with momentum that is
forgotten when the objective rises ([2]_, [3]_). That is far longer than the global Lipschitz
constant allows, which counts on all sources being moved to the same target.

*Sparsity.* After a step, only pairs have mass that had some before or are cheaper than the price
that their source can get elsewhere. So the dense part of a step is a sum, a minimum and a
comparison; the rest runs over lists. That is arithmetic left out and changes no iterate.

References
----------
.. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations: Balancing
   Individual Goals and Collective Dynamics" (poster, 2025).
.. [2] A. Beck, M. Teboulle. "A fast iterative shrinkage-thresholding algorithm for linear inverse
   problems" (2009).
.. [3] B. O'Donoghue, E. Candès. "Adaptive restart for accelerated gradient schemes" (2015).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import gen_batches

from skcf._progress import progress
from skcf.transport._divergences import TARGETS
from skcf.transport._solution import Solution, magnitude, relative_gap

__all__ = ["dense_costs", "solve_projected_gradient"]

BLOCK_PAIRS = 250_000  # are worked on at once: they stay in the processor's cache
FLOOR = 0.05  # times the tolerance: share of a mass below which a divergence goes on straight
LEAST_WEIGHT = 1e-4  # share of a mass that the metric takes a marginal for at least
FIRST_CURVATURE, LEAST_CURVATURE = 10.0, 1e-6  # in the metric: how many pairs move as one
RELAXATION = 0.97  # what the curvature is tried to be from one step to the next
SPREADS = (1e-2, 3e-3, 1e-3, 1e-4)  # over which given prices are turned to a plan
WINDOW = 0.05  # how much dearer than the cheapest a target may be in that plan
LARGEST_SERVICE = 2.0  # part of its mass that a source has at most in a first plan
ROUNDING = 1e-14  # of differences of the objective, relative to itself


def solve_projected_gradient(problem, *, tol, max_iter, prices=None, verbose=0):
    """Solve a problem whose sources all have an allowed target, by projected gradient.

    All costs are held in memory, 8 m n bytes, and gone through in each step; of the plan, the
    pairs with mass.

    Parameters
    ----------
    problem : TransportProblem
        Its costs are 1 on average.
    tol : float
        Relative duality gap to stop at.
    max_iter : int
        Limit of the passes over all pairs: one a step, and one for each time that a step was
        too long.
    prices : ndarray of float64, shape (n,), default=None
        Prices whose plan is the first one. None: everybody goes to the cheapest target.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    Solution
    """
    descent = _Descent(problem, FLOOR * tol)
    descent.start(prices)
    with progress(None, verbose, max_iter, "projected gradient") as bar:
        while descent.n_passes < max_iter and not descent.gap <= tol:
            descent.step()
            bar.update(descent.n_passes - bar.n)
    return descent.solution()


def dense_costs(cost):
    """Costs of all pairs as a matrix of float64, shape (m, n)."""
    m, n = cost.shape
    matrix = np.empty((m, n))
    for band in _bands(m, n):
        rows = np.repeat(np.arange(band.start, band.stop), n)
        columns = np.tile(np.arange(n), band.stop - band.start)
        matrix[band] = cost.pairs(rows, columns).reshape(-1, n)
    return matrix


def _bands(m, n):
    return gen_batches(m, max(1, BLOCK_PAIRS // n))


class _Marginal:
    """A divergence of a marginal, straight below a small share of the masses.

    Parameters
    ----------
    divergence : object
        Divergence of a source or target.
    masses : ndarray of float64
        What the marginal is compared to.
    share : float
        The share.
    """

    def __init__(self, divergence, masses, share):
        self.divergence = TARGETS[divergence.name](divergence.penalty)
        self.masses, self.floor = masses, share * masses

    def slope(self, q):
        """Derivative at a marginal, which may be negative."""
        return self.divergence.price(np.maximum(q, self.floor), self.masses)

    def value(self, q):
        """Value at a marginal, which may be negative."""
        straight = self.slope(self.floor) @ np.minimum(q - self.floor, 0)
        return self.divergence.value(np.maximum(q, self.floor), self.masses) + float(straight)

    def excess(self, new, old):
        """How far the value at one marginal is above the tangent at another."""
        return self.value(new) - self.value(old) - float(self.slope(old) @ (new - old))

    def softness(self, q):
        """Inverse of the second derivative; where mass is all but gone, it may come back."""
        held = np.maximum(q, np.maximum(self.floor, LEAST_WEIGHT * self.masses))
        return self.divergence.curvature(self.divergence.price(held, self.masses), self.masses)


class _Free:
    """The marginal of a hard source: the projection sees to it."""

    def __init__(self, masses):
        self.masses = masses

    def value(self, p):
        """Nothing is paid."""
        return 0.0

    def excess(self, new, old):
        """See `_Marginal.excess`."""
        return 0.0

    def softness(self, p):
        """See `_Marginal.softness`."""
        return np.full(len(self.masses), np.inf)


@dataclass
class _Pairs:
    """Some of the pairs, sorted.

    Attributes
    ----------
    keys : ndarray of int, shape (n_pairs,)
        Positions in the flat matrix.
    rows, columns : ndarray of int, shape (n_pairs,)
        The same in the matrix.
    cost : ndarray of float64, shape (n_pairs,)
        Their costs.
    """

    keys: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    cost: np.ndarray

    def kept(self, mask):
        """Those of the pairs that a mask tells."""
        return _Pairs(*(part[mask] for part in (self.keys, self.rows, self.columns, self.cost)))


@dataclass
class _Point:
    """Where a step starts from, and in which direction it goes.

    Attributes
    ----------
    y : ndarray of float64, shape (n_pairs,)
        The extrapolated plan, on the listed pairs.
    p, q : ndarray of float64, shapes (m,) and (n,)
        Its marginals.
    g : ndarray of float64, shape (n,)
        Slope of the target's divergence: the prices.
    levels : ndarray of float64, shape (m,), or None
        Minus the slope of the source's divergence; None for a hard source, where they are what
        makes the masses of the projection right.
    r, c : ndarray of float64, shapes (m,) and (n,)
        Inverse second derivatives of the divergences.
    """

    y: np.ndarray
    p: np.ndarray
    q: np.ndarray
    g: np.ndarray
    levels: np.ndarray | None
    r: np.ndarray
    c: np.ndarray

    def openings(self, full, keys, y, band, curvature):
        """The levels above which pairs have mass, how much by the level, and the pairs' rows.

        The projected mass is ``max(y - stride * (full price - level), 0)``, pair by pair.
        """
        rows, columns = np.divmod(keys, len(self.c))
        stride = 1 / (1 / self.r[band][rows] + 1 / self.c[columns]) / curvature
        return full.ravel()[keys] - y / stride, stride, rows


class _Descent:
    """Accelerated projected gradient, step by step.

    Parameters
    ----------
    problem : TransportProblem
    share : float
        Share of a mass below which a divergence goes on straight.
    """

    def __init__(self, problem, share):
        self.problem = problem
        self.cost = dense_costs(problem.cost)
        self.hard = problem.source.name == "hard"
        self.target = _Marginal(problem.target, problem.b, share)
        self.source = _Free(problem.a) if self.hard else _Marginal(problem.source, problem.a, share)
        self.dual, self.prices, self.least = -np.inf, None, None
        self.n_iter = self.n_passes = 0
        self.curvature, self.momentum, self.inertia = FIRST_CURVATURE, 1.0, 0.0

    @property
    def gap(self):
        """Relative duality gap."""
        return relative_gap(self.primal, self.dual)

    def start(self, prices):
        """Begin with a plan that prices imply: spread over the targets that are all but best."""
        (m, n), a = self.problem.shape, self.problem.a
        g = np.zeros(n) if prices is None else self.problem.target.clip(prices)
        window, spreads = (WINDOW, SPREADS) if prices is not None else (0.0, SPREADS[:1])
        least, keys = np.empty(m), []
        for band in _bands(m, n):
            full = self.cost[band] + g
            least[band] = full.min(axis=1)
            near = full <= least[band, None] + window
            keys.append(np.flatnonzero(near) + band.start * n)
        self.n_passes += 1
        self._post(g, least)
        self.pairs = self._pairs(np.concatenate(keys))
        served = a * np.minimum(self.problem.source.mass(least, a) / a, LARGEST_SERVICE)
        self._spread(
            self.pairs.cost + g[self.pairs.columns] - least[self.pairs.rows], served, spreads
        )

    def _spread(self, reduced, served, spreads):
        """The best plan among some that send more to what is cheaper."""
        self.value = np.inf
        for spread in spreads:
            x = np.exp(-reduced / spread)
            x *= (served / np.bincount(self.pairs.rows, x))[self.pairs.rows]
            value, primal = self._values(self.pairs, x, *self._marginals(self.pairs, x))
            if value < self.value:
                self.x, self.before, self.value, self.primal = x, x, value, primal

    def step(self):
        """Go as far against the gradient as the quadratic bound holds."""
        self.n_iter += 1
        point = self._point()
        self.curvature = max(self.curvature * RELAXATION, LEAST_CURVATURE)
        while True:
            pairs, x, norm = self._projected(point, self.curvature)
            p, q = self._marginals(pairs, x)
            excess = self.source.excess(p, point.p) + self.target.excess(q, point.q)
            allowed = norm / 2 + ROUNDING * magnitude(self.value)
            if excess <= allowed:
                break
            self.curvature *= np.clip(1.02 * excess / allowed, 1.1, 10)
        self._accept(pairs, x, *self._values(pairs, x, p, q))

    def _point(self):
        y = self.x + self.inertia * (self.x - self.before)
        p, q = self._marginals(self.pairs, y)
        levels = None if self.hard else -self.source.slope(p)
        r, c = self.source.softness(p), self.target.softness(q)
        return _Point(y, p, q, self.target.slope(q), levels, r, c)

    def _projected(self, point, curvature):
        """Project what a step of that curvature leads to.

        Gives the pairs that have mass then or were listed, their masses, and the curvature times
        the squared length of the step.
        """
        least, keys, masses, norm = np.empty(self.problem.shape[0]), [], [], 0.0
        for band in _bands(*self.problem.shape):
            least[band], found, x, part = self._projected_band(point, curvature, band)
            keys.append(found)
            masses.append(x)
            norm += part
        self.n_passes += 1
        self._post(point.g, least)
        return self._pairs(np.concatenate(keys)), np.concatenate(masses), norm

    def _projected_band(self, point, curvature, band):
        """The same for some of the rows, with their least full prices."""
        n, masses = self.problem.shape[1], self.problem.a[band]
        full = self.cost[band] + point.g
        first, last = np.searchsorted(self.pairs.keys, [band.start * n, band.stop * n])
        listed, y = self.pairs.keys[first:last] - band.start * n, point.y[first:last]
        if self.hard:  # over fewer pairs they are no lower: no pair is missed
            levels = _levels(*point.openings(full, listed, y, band, curvature), masses)
        else:
            levels = point.levels[band]
        near = full < levels[:, None]
        near.ravel()[listed] = True
        keys = np.flatnonzero(near)
        places = np.searchsorted(keys, listed)
        before = np.zeros(len(keys))
        before[places] = y
        openings, stride, rows = point.openings(full, keys, before, band, curvature)
        if self.hard:
            levels = _levels(openings, stride, rows, masses)
        x = stride * np.maximum(levels[rows] - openings, 0)
        if self.hard:  # to rounding
            x *= (masses / np.bincount(rows, x))[rows]
        norm = float(np.sum((x - before) ** 2 / stride))
        used = x > 0
        used[places] = True
        return full.min(axis=1), keys[used] + band.start * n, x[used], norm

    def _pairs(self, keys):
        rows, columns = np.divmod(keys, self.problem.shape[1])
        return _Pairs(keys, rows, columns, self.cost.ravel()[keys])

    def _post(self, g, least):
        """Keep prices if they bound the optimum better than those before."""
        dual = self.problem.dual(least, g)
        if dual > self.dual:
            self.dual, self.prices, self.least = dual, g, least

    def _accept(self, pairs, x, value, primal):
        """Move on with momentum; where the objective rises, stay and drop it."""
        before = _moved(self.x, self.pairs, pairs)
        if value <= self.value + ROUNDING * magnitude(value):
            momentum = (1 + np.sqrt(1 + 4 * self.momentum**2)) / 2
            self.inertia, self.momentum = (self.momentum - 1) / momentum, momentum
            self.value, self.primal = value, primal
        else:
            if self.inertia == 0:  # such a short step that rounding passed for a bound
                self.curvature *= 2
            x, self.inertia, self.momentum = before, 0.0, 1.0
        used = (x != 0) | (before != 0)
        self.pairs, self.x, self.before = pairs.kept(used), x[used], before[used]

    def _marginals(self, pairs, x):
        m, n = self.problem.shape
        return np.bincount(pairs.rows, x, m), np.bincount(pairs.columns, x, n)

    def _values(self, pairs, x, p, q):
        """The objective with divergences that are straight at the end, and the true one."""
        transport_cost = float(x @ pairs.cost)
        straight = transport_cost + self.source.value(p) + self.target.value(q)
        return straight, self.problem.primal(transport_cost, p, q)

    def solution(self):
        """The plan at hand and the best prices so far."""
        used = self.x != 0
        where = self.pairs.rows[used], self.pairs.columns[used]
        return Solution(
            prices=self.prices,
            plan=csr_array((self.x[used], where), shape=self.problem.shape),
            primal=self.primal,
            dual=min(self.dual, self.primal),
            n_iter=self.n_iter,
            n_passes=self.n_passes,
            softness=0.0,
            source_prices=self.least,
        )


def _levels(openings, stride, rows, masses):
    """Levels at which the projected masses of each row sum to what it has.

    Newton's iteration starts with all pairs and only ever drops some, so it is finite.
    """
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    active, n_active = stride, len(stride)
    while True:
        total = np.add.reduceat(active * openings, starts) + masses
        levels = total / np.add.reduceat(active, starts)
        active = np.where(openings < levels[rows], stride, 0)
        n_before, n_active = n_active, np.count_nonzero(active)
        if n_active == n_before:
            return levels


def _moved(values, pairs, more):
    """Values of pairs, on a longer list that holds them; 0 on the others."""
    out = np.zeros(len(more.keys))
    out[np.searchsorted(more.keys, pairs.keys)] = values
    return out
