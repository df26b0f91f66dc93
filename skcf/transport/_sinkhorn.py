"""Sinkhorn's iterations in the log domain, on kernels that hold only what counts.

With an entropy, ``eps * KL(P | a b')`` in its generalised form, the problem has the dual

    max over f, g of  sum_i h(f_i; a_i) - sum_j k(g_j; b_j)
                      - eps sum_ij a_i b_j (exp((f_i - C_ij - g_j) / eps) - 1)

and the plan ``P_ij = a_i b_j exp((f_i - C_ij - g_j) / eps)``. Maximised over f alone and over g
alone, it needs no more of the costs than the soft extremes

    s_i = -eps log sum_j b_j exp(-(C_ij + g_j) / eps)
    t_j =  eps log sum_i a_i exp((f_i - C_ij) / eps)

from which the divergences know f and g ([1]_, [2]_). Where the smoothing eps is small, all but a
few pairs count for nothing: the kernel is stored as a sparse matrix about the prices at hand, and
made anew when they have drifted ([3]_). Where it is too large for that, costs are computed in
blocks in each iteration. The prices are extrapolated from the last few iterations ([4]_); the dual,
which each iteration gives, tells when that was wrong. What all prices have in common is set by
itself in each iteration ([5]_).

References
----------
.. [1] M. Cuturi. "Sinkhorn distances: lightspeed computation of optimal transport" (2013).
.. [2] L. Chizat, G. Peyré, B. Schmitzer, F.-X. Vialard. "Scaling algorithms for unbalanced optimal
   transport problems" (2018).
.. [3] B. Schmitzer. "Stabilized sparse scaling algorithms for entropy regularized transport
   problems" (2019).
.. [4] D. G. Anderson. "Iterative procedures for nonlinear integral equations" (1965).
.. [5] T. Séjourné, F.-X. Vialard, G. Peyré. "Faster unbalanced optimal transport: translation
   invariant Sinkhorn and 1-D Frank-Wolfe" (2022).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import gen_batches

from skcf._progress import progress
from skcf.transport._costs import MatrixCost
from skcf.transport._gradient import dense_costs
from skcf.transport._pricing import as_slice, tasks_of
from skcf.transport._solution import Solution, magnitude

__all__ = ["solve_sinkhorn"]

STORED_PAIRS = 16_000_000  # so many costs are computed once and kept
KERNEL_PAIRS = 8_000_000  # so many pairs of a sparse kernel are
BLOCK_PAIRS = 250_000  # are worked on at once: they stay in the processor's cache
ROW_BYTES = 1024  # that a source may take of the working memory, about
FIRST_EPS, WARM_EPS = 0.1, 0.01  # smoothing to begin with, costs being 1 on average
SMALLEST_EPS = 1e-13
REACH = 50  # nats below the best of its source at which a pair is left out of a kernel
DRIFT = 8  # nats by which prices may move before the kernel is made anew
MEMORY = 8  # iterations that are extrapolated from
LEAST_CAUTION = 1e-10  # ridge of the extrapolation, relative to the trace
SETTLED = 0.1  # part of the tolerance, or of the smoothing, that a stage may leave undone
NEGLIGIBLE = 1e-12  # part of a source's mass below which a pair is left out of the plan
SHIFT_STEPS = 20  # of Newton, at most
LARGEST_EXPONENT = 500.0


def solve_sinkhorn(problem, *, tol, max_iter, reg=None, prices=None, verbose=0):
    """Solve a problem whose sources all have an allowed target, by Sinkhorn's iterations.

    Parameters
    ----------
    problem : TransportProblem
        Its costs are 1 on average.
    tol : float
        Relative duality gap to stop at.
    max_iter : int
        Limit of the iterations, each of which updates both potentials.
    reg : float, default=None
        Weight of the entropy ``KL(P | a b')``, with the mass terms, in the problem that is solved;
        the primal and dual values are of that problem. None: there is none, and the smoothing
        goes down until the gap of the problem without it closes.
    prices : ndarray of float64, shape (n,), default=None
        Prices to start from; zero otherwise.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    Solution
        Its plan leaves out pairs with less than 1e-12 of the mass of their source. With a large
        `reg` that is still every pair.
    """
    problem = _with_stored_costs(problem)
    start = np.zeros(problem.shape[1]) if prices is None else problem.target.clip(prices)
    eps = max(FIRST_EPS if prices is None else WARM_EPS, reg or 0.0)
    with progress(None, verbose, max_iter, "sinkhorn") as bar:
        run = _Run(problem, start, max_iter, bar)
        if reg is None:
            return _solve_scaled(run, eps, tol)
        while eps > reg and run.n_iter < max_iter:
            run.settle(eps, SETTLED * tol, SETTLED)
            eps = max(eps / 2, reg)
        return _regularised(run, reg, tol)


def _with_stored_costs(problem):
    """The problem, with its costs computed once where they fit."""
    cost = problem.cost
    if isinstance(cost, MatrixCost) or cost.shape[0] * cost.shape[1] > STORED_PAIRS:
        return problem
    return replace(problem, cost=MatrixCost(dense_costs(cost)))


def _solve_scaled(run, eps, tol):
    """Lower the smoothing until the gap of the problem without it closes."""
    best = None
    while True:
        state = run.settle(eps, SETTLED * tol, SETTLED)
        gap, last = np.inf, run.n_iter >= run.max_iter
        # at a large smoothing, the plan is large and the gap is known to be
        if last or 0.02 * eps * state.p.sum() <= tol * magnitude(state.primal):
            best = _better(best, run.certified(state, last))
            gap = np.inf if best is None else best.gap
        if last or gap <= tol:
            return replace(best, n_iter=run.n_iter, n_passes=run.n_passes)
        eps = max(eps / 2, 0.8 * eps * tol / gap, SMALLEST_EPS)


def _regularised(run, reg, tol):
    """The solution at a given smoothing, with the entropy in both of its values."""
    problem = run.problem
    state = run.settle(reg, 0.9 * tol, 0.0)
    kernel = run.kernel_at(state.g, reg, complete=True)
    state = _state(problem, kernel, state.g)  # without the rounding of streamed costs
    solution = run.read_off(kernel, state)
    plan = solution.plan
    product = np.repeat(problem.a, np.diff(plan.indptr)) * problem.b[plan.indices]
    entropy = plan.data @ np.log(plan.data / product) - plan.sum()
    primal = solution.primal + reg * float(entropy + problem.a.sum() * problem.b.sum())
    return replace(solution, primal=primal, dual=min(state.dual, primal))


def _better(one, other):
    """The better bounds of two solutions."""
    if one is None or other is None:
        return other if one is None else one
    if other.dual < one.dual:
        other = replace(other, dual=one.dual, prices=one.prices, source_prices=one.source_prices)
    if other.primal > one.primal:
        other = replace(other, primal=one.primal, plan=one.plan, softness=one.softness)
    return other


class _Run:
    """Where a run stands: the prices, the kernel about them, and what it has taken.

    Parameters
    ----------
    problem : TransportProblem
    g : ndarray of float64, shape (n,)
        Prices to start from.
    max_iter : int
        Limit of the iterations.
    bar : tqdm.tqdm
        Shows the iterations.
    """

    def __init__(self, problem, g, max_iter, bar):
        self.problem, self.g, self.max_iter, self.bar = problem, g, max_iter, bar
        self.n_iter = self.n_passes = 0
        self.kernel, self.settled = None, []

    def settle(self, eps, tol, share):
        """Iterate until the bounds of the smoothed problem are close.

        Parameters
        ----------
        eps : float
            The smoothing.
        tol : float
            Relative gap that is small enough.
        share : float
            Gap that is small enough too, in units of the smoothing and the mass that is moved.

        Returns
        -------
        _State
        """
        extrapolation = _Extrapolation(np.sqrt(self.problem.b))
        state, fallback = None, None
        self.g = self._expected(eps)
        while True:
            new = self._iterate(eps)
            goal = max(tol * magnitude(new.primal), share * eps * new.p.sum())
            if new.primal - new.dual <= goal or self.n_iter >= self.max_iter:
                self.settled = [*self.settled[-1:], (eps, new.g)]
                return new
            if fallback is not None and not new.dual >= state.dual - _rounding(state.dual):
                self.g, fallback = fallback, None
                extrapolation.beware()
                continue
            state = new
            fallback = _next_prices(self.problem, state, eps)
            self.g = self.problem.target.clip(extrapolation.next(state.g, fallback))

    def _expected(self, eps):
        """Prices at a smaller smoothing, in which they are about linear."""
        if len(self.settled) < 2:
            return self.g
        (eps_0, g_0), (eps_1, g_1) = self.settled
        if not eps_0 > eps_1 > eps:
            return self.g
        return self.problem.target.clip(g_1 + (g_1 - g_0) * ((eps_1 - eps) / (eps_0 - eps_1)))

    def _iterate(self, eps):
        """Both half-steps at the prices at hand, on a kernel that holds for them."""
        if self.kernel is None or not self.kernel.holds(self.g, eps):
            self.kernel = self.kernel_at(self.g, eps)
        self.n_iter += 1
        self.n_passes += self.kernel.streams
        self.bar.update()
        return _state(self.problem, self.kernel, self.g)

    def kernel_at(self, g, eps, complete=False):
        """A sparse kernel about the prices, or one that streams where that were too large."""
        most = np.inf if complete else KERNEL_PAIRS
        self.n_passes += 1
        found = _near_pairs(self.problem, g, eps, most)
        if found is None:
            return _StreamedKernel(self.problem.cost, eps)
        return _SparseKernel(self.problem.shape, *found, g, eps)

    def certified(self, state, complete):
        """Plan, prices and both bounds without the entropy; None where no kernel is stored."""
        kernel = self.kernel
        if kernel.streams:
            if not complete:
                return None
            kernel = self.kernel_at(state.g, kernel.eps, complete=True)
            state = _state(self.problem, kernel, state.g)
        return self.read_off(kernel, state)

    def read_off(self, kernel, state):
        """Plan and prices with the bounds that they are without the entropy."""
        problem = self.problem
        plan, transport_cost = kernel.plan(problem.b, state)
        p, q = plan.sum(axis=1), plan.sum(axis=0)
        least = kernel.least(state.g)
        return Solution(
            prices=state.g,
            plan=plan,
            primal=problem.primal(transport_cost, p, q),
            dual=problem.dual(least, state.g),
            n_iter=self.n_iter,
            n_passes=self.n_passes,
            softness=kernel.eps,
            source_prices=least,
        )


def _next_prices(problem, state, eps):
    """Prices after the half-step in g, and after the best move of all prices together.

    A common shift of f and g leaves the kernel as it is, and Sinkhorn's own steps take it the
    slower the larger the penalties are. At the best one, the served and the wanted mass are equal.
    """
    source, target = problem.source, problem.target
    g = target.soften(state.t, eps)
    shift = 0.0
    for _ in range(SHIFT_STEPS):
        f_moved, g_moved = state.f + shift, g + shift
        miss = source.mass(f_moved, problem.a).sum() - target.mass(g_moved, problem.b).sum()
        slope = source.curvature(f_moved, problem.a).sum()
        slope += target.curvature(g_moved, problem.b).sum()
        step = float(np.clip(miss / slope, -target.penalty, target.penalty))
        shift += step
        if abs(step) <= 1e-3 * eps:
            break
    return target.clip(g + shift)


def _rounding(value):
    """What a sum that comes out as this value may be off by."""
    return 1e-13 * magnitude(value)


@dataclass
class _State:
    """What an iteration gives: prices, the plan's source marginal, and both bounds.

    Attributes
    ----------
    g : ndarray of float64, shape (n,)
        The prices.
    f : ndarray of float64, shape (m,)
        The source potentials.
    t : ndarray of float64, shape (n,)
        Soft maximum that the next prices follow from.
    p : ndarray of float64, shape (m,)
        Source marginal of the plan at these prices.
    primal, dual : float
        Value of the smoothed problem at that plan, and of its dual.
    """

    g: np.ndarray
    f: np.ndarray
    t: np.ndarray
    p: np.ndarray
    primal: float
    dual: float


def _state(problem, kernel, g):
    """Both half-steps from prices, and what the smoothed problem and its dual are there."""
    a, b, eps = problem.a, problem.b, kernel.eps
    with np.errstate(over="ignore", invalid="ignore"):  # an extrapolation too far is taken back
        f, t, q = kernel.half_steps(problem, g)
        p = problem.source.mass(f, a)
        entropy = eps * (p.sum() - a.sum() * b.sum())
        gain = problem.source.dual(f, a).sum() - problem.target.conjugate(g, b).sum()
        paid = problem.primal(p @ f - q @ g, p, q)
    return _State(g, f, t, p, float(paid - entropy), float(gain - entropy))


class _SparseKernel:
    """``exp(-(C_ij + g_j - s_i) / eps)`` about given prices g and their least full prices s.

    Parameters
    ----------
    shape : tuple of (int, int)
        Number of sources and of targets.
    rows, columns : ndarray of int, shape (n_pairs,)
        Pairs that count, by source.
    cost : ndarray of float64, shape (n_pairs,)
        Their costs.
    far : ndarray of float64, shape (n,)
        About how far each target is from being chosen: ``min_i C_ij + g_j - f_i``.
    prices : ndarray of float64, shape (n,)
        The prices g.
    eps : float
        The smoothing.
    """

    streams = False

    def __init__(self, shape, rows, columns, cost, far, prices, eps):
        self.cost, self.columns, self.far = cost, columns, far
        self.prices, self.eps = prices, eps
        self.counts = np.bincount(rows, minlength=shape[0])
        indptr = np.append(0, np.cumsum(self.counts))
        self.starts = indptr[:-1]
        self.levels = self.least(prices)
        values = prices[columns]
        values += cost
        values -= np.repeat(self.levels, self.counts)
        values /= -eps
        np.exp(values, out=values)
        self.matrix = csr_array((values, columns, indptr), shape=shape)

    def holds(self, g, eps):
        """Whether the pairs that are left out are negligible at other prices."""
        return eps == self.eps and np.abs(g - self.prices).max() <= DRIFT * eps

    def least(self, g):
        """Least full price of each source: that of a pair that is left out is larger."""
        return np.minimum.reduceat(self.cost + g[self.columns], self.starts)

    def half_steps(self, problem, g):
        """Source potentials f for the prices, soft maxima t, and the masses q at the targets."""
        eps = self.eps
        offers = problem.b * _exp((self.prices - g) / eps)
        s = self.levels - eps * np.log(self.matrix @ offers)
        f = problem.source.soften(s, eps)
        sums = self.matrix.T @ (problem.a * _exp((f - self.levels) / eps))
        t = _soft_maxima(sums, self.prices, self.far, problem.a, eps)
        return f, t, offers * sums

    def _drift(self, g):
        return _exp((self.prices - g) / self.eps)

    def plan(self, b, state):
        """The plan, without negligible pairs, and its transport cost."""
        values = self.matrix.data * (b * self._drift(state.g))[self.columns]
        total = np.add.reduceat(values, self.starts)
        keep = values > NEGLIGIBLE * np.repeat(total, self.counts)
        counts = np.add.reduceat(keep, self.starts, dtype=np.int64)
        values, indptr = values[keep], np.append(0, np.cumsum(counts))
        # last of all, so that the source marginal holds to rounding
        values *= np.repeat(state.p / np.add.reduceat(values, indptr[:-1]), counts)
        plan = csr_array((values, self.columns[keep], indptr), shape=self.matrix.shape)
        return plan, float(values @ self.cost[keep])


class _StreamedKernel:
    """The same kernel, computed in blocks each time: for all that is too large to store.

    Parameters
    ----------
    cost : PairCost
        What pairs cost.
    eps : float
        The smoothing.
    """

    streams = True

    def __init__(self, cost, eps):
        self.cost, self.eps = cost, eps

    def holds(self, g, eps):
        """Whether it is the kernel of that smoothing: nothing is left out."""
        return eps == self.eps

    def half_steps(self, problem, g):
        """See `_SparseKernel.half_steps`: as f is found row by row, one pass gives both."""
        eps = self.eps
        f, sums = np.empty(problem.shape[0]), np.zeros(problem.shape[1])
        far = np.full(problem.shape[1], np.inf)
        for rows, columns, block in _blocks(self.cost, g):
            least = _lowered(block, problem.source, eps, far, columns)
            block /= -eps
            np.exp(block, out=block)
            soft = np.log(block @ problem.b[columns].astype(block.dtype))
            s = least - eps * soft.astype(np.float64)
            f[rows] = problem.source.soften(s, eps)
            weights = problem.a[rows] * _exp((f[rows] - least) / eps)
            largest = max(weights.max(), np.finfo(float).tiny)
            sums[columns] += largest * ((weights / largest).astype(block.dtype) @ block)
        return f, _soft_maxima(sums, g, far, problem.a, eps), problem.b * sums


def _blocks(cost, prices):
    """All pairs that may be allowed: sources, their pool of targets, and their full prices."""
    for rows, columns in tasks_of(cost, ROW_BYTES):
        part = cost.take(as_slice(rows), as_slice(columns))
        tile = part.reduced(np.zeros(len(rows)), prices[columns])
        for band in gen_batches(len(rows), max(1, BLOCK_PAIRS // len(columns))):
            yield rows[band], columns, tile(band, slice(0, len(columns)))


def _lowered(block, source, eps, far, columns):
    """Take the least full prices off a block, in place; note how far each target is."""
    least = block.min(axis=1)
    block -= least[:, None]
    excess = (least - source.soften(least.astype(np.float64), eps)).astype(block.dtype)
    near = (block + excess[:, None] if excess.any() else block).min(axis=0)
    far[columns] = np.minimum(far[columns], near)
    return least.astype(np.float64)


def _near_pairs(problem, prices, eps, most):
    """Pairs that are within reach, with their costs, and how far each target is.

    None if there are too many.
    """
    cost = problem.cost
    far = np.full(cost.shape[1], np.inf)
    limit = float(REACH * eps + 2 * cost.rounding(np.zeros(cost.shape[0]), prices))
    parts, total = [], 0
    for rows, columns, block in _blocks(cost, prices):
        _lowered(block, problem.source, eps, far, columns)
        i, j = np.nonzero(block <= limit)
        total += len(i)
        if total > most:
            return None
        parts.append((rows[i].astype(np.int32), columns[j].astype(np.int32)))
    rows, columns = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if len(cost.pools()) > 1:
        order = np.argsort(rows, kind="stable")
        rows, columns = rows[order], columns[order]
    return rows, columns, cost.pairs(rows, columns), far


def _soft_maxima(sums, prices, far, a, eps):
    """Soft maxima t from the sums of a kernel's columns.

    Where a target is so far that its sum vanishes, its distance tells roughly: prices that fell
    all the way would draw everybody there.
    """
    with np.errstate(divide="ignore"):
        t = prices + eps * np.log(sums)
    lost = ~(sums > 0)
    t[lost] = (prices - far)[lost] + eps * np.log(a.mean())
    return t


def _exp(values):
    """Exponential of what may be too large for a number."""
    return np.exp(np.minimum(values, LARGEST_EXPONENT))


class _Extrapolation:
    """Anderson's: the combination of the last images whose residuals cancel best.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the residuals.
    """

    def __init__(self, weights):
        self.weights, self.caution = weights, LEAST_CAUTION
        self.images, self.residuals = [], []

    def beware(self):
        """After a failure, stay nearer to plain iterations for a while."""
        self.caution = min(10 * self.caution, 1.0)

    def next(self, g, image):
        """Where to go from a point whose image under the iteration is known."""
        self.images = [*self.images[-MEMORY:], image]
        self.residuals = [*self.residuals[-MEMORY:], (image - g) * self.weights]
        if len(self.images) == 1:
            return image
        self.caution = max(self.caution / 3, LEAST_CAUTION)
        steps = np.array(self.residuals[:-1]) - self.residuals[-1]
        gram = steps @ steps.T
        ridge = self.caution * np.trace(gram) + np.finfo(float).tiny
        share = np.linalg.solve(gram + ridge * np.eye(len(gram)), steps @ self.residuals[-1])
        return image - share @ (np.array(self.images[:-1]) - image)
