"""Monotone FISTA with backtracking: all pairs, several starts and several alphas at once.

References
----------
.. [1] A. Beck, M. Teboulle. "Fast gradient-based algorithms for constrained total variation image
   denoising and deblurring problems." IEEE Transactions on Image Processing 18(11), 2009.
.. [2] B. O'Donoghue, E. Candès. "Adaptive restart for accelerated gradient schemes." Foundations
   of Computational Mathematics 15, 2015.
.. [3] J. Lee, Y. Sun, M. Saunders. "Proximal Newton-type methods for minimizing composite
   functions." SIAM Journal on Optimization 24(3), 2014.
"""

from dataclasses import dataclass

import numpy as np

from skcf.group._newton import can_step, newton_step

__all__ = ["Path", "certificates", "minimise", "solve_prox"]

SHRINKAGE = 0.9
"""What the curvature is multiplied by before each step: backtracking raises it where need be."""

MOST_DOUBLINGS = 40
"""Times that a step is halved before a point is taken as one that cannot be improved."""

PATIENCE = 20
"""Steps in a row without progress for a problem to stop."""

FIRST_JUMP, STEPS_A_JUMP = 10, 3
"""Proximal steps before the first of Newton's, and between them; twice as many after a failure."""

MANY_FEATURES, STEPS_A_PART = 256, 10
"""Features from which on steps are of those in use, and how many, until the others are asked."""

ROUGH, HOPELESS = 1e-2, 1.1
"""Certificate at which starts are compared, and the share of the best that is not gone on with."""

MOST_EXCHANGES = 4
"""Times that alphas may take over what others have found."""


@dataclass(frozen=True)
class Path:
    """The best translations that were found for each alpha.

    Attributes
    ----------
    alphas : ndarray of float64, shape (n_alphas,)
    translations : ndarray of float64, shape (n_alphas, n_groups, n_features)
        Up to a vector added to all groups'.
    objectives : ndarray of float64, shape (n_alphas,)
        ``f + alpha * p``.
    certificates : ndarray of float64, shape (n_alphas,)
        Norm of the gradient map ``L (T - prox(T - grad / L))``, as a share of that of the gradient
        at 0: 0 at a stationary point.
    n_iter : ndarray of int, shape (n_alphas,)
        Steps from the start that led there.
    """

    alphas: np.ndarray
    translations: np.ndarray
    objectives: np.ndarray
    certificates: np.ndarray
    n_iter: np.ndarray


def solve_prox(problem, alphas, *, starts=None, max_iter=500, tol=1e-5):
    """Minimise ``f + alpha * p`` for each alpha, from several starts, and keep the best.

    Monotone FISTA [1]_ with restarts [2]_: a gradient step of the datafit and the exact proximal
    step of the penalty, so that zeros are exact, and no group is favoured as the reference. Where
    gradients are cheap and exact, Newton steps are tried now and then, as in [3]_, in the values
    that pooled groups have; each is kept only where it gains more than the step before it. Then
    each alpha takes over what another one found, where that is better for it, and goes on.

    Parameters
    ----------
    problem : GroupProblem
        What is minimised.
    alphas : array-like of shape (n_alphas,)
        Weights of the penalty, at least 0.
    starts : ndarray of float64, shape (n_starts, n_groups, n_features), default=None
        Others beside zero, DBM and half of it, which are always among them.
    max_iter : int, default=500
        Most steps from each start.
    tol : float, default=1e-5
        Certificate to stop at; see `Path`.

    Returns
    -------
    Path
        No worse, for any alpha, than any of the starts.
    """
    alphas = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    own = problem.starts()
    starts = own if starts is None else np.concatenate([own, starts])
    T, of = np.tile(starts, (len(alphas), 1, 1)), np.repeat(np.arange(len(alphas)), len(starts))
    found = minimise(problem, T, alphas[of], rivals=of, max_iter=max_iter, tol=tol)
    best = _exchanged(problem, alphas, found, max_iter, tol)
    residuals = certificates(problem, best.T, alphas)
    return Path(alphas, best.T, best.objective(), residuals, best.n_iter)


def _exchanged(problem, alphas, found, max_iter, tol):
    """The best for each alpha of what all of them found, improved."""
    pool, chosen = found, None
    for _ in range(MOST_EXCHANGES):
        objectives = pool.f[None] + alphas[:, None] * pool.p
        best = objectives.argmin(axis=1)
        chosen = pool.at(best, alphas)
        foreign = np.flatnonzero(pool.alpha[best] != alphas)
        if not len(foreign):
            break
        start = chosen.T[foreign]
        more = minimise(problem, start, alphas[foreign], max_iter=max_iter, tol=tol)
        pool = chosen.with_those(more)
    objectives = pool.f[None] + alphas[:, None] * pool.p
    return pool.at(objectives.argmin(axis=1), alphas)


@dataclass
class Solutions:
    """Translations with their datafit, penalty and alpha."""

    T: np.ndarray
    f: np.ndarray
    p: np.ndarray
    alpha: np.ndarray
    n_iter: np.ndarray

    def objective(self):
        """``f + alpha * p`` of each."""
        return self.f + self.alpha * self.p

    def at(self, places, alphas):
        """Some of them, for other alphas."""
        return Solutions(
            self.T[places], self.f[places], self.p[places], alphas, self.n_iter[places]
        )

    def with_those(self, other):
        """These and others."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Solutions(*(np.concatenate(pair) for pair in pairs))


def minimise(problem, T, alpha, *, free=None, rivals=None, max_iter=500, tol=1e-5):
    """Minimise from each start under its own alpha; see `solve_prox`.

    Parameters
    ----------
    problem : GroupProblem
    T : ndarray of float64, shape (n_problems, n_groups, n_features)
        Starts.
    alpha : ndarray of float64, shape (n_problems,)
        Weights of the penalty.
    free : ndarray of bool, shape (n_problems, 1, n_features), default=None
        Which of the columns that are free may change in each problem: the others are set to 0.
    rivals : ndarray of int, shape (n_problems,), default=None
        A number for each, the same for those of which only the best is wanted: what is much worse
        than another one, once all are roughly solved, is left as it is. None: all are wanted.
    max_iter : int, default=500
    tol : float, default=1e-5

    Returns
    -------
    Solutions
        None worse than its start.
    """
    alpha = np.broadcast_to(np.asarray(alpha, dtype=np.float64), len(T)).copy()
    T = problem.penalty.feasible(T if free is None else T * free)
    run = _Run(problem, T, alpha, free)
    if rivals is not None and tol < ROUGH:
        run.to(ROUGH, max_iter)
        run.keep(run.promising(rivals))
    run.to(tol, max_iter)
    return Solutions(run.X, run.f, run.p, alpha, run.n_iter)


class _Run:
    """The state of all problems; those that have come to rest are left out of the steps.

    Where features are many, most steps are of those in which some translation is not 0: the
    others are asked now and then, and before a problem comes to rest.
    """

    def __init__(self, problem, T, alpha, free=None):
        self.problem, self.alpha, self.free = problem, alpha, free
        self.X, self.Y, self.t = T.copy(), T.copy(), np.ones(len(T))
        self.f, self.p = problem.datafit.values(T), problem.penalty.values(T)
        self.n_iter = np.zeros(len(T), dtype=int)
        self.stalled = np.zeros(len(T), dtype=int)
        self.size, curvature = _gauge(problem)
        self.L, self.tol = np.full(len(T), curvature), 0.0
        self.active = np.arange(len(T))
        self.narrows = problem.can_narrow and T.shape[2] >= MANY_FEATURES
        self.part, self.n_left = None, 0
        self.can_jump = can_step(problem)
        self.wait, self.due = np.full((2, len(T)), FIRST_JUMP)

    def to(self, tol, max_iter):
        """Steps of all that are active until their certificates are so small."""
        self.tol = tol * self.size
        while len(self.active):
            self.active = self.active[self.n_iter[self.active] < max_iter]
            if len(self.active):
                self.step()

    def promising(self, rivals):
        """Which problems are nearly as well solved as the best of their rivals."""
        objective = self.f + self.alpha * self.p
        best = np.full(rivals.max() + 1, np.inf)
        np.minimum.at(best, rivals, objective)
        return objective <= HOPELESS * best[rivals]

    def keep(self, wanted):
        """Go on with some that are not at rest for good."""
        self.active = np.flatnonzero(wanted & (self.stalled < PATIENCE))
        self.part, self.n_left = None, 0

    def step(self):
        """One step of all that are not at rest."""
        a, (problem, columns) = self.active, self._part()
        at = a if columns is None else np.ix_(a, np.arange(self.X.shape[1]), columns)
        Y, alpha = self.Y[at], self.alpha[a]
        fy, grad = problem.values_and_gradients(Y)
        if self.free is not None:
            grad *= self.free[a] if columns is None else self.free[a][:, :, columns]
        self.L[a] *= SHRINKAGE
        Z, fz = self._backtracked(problem, Y, fy, grad)
        pz = problem.penalty.values(Z)
        before = self.f[a] + alpha * self.p[a]
        gain = before - (fz + alpha * pz)
        done = self._at_rest(a, gain, before, _norm(Z - Y))
        self._accept(a, at, Z, fz, pz, gain, Y)
        if self.can_jump:
            pull = self.L[a][:, None, None] * (Y - Z) - grad
            self._jump(problem, at, pull, Z, np.where(done, 0.0, gain))
        if columns is None:
            self.active = a[~done]
            self.n_left = STEPS_A_PART if self.narrows else 0
        else:
            self.n_left = 0 if done.any() else self.n_left - 1

    def _part(self):
        """The problem of the features in use, and which these are; None: all of them."""
        if self.n_left == 0:
            self.part = None
            return self.problem, None
        if self.part is None:
            used = np.zeros(self.X.shape[2], dtype=bool)
            for T in (self.X[self.active], self.Y[self.active]):
                used |= (T[:, :1] != T).any(axis=(0, 1))
            columns = np.flatnonzero(used)
            self.part = self.problem.on(columns), columns
        return self.part

    def _at_rest(self, a, gain, before, moved):
        """Which problems have nowhere to go, or go nowhere."""
        self.n_iter[a] += 1
        slow = gain <= 10 * self.problem.resolution * np.abs(before)
        self.stalled[a] = np.where(slow, self.stalled[a] + 1, 0)
        from_best = self.t[a] == 1.0  # nothing was extrapolated
        stuck = (gain <= 0) & from_best
        return (self.L[a] * moved <= self.tol) | stuck | (self.stalled[a] >= PATIENCE)

    def _jump(self, problem, at, pull, Z, gain):
        """Newton's method from Z for those that it is the turn of, where it gains more."""
        active = self.active
        for n in np.flatnonzero((self.n_iter[active] >= self.due[active]) & (gain > 0)):
            b = active[n]
            found = newton_step(problem, Z[n], pull[n], self.alpha[b])
            before = self.f[b] + self.alpha[b] * self.p[b]
            better = found is not None and before - found[1] - self.alpha[b] * found[2] > gain[n]
            self.wait[b] = STEPS_A_JUMP if better else 2 * self.wait[b]
            self.due[b] = self.n_iter[b] + self.wait[b]
            if better:
                T, self.f[b], self.p[b] = found
                place = b if at is active else np.ix_([b], *(axis.ravel() for axis in at[1:]))
                self.X[place] = self.Y[place] = T
                self.t[b] = 1.0

    def _backtracked(self, problem, Y, fy, grad):
        """The step that the quadratic bound of the datafit holds for."""
        a = self.active
        Z, fz = np.empty(Y.shape), np.empty(len(Y))
        left = np.arange(len(Y))
        for _ in range(MOST_DOUBLINGS):
            L = self.L[a[left]]
            Z[left] = problem.step(Y[left], grad[left], 1 / L, self.alpha[a[left]])
            fz[left] = problem.datafit.values(Z[left])
            move = Z[left] - Y[left]
            bound = fy[left] + np.einsum("bgd,bgd->b", grad[left], move) + L / 2 * _norm(move) ** 2
            rounding = 10 * problem.resolution * np.abs(fy[left])
            left = left[~(fz[left] <= bound + rounding)]
            if not len(left):
                break
            self.L[a[left]] *= 2
        return Z, fz

    def _accept(self, a, at, Z, fz, pz, gain, Y):
        """Keep what is better, and extrapolate; start anew where the way turns."""
        X, better = self.X[at], gain > 0
        turned = np.einsum("bgd,bgd->b", Y - Z, Z - X) > 0
        t = np.where(turned | ~better, 1.0, self.t[a])
        following = np.where(better, (1 + np.sqrt(1 + 4 * t**2)) / 2, 1.0)
        share = np.where(better, (t - 1) / following, 0.0)[:, None, None]
        kept = np.where(better[:, None, None], Z, X)
        self.Y[at] = kept + share * (kept - X)
        self.X[at], self.t[a] = kept, following
        self.f[a], self.p[a] = np.where(better, fz, self.f[a]), np.where(better, pz, self.p[a])


def certificates(problem, T, alpha):
    """Norm of the gradient map of each T, as a share of the gradient's at 0."""
    size, curvature = _gauge(problem)
    L = np.full(len(T), curvature)
    _, gradients = problem.values_and_gradients(T)
    return curvature * _norm(T - problem.step(T, gradients, 1 / L, alpha)) / size


def _gauge(problem):
    """Size of the gradient at 0, and how it changes on the way to DBM."""
    ends = problem.starts((0.0, 1.0))
    _, (at_zero, at_dbm) = problem.values_and_gradients(ends)
    tiny = np.finfo(np.float64).tiny
    way = np.linalg.norm(ends[1])
    curvature = np.linalg.norm(at_dbm - at_zero) / way if way > 0 else 0.0
    return max(np.linalg.norm(at_zero), tiny), curvature if curvature > 0 else 1.0


def _norm(A):
    return np.sqrt(np.einsum("bgd,bgd->b", A, A))
