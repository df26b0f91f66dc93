"""Column generation with Newton's method on short lists: the solver for large populations.

A sample is solved first, level by level, each eight times as large as the one before. On
each level, a pass over all pairs prices them and finds those that a plan could want; on these
short lists the smoothed dual is maximised by Newton's method while the smoothing shrinks;
and so on until the duality gap, which each pass gives exactly, is small enough.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import gen_batches

from skcf._progress import progress
from skcf.transport._costs import MatrixCost
from skcf.transport._lists import ShortLists, entropy
from skcf.transport._pricing import Candidates, every_pair, price, tiles_of
from skcf.transport._sinkhorn import solve_sinkhorn
from skcf.transport._solution import Solution, magnitude, relative_gap

__all__ = ["solve_newton"]

FEW_PAIRS = 250_000  # up to here all are listed
SMALLEST, GROWTH = 500, 8  # sources or targets of the lowest level; how much larger the next is
SOFTEST = 3.0  # target penalty, in mean costs, up to which prices are found at one go
STAGES = 5.0  # how much stiffer each stage is than the one before, beyond that
ROUGH_GAP, MOST_ROUGH_PASSES = 5e-3, 20  # where a level or a stage gives way to the next
FIRST_EPS = 0.25  # smoothing to begin with, costs being about 1
SCARCE, SUPPLY = 8, 3  # sources a target keeps at least, and in terms of what it is to receive
PAIRS_A_POINT = 24  # that a pricing pass looks for, for each source and for each target
WINDOWS_AN_EPS = 5  # lists must reach some eps up, or the smoothed plan is cut off
NARROWEST, SMALLEST_EPS = 1e-9, 1e-11
SWEEPS = 3  # before Newton's steps
STEADIED_PAIRS = 60_000_000  # up to here the costs are stored, in float32, for some sweeps
STEADY_GAP, STEADY_SWEEPS = 0.02, 60
SHORTEST_REACH = 0.1  # of the way from the best prices to those that are best for the lists
DUST = 1e-10  # share of a source's mass that a plan leaves out
EXTENSION_PAIRS = 4_000_000  # worked on at a time


def solve_newton(problem, *, tol, max_passes, random_state, prices=None, n_jobs=None, verbose=0):
    """Solve an unbalanced transport problem by column generation and Newton's method.

    Parameters
    ----------
    problem : TransportProblem
        Each source has an allowed target.
    tol : float
        Relative duality gap to stop at.
    max_passes : int
        Limit of the passes over all pairs of the whole problem.
    random_state : RandomState
        Draws the samples.
    prices : ndarray of float64, shape (n,), default=None
        Prices of a problem like this one, to start from.
    n_jobs : int, default=None
        Number of workers of the pricing passes.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    Solution
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a step too far is taken back
        return _solve_pools(problem, tol, max_passes, random_state, prices, n_jobs, verbose)


def _solve_pools(problem, tol, max_passes, random_state, prices, n_jobs, verbose):
    """Solve the problems that a problem falls apart into, one by one."""
    pools = problem.cost.pools()
    if len(pools) == 1:
        return _solve_pool(problem, tol, max_passes, random_state, prices, n_jobs, verbose)
    parts = []
    for rows, columns in progress(pools, verbose, len(pools), "separate pools of targets"):
        # nothing moves between pools, so each is a problem of its own
        part = problem.alone(rows, columns)
        start = None if prices is None else prices[columns]
        parts.append(_solve_pool(part, tol, max_passes, random_state, start, n_jobs, 0))
    return _merged(problem, pools, parts)


def _merged(problem, pools, parts):
    """One solution made of those of separate pools."""
    m, n = problem.shape
    prices, least = problem.target.clip(np.full(n, -np.inf)), np.empty(m)
    softness = np.zeros(n)
    rows, columns, masses, slack = [], [], [], 0.0
    for (pool_rows, pool_columns), part in zip(pools, parts, strict=True):
        prices[pool_columns], least[pool_rows] = part.prices, part.source_prices
        softness[pool_columns] = part.softness
        entries, mass = part.plan.tocoo(), problem.a[pool_rows].sum()
        rows.append(pool_rows[entries.row])
        columns.append(pool_columns[entries.col])
        masses.append(entries.data * mass)
        slack += mass * (part.primal - part.dual)
    rows, columns, masses = (np.concatenate(x) for x in (rows, columns, masses))
    plan = csr_array((masses, (rows, columns)), shape=(m, n))
    p, q = (np.asarray(plan.sum(axis=axis)).ravel() for axis in (1, 0))
    primal = problem.primal(float(masses @ problem.cost.pairs(rows, columns)), p, q)
    return Solution(
        prices=prices,
        plan=plan,
        primal=primal,
        dual=primal - slack,
        n_iter=sum(part.n_iter for part in parts),
        n_passes=max(part.n_passes for part in parts),
        softness=softness,
        source_prices=least,
    )


def _solve_pool(problem, tol, max_passes, random_state, prices, n_jobs, verbose):
    """Solve a problem all of whose pairs may be allowed."""
    stages = [problem]
    while prices is None and stages[0].target.penalty > SOFTEST:
        # near balanced transport, short lists allow wild prices unless one comes from near by
        stages.insert(0, replace(problem, target=stages[0].target.scaled(1 / STAGES)))
    if prices is None:
        run = _first_run(stages[0], random_state, n_jobs)
    else:
        run = _Run(problem, prices, FIRST_EPS / WINDOWS_AN_EPS)
    for stage in stages[:-1]:
        run = run.on(stage)
        run.improve(ROUGH_GAP, MOST_ROUGH_PASSES, random_state, n_jobs, verbose)
    run = run.on(problem)
    run.improve(tol, run.n_passes + max_passes, random_state, n_jobs, verbose)
    return run.solution()


def _first_run(problem, rng, n_jobs):
    """Prices to start from: those that a solved sample extends to all targets."""
    m, n = problem.shape
    if m * n <= FEW_PAIRS:
        return _Run(problem, _even_prices(problem), _first_eps(problem))
    rows, columns = _sample(m, rng), _sample(n, rng)
    served = problem.cost.take(rows, columns).feasible()
    if not served.any():  # a sample that cannot move says nothing
        return _Run(problem, _even_prices(problem), _first_eps(problem))
    rows = rows[served]
    run = _first_run(problem.take(rows, columns), rng, n_jobs)
    run.improve(ROUGH_GAP, MOST_ROUGH_PASSES, rng, n_jobs, 0)
    return _Run(problem, _extended(problem, rows, run), run.eps)


def _even_prices(problem):
    """Prices if the sources spread over all targets by their masses."""
    crowding = problem.a.sum() / problem.b.sum()
    return problem.target.price(problem.b * crowding, problem.b)


def _first_eps(problem):
    """Smoothing to begin with: soft prices are at most so low that masses stay numbers."""
    return min(FIRST_EPS, 50 * problem.source.penalty / np.log(2 + problem.shape[1]))


def _sample(size, rng):
    """Positions of a part of the sources, or of the targets."""
    if size <= SMALLEST:
        return np.arange(size)
    return np.sort(rng.choice(size, max(SMALLEST, size // GROWTH), replace=False))


def _extended(problem, rows, run):
    """Prices of all targets, given what a sample of the sources pays: a soft c-transform."""
    eps, n = run.eps, problem.shape[1]
    soft, _ = run.lists.soft(run.prices, eps)
    paid = run.problem.source.soften(soft, eps)
    tile = problem.cost.take(rows, slice(0, n)).reduced(paid, np.zeros(n))
    log_mass = np.log(run.problem.a)[:, None].astype(np.float32)
    t = np.empty(n)
    known = np.ones(n, dtype=bool)
    for part in gen_batches(n, max(16, EXTENSION_PAIRS // len(rows))):
        pull = tile(slice(0, len(rows)), part)
        pull /= -eps
        pull += log_mass
        top = pull.max(axis=0)
        known[part] = np.isfinite(top)
        top = np.where(known[part], top, 0)
        with np.errstate(divide="ignore"):
            t[part] = eps * (top + np.log(np.exp(pull - top).sum(axis=0)))
    prices = problem.target.clip(problem.target.soften(t, eps))
    # of a target that none of the sample may have, nothing is known
    return np.where(known, prices, _even_prices(problem))


@dataclass
class _Run:
    """Where the solver stands on one problem; `improve` takes it further.

    Attributes
    ----------
    problem : TransportProblem
    prices : ndarray of float64, shape (n,)
    eps : float
        The smoothing.
    lists : ShortLists or None
        The pairs in play.
    masses : ndarray of float64 or None
        The plan on the listed pairs.
    least : ndarray of float64, shape (m,), or None
        Least full price of each source, exact.
    primal, dual : float
        What the plan pays, and the lower bound that the prices give.
    best_dual : float
        The best lower bound so far.
    spread : float
        Entropy of the plan's rows.
    n_passes, n_steps : int
        Passes over all pairs, and Newton steps.
    steadied : bool
        Whether the prices have been put right by sweeps over all pairs.
    best : _Run or None
        How it stood when the plan was the best so far.
    posted : tuple of ndarray
        The prices of the best lower bound so far, and the least full prices of the sources.
    """

    problem: object
    prices: np.ndarray
    eps: float
    lists: ShortLists | None = None
    masses: np.ndarray | None = None
    least: np.ndarray | None = None
    primal: float = np.inf
    dual: float = -np.inf
    best_dual: float = -np.inf
    spread: float = np.inf
    n_passes: int = 0
    n_steps: int = 0
    steadied: bool = False
    best: "_Run | None" = None
    posted: tuple | None = None

    def on(self, problem):
        """The same, about to solve another problem with these sources and targets."""
        return replace(self, problem=problem, best_dual=-np.inf, best=None, steadied=False)

    @property
    def gap(self):
        """Relative duality gap of the best plan and the best prices so far."""
        return relative_gap(self.best.primal, self.best_dual)

    @property
    def _is_small(self):
        return self.problem.shape[0] * self.problem.shape[1] <= FEW_PAIRS

    @property
    def _pairs_a_source(self):
        crowd = max(1, self.problem.shape[1] / self.problem.shape[0])
        return int(PAIRS_A_POINT * crowd)

    @property
    def _pairs_of_targets(self):
        """Enough sources for what each target is to receive: fewer would come at any price."""
        expected = self.problem.b * self.problem.shape[0] / self.problem.b.sum()
        return np.maximum(SCARCE, np.ceil(SUPPLY * expected)).astype(np.intp)

    def solution(self):
        """What the solver hands back."""
        best = self.best
        plan, primal = best.trimmed()
        return Solution(
            prices=self.posted[0],
            plan=plan,
            primal=primal,
            dual=self.best_dual,
            n_iter=self.n_steps,
            n_passes=self.n_passes,
            softness=best.eps,
            source_prices=self.posted[1],
        )

    def trimmed(self):
        """The plan without its dust, and what it pays; the marginal of the sources stays."""
        lists = self.lists
        p = np.add.reduceat(self.masses, lists.starts)
        masses = np.where(self.masses > DUST * np.repeat(p, lists.counts), self.masses, 0)
        left = np.add.reduceat(masses, lists.starts)
        masses *= np.repeat(p / np.where(left > 0, left, 1), lists.counts)
        plan = lists.matrix(masses)
        primal = lists.primal(masses)
        plan.eliminate_zeros()
        return plan, primal

    def improve(self, tol, max_passes, rng, n_jobs, verbose):
        """Price and descend in turn until the gap closes or the passes are used up.

        Prices that are best for the lists can be wild where the lists lack pairs. So they are
        only accepted if they raise the dual of all pairs; if not, the lists keep all they have
        and get the pairs that were missing, and the next step from the best prices is shorter.
        """
        self.prices = self.prices + self.problem.level(self.prices)
        self._price(None, rng, n_jobs, verbose, forget=True)
        centre, reach = self.prices, 1.0
        while self.gap > tol and self.n_passes < max_passes:
            self._descend(tol)
            self.prices = centre + reach * (self.prices - centre)
            self.prices = self.prices + self.problem.level(self.prices)
            before = self.best_dual
            least = self.lists.least(self.prices)
            self._price(least, rng, n_jobs, verbose, forget=reach == 1)
            if self.best_dual > before:
                centre, reach = self.prices, min(1.0, 3 * reach)
            elif not self._is_small:
                reach = max(reach / 3, SHORTEST_REACH)
                if self._steadied(centre):
                    self._price(None, rng, n_jobs, verbose, forget=True)
                    centre, reach = self.prices, 1.0

    def _steadied(self, centre):
        """Put prices right by some sweeps over all pairs, once, where the lists have misled."""
        if self.steadied or self.problem.shape[0] * self.problem.shape[1] > STEADIED_PAIRS:
            return False
        self.steadied = True
        problem = replace(self.problem, cost=_roughly_stored(self.problem.cost))
        rough = solve_sinkhorn(problem, tol=STEADY_GAP, max_iter=STEADY_SWEEPS, prices=centre)
        self.n_passes += rough.n_passes
        if rough.dual > self.best_dual:
            self.prices, self.eps = rough.prices, max(self.eps, rough.softness)
        return rough.dual > self.best_dual

    def _price(self, levels, rng, n_jobs, verbose, forget):
        """One pass over all pairs: bounds on both sides, and new lists."""
        if self._is_small:
            known = self.lists is not None
            found = self.lists.candidates if known else every_pair(self.problem.cost)
        else:
            self.window = window = self._window(rng)
            self.eps = min(self.eps, window / WINDOWS_AN_EPS)
            found = price(
                self.problem.cost,
                self.prices,
                levels,
                window,
                most=3 * self._pairs_a_source,
                for_target=self._pairs_of_targets,
                n_jobs=n_jobs,
                verbose=verbose,
            )
        self.least = least = found.least(self.prices)
        self.dual = self.problem.dual(least, self.prices)
        if self.dual > self.best_dual:
            self.best_dual, self.posted = self.dual, (self.prices, least)
        if self.lists is not None and not self._is_small:
            # what the plan uses stays listed, wherever the window is now
            near = max(window, 3 * WINDOWS_AN_EPS * self.eps) if forget else np.inf
            found = _joined(found, self.lists.candidates, self.prices, least, near)
        self.lists = ShortLists(found, self.problem)
        self._read_off()
        self.n_passes += 1
        if self.best is None or self.primal < self.best.primal:
            self.best = replace(self, best=None)

    def _read_off(self):
        """The plan that the prices imply, and what it pays."""
        soft, softmax = self.lists.soft(self.prices, self.eps)
        p = self.problem.source.mass(soft, self.problem.a)
        self.masses = self.lists.spread(p, softmax)
        self.primal = self.lists.primal(self.masses)
        self.spread = entropy(self.masses, softmax)

    def _window(self, rng):
        """How far above its best a pair is listed, so that each source has some pairs."""
        m, n = self.problem.shape
        rows = np.sort(rng.choice(m, min(m, 128), replace=False))
        tile = self.problem.cost.take(rows, slice(0, n)).reduced(np.zeros(len(rows)), self.prices)
        full = tile(slice(0, len(rows)), slice(0, n))
        above = (full - full.min(axis=1, keepdims=True))[np.isfinite(full)]
        last = min(self._pairs_a_source * len(rows), len(above)) - 1
        return max(float(np.partition(above, last)[last]), NARROWEST)

    def _descend(self, tol):
        """Maximise the smoothed dual on the lists, the smoothing going down to what pays now."""
        goal = self._goal(tol)
        if not self._is_small:
            for _ in range(SWEEPS):
                self.prices = self.lists.sweep(self.prices, self.eps)
        while True:
            enough = max(0.1 * self.eps, 0.05 * tol * magnitude(self.primal))
            self.prices, n_steps = self.lists.newton(self.prices, self.eps, enough)
            self.n_steps += n_steps
            if self.eps <= max(goal, SMALLEST_EPS):
                break
            self.eps = max(self.eps / 2, goal, SMALLEST_EPS)
        self.prices = self.problem.target.clip(self.prices)

    def _goal(self, tol):
        """Smoothing to go down to.

        Its bias is at most eps times the spread of the plan. There is no point in making that
        smaller than what the pairs that are not listed yet make of the gap.
        """
        spread = max(self.spread, 0.05)
        last = 0.7 * tol * magnitude(self.primal) / spread
        if self._is_small:
            return min(max(self.eps / 16, last), self.eps / 2)
        goal = max(0.1 * self.gap * magnitude(self.primal) / spread, last)
        smoothing_is_the_trouble = self.eps * spread > 0.5 * self.gap * magnitude(self.primal)
        return min(goal, self.eps / 2 if smoothing_is_the_trouble else self.eps)


def _roughly_stored(cost):
    """All costs as a matrix, right up to rounding."""
    m, n = cost.shape
    tile = cost.reduced(np.zeros(m), np.zeros(n))
    matrix = np.empty((m, n), dtype=np.float32)
    for rows, columns in tiles_of(cost.shape):
        matrix[rows, columns] = np.maximum(tile(rows, columns), 0)
    return MatrixCost(matrix)


def _joined(found, listed, prices, least, reach):
    """Pairs found now, and those listed before that are still within reach."""
    n = len(prices)
    near = listed.cost + prices[listed.columns] - least[listed.rows] <= reach
    rows = np.concatenate([found.rows, listed.rows[near]])
    columns = np.concatenate([found.columns, listed.columns[near]])
    cost = np.concatenate([found.cost, listed.cost[near]])
    _, first = np.unique(rows.astype(np.int64) * n + columns, return_index=True)
    return Candidates(rows[first], columns[first], cost[first])
