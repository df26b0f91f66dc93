"""Unbalanced optimal transport: one function for all problems and solvers."""

import warnings
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from skcf._compat import Interval, StrOptions, validate_params
from skcf._exceptions import level_of_caller
from skcf.transport._costs import MatrixCost, PairCost
from skcf.transport._divergences import SOURCES, TARGETS
from skcf.transport._gradient import solve_projected_gradient
from skcf.transport._newton import solve_newton
from skcf.transport._pricing import price
from skcf.transport._problem import TransportProblem
from skcf.transport._result import TransportResult
from skcf.transport._sinkhorn import solve_sinkhorn

__all__ = ["SOLVERS", "crowding_path", "mean_cost", "solve_transport"]

SOLVERS = ("auto", "newton", "projected_gradient", "sinkhorn")
MOST_PASSES = {"newton": 60, "projected_gradient": 5000, "sinkhorn": 5000}
MOST_MAJORISATIONS = 100
TINY_SHARE = 1e-9  # of the mean mass: smaller targets spoil the certificate, and are left out
LARGEST_RATIO = 200  # of the penalties, with source "kl": exp(2 * ratio) has to be a number
SAMPLED_PAIRS = 10_000

_PARAMETERS = {
    "source": [StrOptions(set(SOURCES))],
    "source_penalty": [Interval(Real, 0, None, closed="neither")],
    "target": [StrOptions(set(TARGETS))],
    "target_penalty": [Interval(Real, 0, None, closed="neither")],
    "cost_power": [Interval(Real, 1, None, closed="left")],
    "solver": [StrOptions(set(SOLVERS))],
    "reg": [Interval(Real, 0, None, closed="neither"), None],
    "tol": [Interval(Real, 0, None, closed="neither")],
    "max_passes": [Interval(Integral, 1, None, closed="left"), None],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}


@validate_params(
    {"cost": ["array-like", PairCost], "a": ["array-like", None], "b": ["array-like", None]}
    | {"prices": ["array-like", None]}
    | _PARAMETERS,
    prefer_skip_nested_validation=True,
)
def solve_transport(
    cost,
    a=None,
    b=None,
    *,
    source="hard",
    source_penalty=1.0,
    target="chi2",
    target_penalty=1.0,
    cost_power=1,
    solver="auto",
    reg=None,
    tol=1e-4,
    max_passes=None,
    prices=None,
    n_jobs=None,
    verbose=0,
    random_state=None,
):
    """Solve an unbalanced optimal transport problem, and prove how well.

    Minimises, over plans P >= 0 with marginals p and q,

        <C^r, P>^(1/r) + source_penalty D1(p | a) + target_penalty D2(q | b)

    with ``chi2(q | b) = sum (q - b)^2 / b`` and the generalised ``KL(q | b)``; with
    ``source="hard"``, p = a instead of the penalty ([1]_, Step 1; Step 2 for the others).

    Parameters
    ----------
    cost : array-like of shape (m, n) or PairCost
        What moving each source to each target costs, infinite where that is forbidden; or
        a `PointCost`, which computes it in blocks and never stores it whole.
    a, b : array-like of shape (m,) and (n,), default=None
        Masses of the sources and of the targets. None: equal, with sum 1.
    source : {"hard", "kl", "chi2"}, default="hard"
        What holds the plan's source marginal to `a`.
    source_penalty : float, default=1
        Weight of D1, in units of the cost; of no account for a hard source.
    target : {"chi2", "kl"}, default="chi2"
        What holds the plan's target marginal to `b`.
    target_penalty : float, default=1
        Weight of D2, in units of the cost. The smaller, the more may crowd into a target.
    cost_power : float, default=1
        The power r of the cost. Beyond 1 the first term is concave in P, so it is majorised:
        its tangent is minimised again and again. The result is stationary, not proven
        optimal, and `gap` is that of the last of these subproblems.
    solver : {"auto", "newton", "projected_gradient", "sinkhorn"}, default="auto"
        "newton": column generation with Newton's method on short lists of pairs, for any size.
        "projected_gradient": the poster's, on the dense plan. "sinkhorn": scaling in the log
        domain. "auto": newton, or sinkhorn where `reg` is given.
    reg : float, default=None
        With Sinkhorn, weight of an entropy ``KL(P | a b')`` that the problem then contains. None:
        there is none; it is a device of the solver and goes down until the gap closes.
    tol : float, default=1e-4
        Relative duality gap to stop at.
    max_passes : int, default=None
        Limit of the passes over all pairs: 60 with Newton (a dozen is usual), else 5000.
    prices : array-like of shape (n,), default=None
        Prices of a similar problem, to start from.
    n_jobs : int, default=None
        Number of workers for the passes over all pairs (newton); as in joblib, whose backends
        may spread them over several machines. The answer does not depend on it.
    verbose : int, default=0
        Whether to show progress.
    random_state : int, RandomState instance or None, default=None
        Draws the samples that newton starts from.

    Returns
    -------
    TransportResult

    Raises
    ------
    ValueError
        If masses are negative, not finite or all zero, costs are negative or NaN, or all
        pairs are forbidden, or the penalties' ratio overflows.

    Warns
    -----
    ConvergenceWarning
        If the gap is still above `tol` after `max_passes`.

    References
    ----------
    .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
       Balancing Individual Goals and Collective Dynamics" (poster, 2025).

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.transport import PointCost, solve_transport
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(300, 2)), rng.normal(2, 1, size=(200, 2))
    >>> result = solve_transport(PointCost(X, Y), target_penalty=10.0, random_state=0)
    >>> bool(result.gap <= 1e-4)
    True
    >>> bool(np.allclose(result.source_marginal, 1 / 300))
    True
    """
    cost = _checked_cost(cost)
    a, b = _checked_masses(a, cost.shape[0], "a"), _checked_masses(b, cost.shape[1], "b")
    _check_penalties(source, source_penalty, target_penalty)
    solver = _resolved_solver(solver, reg)
    rng = check_random_state(random_state)
    options = {"tol": tol, "verbose": verbose}
    limit = MOST_PASSES[solver] if max_passes is None else max_passes
    options["max_passes" if solver == "newton" else "max_iter"] = limit
    if solver == "newton":
        options |= {"n_jobs": n_jobs, "random_state": rng}
    divergences = SOURCES[source](source_penalty), TARGETS[target](target_penalty)
    task = _Task(TransportProblem(cost, a, b, *divergences), cost_power, rng)
    start = None if prices is None else task.own_prices(prices)
    if cost_power == 1:
        solution, factor = _solved(solver, task.problem, start, reg, options, task.price), 1.0
    else:
        solution, factor = _majorised(solver, task, start, reg, options, cost_power)
    if not solution.gap <= tol:  # nor if it is NaN
        warnings.warn(
            f"The duality gap is {solution.gap:.1e} after {limit} passes, above tol={tol:.1e}: "
            "raise max_passes, or tol.",
            ConvergenceWarning,
            stacklevel=level_of_caller(),
        )
    return task.result(solution, factor, n_jobs)


def crowding_path(cost, a=None, b=None, *, penalties, **options):
    """Solve for many target penalties, each from the prices of the one before.

    Parameters
    ----------
    cost : array-like of shape (m, n) or PairCost
        As in `solve_transport`.
    a, b : array-like of shape (m,) and (n,), default=None
        As in `solve_transport`.
    penalties : array-like of float
        The target penalties. They are solved in rising order.
    **options
        The other parameters of `solve_transport`.

    Returns
    -------
    list of TransportResult
        In the order of `penalties`. With a hard source and cost power 1, the transport cost rises
        and the target's divergence falls with the penalty: what effort buys.
    """
    penalties = np.asarray(penalties, dtype=float)
    if penalties.ndim != 1 or not len(penalties):
        raise ValueError(f"penalties must be a list of numbers, got {penalties!r}.")
    results, prices = {}, None
    for place in np.argsort(penalties, kind="stable"):
        penalty = float(penalties[place])
        results[place] = solve_transport(
            cost, a, b, target_penalty=penalty, prices=prices, **options
        )
        prices = results[place].prices
    return [results[place] for place in range(len(penalties))]


class _Task:
    """The part of a problem that can be solved, mean cost and mass being 1, and the way back.

    Parameters
    ----------
    whole : TransportProblem
        May have sources and targets without mass, and sources that may go nowhere.
    power : float
        The cost power.
    rng : RandomState
        Draws the pairs that the mean cost is taken over.
    """

    def __init__(self, whole, power, rng):
        self.whole, self.power = whole, power
        self.columns = np.flatnonzero(whole.b > TINY_SHARE * whole.b.mean())
        cost = whole.cost
        if len(self.columns) < cost.shape[1]:
            cost = cost.take(np.arange(cost.shape[0]), self.columns)
        allowed = cost.feasible()
        self.infeasible = ~allowed & (whole.a > 0)
        self.rows = np.flatnonzero(allowed & (whole.a > 0))
        if not len(self.rows):
            raise ValueError("All pairs are forbidden: no source has a target it may move to.")
        if len(self.rows) < cost.shape[0]:
            cost = cost.take(self.rows, slice(0, cost.shape[1]))
        self.scale, self.mass = mean_cost(cost, rng), whole.a[self.rows].sum()
        # the root of the first term is not proportional to the mass, as the penalties are
        self.value = self.scale * self.mass ** (1 / power)
        self.price = self.value / self.mass
        self.problem = TransportProblem(
            cost.times(1 / self.scale),
            whole.a[self.rows] / self.mass,
            whole.b[self.columns] / self.mass,
            whole.source.scaled(1 / self.price),
            whole.target.scaled(1 / self.price),
        )

    def own_prices(self, prices):
        """Prices to start from, in the units of the problem that is solved."""
        prices = np.asarray(prices, dtype=float)
        if prices.shape != self.whole.b.shape:
            raise ValueError(f"prices has shape {prices.shape}, expected {self.whole.b.shape}.")
        own = prices[self.columns] / self.price
        return self.problem.target.clip(np.where(np.isfinite(own), own, 0.0))

    def result(self, solution, factor, n_jobs):
        """The solution in the units, and the shape, of the whole problem."""
        whole, scale, power = self.whole, self.scale, self.power
        plan = self._spread_out(solution.plan)
        p, q = (np.asarray(plan.sum(axis=axis)).ravel() for axis in (1, 0))
        least = solution.source_prices
        if least is None:
            least = _least(self.problem.cost.raised(power), solution.prices, n_jobs)
        entries = plan.tocoo()
        moved = whole.cost.times(1 / scale).raised(power).pairs(entries.row, entries.col)
        transport_cost = float(entries.data @ moved) ** (1 / power) * scale
        divergences = (
            whole.source.value(p[self.rows], whole.a[self.rows]),
            whole.target.value(q[self.columns], whole.b[self.columns]),
        )
        paid = solution.primal * self.value if power == 1 else transport_cost + sum(divergences)
        unit = factor * self.price
        return TransportResult(
            plan=plan,
            prices=_placed(solution.prices * unit, self.columns, len(whole.b)),
            source_prices=_placed(least * unit, self.rows, len(whole.a)),
            source_marginal=p,
            target_marginal=q,
            transport_cost=transport_cost,
            source_divergence=divergences[0],
            target_divergence=divergences[1],
            primal=paid,
            dual=paid - (solution.primal - solution.dual) * factor * self.value,
            gap=solution.gap,
            n_iter=solution.n_iter,
            n_passes=solution.n_passes,
            infeasible=self.infeasible,
            slope=factor * self.mass ** (1 / power - 1) * scale ** (1 - power),
            softness=self._softness(solution) * unit,
        )

    def _softness(self, solution):
        """Smoothing at each target; 0 at those that are left out."""
        softness = np.zeros(len(self.whole.b))
        softness[self.columns] = solution.softness
        return softness

    def _spread_out(self, plan):
        """The plan with rows and columns for what was left out."""
        entries = plan.tocoo()
        where = self.rows[entries.row], self.columns[entries.col]
        return csr_array((entries.data * self.mass, where), shape=self.whole.shape)


def mean_cost(cost, rng, a=None, b=None):
    """Mean cost of the allowed pairs, over a sample.

    Parameters
    ----------
    cost : PairCost
        What pairs cost.
    rng : RandomState
        Draws the sample.
    a, b : ndarray of float64, shape (m,) and (n,), default=None
        How often to draw each source and target; None: equally often.

    Returns
    -------
    float
        1 where no pair costs anything.
    """
    m, n = cost.shape
    rows = rng.choice(m, SAMPLED_PAIRS, p=a)
    columns = rng.choice(n, SAMPLED_PAIRS, p=b)
    sample = cost.pairs(rows, columns)
    sample = sample[np.isfinite(sample)]
    mean = float(sample.mean()) if len(sample) else 0.0
    return mean if mean > 0 else 1.0


def _placed(values, positions, length):
    """Values at their positions in a longer vector; infinite elsewhere."""
    out = np.full(length, np.inf)
    out[positions] = values
    return out


def _least(cost, prices, n_jobs):
    """Least full price of each source, by a pass over all pairs."""
    return price(cost, prices, None, 0.0, n_jobs=n_jobs).least(prices)


def _solved(solver, problem, prices, reg, options, scale):
    """Solve with one of the solvers, in the units of the problem."""
    if solver == "newton":
        return solve_newton(problem, prices=prices, **options)
    if solver == "projected_gradient":
        return solve_projected_gradient(problem, prices=prices, **options)
    reg = None if reg is None else reg / scale
    return solve_sinkhorn(problem, prices=prices, reg=reg, **options)


def _majorised(solver, task, prices, reg, options, power):
    """Minimise the tangent of the concave first term until it no longer moves.

    With T = <C^r, P>, the slope of T^(1/r) is tau = T^(1/r - 1) / r: the tangent is minimised
    by the plan for the cost C^r and the penalties over tau. The objective falls each time.
    """
    problem, cost = task.problem, task.problem.cost.raised(power)
    slope, objective, n_iter, n_passes = 1 / power, np.inf, 0, 0
    for _ in range(MOST_MAJORISATIONS):
        tangent = replace(
            problem,
            cost=cost,
            source=problem.source.scaled(1 / slope),
            target=problem.target.scaled(1 / slope),
        )
        start = None if prices is None else prices / slope
        solution = _solved(solver, tangent, start, reg, options, task.price * slope)
        n_iter, n_passes = n_iter + solution.n_iter, n_passes + solution.n_passes
        entries = solution.plan.tocoo()
        total = float(entries.data @ cost.pairs(entries.row, entries.col))
        prices = solution.prices * slope
        before, objective = objective, total ** (1 / power) + slope * (solution.primal - total)
        if before - objective <= options["tol"] * abs(objective):
            break
        used, slope = slope, max(total, np.finfo(float).tiny) ** (1 / power - 1) / power
    else:
        warnings.warn(
            f"With cost_power={power}, the plan still gains after {MOST_MAJORISATIONS} rounds of "
            "majorisation: raise tol.",
            ConvergenceWarning,
            stacklevel=level_of_caller(),
        )
        slope = used
    return replace(solution, n_iter=n_iter, n_passes=n_passes), slope


def _resolved_solver(solver, reg):
    """The solver that "auto" stands for."""
    if reg is not None and solver not in ("auto", "sinkhorn"):
        raise ValueError(f"reg is a parameter of solver='sinkhorn'; got solver={solver!r}.")
    if solver == "auto":
        return "newton" if reg is None else "sinkhorn"
    return solver


def _checked_cost(cost):
    if isinstance(cost, PairCost):
        if 0 in cost.shape:
            raise ValueError(
                f"There must be sources and targets, got a cost of shape {cost.shape}."
            )
        return cost
    cost = check_array(
        cost, dtype=[np.float64, np.float32], ensure_all_finite=False, input_name="cost"
    )
    if np.isnan(cost).any():
        raise ValueError("cost contains NaN; a forbidden pair costs infinity.")
    if cost.min() < 0:
        raise ValueError(f"cost contains negative values, the least being {cost.min()}.")
    return MatrixCost(cost)


def _checked_masses(masses, length, name):
    """Masses as floats, with what cannot be masses refused."""
    if masses is None:
        return np.full(length, 1 / length)
    masses = np.asarray(masses, dtype=float)
    if masses.shape != (length,):
        raise ValueError(f"{name} has shape {masses.shape}, expected ({length},).")
    with np.errstate(over="ignore"):
        total = masses.sum()
    if not np.isfinite(total) or masses.min() < 0 or total == 0:
        raise ValueError(f"{name} must hold finite masses, none negative and not all zero.")
    return masses


def _check_penalties(source, source_penalty, target_penalty):
    for name, value in (("source_penalty", source_penalty), ("target_penalty", target_penalty)):
        if not np.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}.")
    ratio = target_penalty / source_penalty
    if source == "kl" and ratio > LARGEST_RATIO:
        raise ValueError(
            f"target_penalty is {ratio:.3g} times source_penalty, which overflows with "
            f"source='kl': at most {LARGEST_RATIO} times is possible. Raise source_penalty."
        )
