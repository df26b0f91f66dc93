"""Translations for an affine representation: a convex problem, solved to rounding.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
.. [2] J. Friedman, T. Hastie, R. Tibshirani. "Regularization paths for generalized linear models
   via coordinate descent." Journal of Statistical Software 33(1), 2010.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.optimize import linprog, nnls

from skcf._maps import AffineMap, FilledMap
from skcf._representations import ScaledMap
from skcf.group._datafit import MeanDatafit
from skcf.group._prox import Path, certificates

__all__ = ["is_affine", "least_penalty", "solve_coordinate"]

RANK = 1e-10
"""Singular values that count as 0, as a share of the largest."""

MOST_IN_PROGRAMME = 200_000
"""Pairs times features up to which the limit is worked out for another start."""

MOST_SWEEPS = 10
"""Sweeps over the features in use before the others are looked at again."""


def is_affine(representation):
    """Whether a map is affine, as `solve_coordinate` needs it."""
    return _slope(representation) is not None


def solve_coordinate(problem, alphas, *, max_iter=50, tol=1e-10):
    """Minimise ``f + alpha * p`` for an affine representation, by coordinate descent.

    A coordinate is a feature, with the translations of all groups in it: in these the datafit is a
    sum of squares whose minimiser under the penalty is the proximal operator of a gradient step,
    exactly if pairs weigh the same. Alphas are solved from the largest to the smallest,
    each from what came before, on the features in use, until no other one wants to be [2]_. Since
    features far outnumber the outputs of r, sweeps are slow near the end: between them, a Newton
    step is taken on the translations that are not 0, as far as none changes its sign. An alpha of
    0 stands for its limit, see `least_penalty`; near to it, that is the start where what came
    before leads nowhere.

    Parameters
    ----------
    problem : GroupProblem
        Of the loss "mean" and an affine representation.
    alphas : array-like of shape (n_alphas,)
        Weights of the penalty, at least 0.
    max_iter : int, default=50
        Most rounds, of some sweeps and a Newton step each.
    tol : float, default=1e-10
        Certificate to stop at; see `Path`.

    Returns
    -------
    Path
        With n_iter counting sweeps.

    Raises
    ------
    ValueError
        If the representation is not affine, or the loss another one.
    """
    alphas = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    descent = _Descent(problem, _checked_slope(problem))
    T = np.zeros((len(alphas), *problem.means.shape))
    n_iter = np.zeros(len(alphas), dtype=int)
    for a in np.argsort(-alphas, kind="stable"):
        if alphas[a] > 0:
            n_iter[a] = descent.run(alphas[a], max_iter, tol)
            T[a] = descent.T
        else:
            T[a] = descent.limit
    objectives = problem.objective(T, alphas)
    return Path(alphas, T, objectives, certificates(problem, T, alphas), n_iter)


def least_penalty(problem):
    """The translations with the least penalty of those with the least datafit: a linear programme.

    It is what the solution tends to as alpha tends to 0. The datafit fixes the fitted moves
    ``t_j S``, with S the slope of the representation, up to a vector that all share; with the
    first group (or the target) held at 0, ``min sum |t_jf - t_if|`` under these equations.

    Parameters
    ----------
    problem : GroupProblem
        Of the loss "mean" and an affine representation.

    Returns
    -------
    ndarray of float64, shape (n_groups, n_features)
    """
    slope = _checked_slope(problem)
    free = np.flatnonzero(problem.free)
    T = np.zeros(problem.means.shape)
    left, sizes, _ = np.linalg.svd(slope[free], full_matrices=False)
    basis = left[:, sizes > RANK * sizes.max(initial=1e-300)]
    if basis.size:
        hidden = basis.T @ slope[free]
        solve = _all_at_once if problem.pairs.target is None else _one_by_one
        T[:, free] = solve(problem, free, basis, hidden)
    return T


def _residuals(problem):
    """What the moves of the pairs have to amount to."""
    pairs = problem.pairs
    return problem.targets[pairs.end] - problem.representation.values(problem.means[pairs.source])


def _all_at_once(problem, free, basis, hidden):
    """Translations of all groups, with the first at 0."""
    pairs, at = problem.pairs, np.arange(len(problem.pairs))
    g, d = pairs.n_groups, len(free)
    moves = np.zeros((len(pairs), g))
    moves[at, pairs.end], moves[at, pairs.source] = 1, -1
    root = np.sqrt(pairs.weights)[:, None]
    reached = np.linalg.lstsq(root * moves[:, 1:], root * _residuals(problem), rcond=None)[0]
    wanted = reached @ np.linalg.pinv(hidden)
    apart = sparse.kron(moves[pairs.source < pairs.end][:, 1:], sparse.eye_array(d))
    lengths = sparse.eye_array(apart.shape[0])
    fixed = sparse.kron(sparse.eye_array(g - 1), basis.T)
    solved = _solved(
        np.repeat([0.0, 1.0], apart.shape[::-1]),
        A_ub=sparse.block_array([[apart, -lengths], [-apart, -lengths]], format="csr"),
        b_ub=np.zeros(2 * apart.shape[0]),
        A_eq=sparse.hstack([fixed, sparse.csr_array((fixed.shape[0], apart.shape[0]))]),
        b_eq=wanted.ravel(),
        bounds=np.repeat([[-np.inf, np.inf], [0.0, np.inf]], apart.shape[::-1], axis=0),
    )
    return np.concatenate([np.zeros((1, d)), solved[: (g - 1) * d].reshape(g - 1, d)])


def _one_by_one(problem, free, basis, hidden):
    """Translations of the groups to the target, each by itself, rises and falls apart."""
    signs = problem.penalty.signs
    signs = np.zeros(len(free)) if signs is None else signs[free]
    both = np.concatenate([basis, -basis])
    permitted = np.flatnonzero(np.concatenate([signs >= 0, signs <= 0]))
    T = np.zeros((problem.pairs.n_groups, len(free)))
    for i, residual in zip(problem.pairs.source, _residuals(problem), strict=True):
        columns = both[permitted]
        nearest = nnls((columns @ hidden).T, residual)[0]  # the fit under the signs is unique
        found = np.zeros(2 * len(free))
        found[permitted] = _solved(
            np.ones(len(permitted)), A_eq=columns.T, b_eq=nearest @ columns, bounds=(0, None)
        )
        T[i] = found[len(free) :] - found[: len(free)]
    return T


def _solved(cost, **constraints):
    """The solution of a linear programme, with what is 0 but for rounding set to that."""
    solved = linprog(cost, method="highs", **constraints)
    if solved.x is None:
        raise RuntimeError(f"The linear programme has not been solved: {solved.message}")
    return solved.x


class _Descent:
    """Coordinate descent, feature by feature; it goes on from where it was."""

    def __init__(self, problem, slope):
        pairs = problem.pairs
        self.problem, self.slope = problem, slope * problem.free[:, None]
        self.T = np.zeros(problem.means.shape)
        doubled = 2 * pairs.weights[:, None]
        self.pull_at_0 = pairs.gathered(-doubled * _residuals(problem))
        self.pull = self.pull_at_0.copy()
        self.coupling = pairs.gathered(doubled * pairs.deltas(np.eye(pairs.n_groups)))
        self.curvature = 2 * pairs.curvature() * (self.slope**2).sum(axis=1)

    @cached_property
    def limit(self):
        """What the solution tends to as alpha tends to 0."""
        return least_penalty(self.problem)

    def run(self, alpha, max_iter, tol):
        """Go down from the last solution, or from the limit; the number of sweeps."""
        n_sweeps, is_done = self._down(alpha, max_iter, tol)
        if is_done or len(self.problem.pairs) * self.T.shape[1] > MOST_IN_PROGRAMME:
            return n_sweeps
        other = self.T
        self._put(self.limit.copy())
        more, _ = self._down(alpha, max_iter, tol)
        both = np.stack([other, self.T])
        self._put(both[self.problem.objective(both, alpha).argmin()])
        return n_sweeps + more

    def _put(self, T):
        self.T = T
        self.pull = self.pull_at_0 + self.coupling @ (T @ self.slope)

    def _down(self, alpha, max_iter, tol):
        """Sweeps until no feature wants to change; how many, and whether that was reached."""
        n_sweeps, size = 0, np.linalg.norm(self.slope @ self.pull_at_0.T) + np.finfo(float).tiny
        for _ in range(max_iter):
            residual = self.curvature * np.abs(self._wanted(alpha) - self.T).max(axis=0)
            if np.linalg.norm(residual) <= tol * size:
                return n_sweeps, True
            used = np.flatnonzero((residual > 0.1 * residual.max()) | (np.ptp(self.T, axis=0) > 0))
            for _ in range(MOST_SWEEPS):
                n_sweeps += 1
                change = max(self._update(f, alpha) for f in used)
                if change <= 0.1 * tol * size / np.sqrt(len(used)):
                    break
            self._newton(alpha)
        return n_sweeps, False

    def _wanted(self, alpha):
        """Where each feature would go by itself."""
        curvature = np.where(self.curvature > 0, self.curvature, 1.0)
        point = self.T - self.pull @ self.slope.T / curvature
        wanted = self.problem.penalty.prox(point, alpha / curvature)
        return np.where(self.curvature > 0, wanted, self.T)

    def _update(self, f, alpha):
        """Solve for one feature; the curvature times its change."""
        step = 1 / self.curvature[f]
        before = self.T[:, f, None]
        point = before - step * (self.pull @ self.slope[f])[:, None]
        change = self.problem.penalty.on([f]).prox(point, step * alpha) - before
        self.T[:, f] += change[:, 0]
        self.pull += self.coupling @ change * self.slope[f]
        return self.curvature[f] * np.abs(change).max()

    def _newton(self, alpha):
        """Minimise on the piece on which the penalty is linear, or up to its end."""
        pairs, penalty = self.problem.pairs, self.problem.penalty
        groups, of = _blocks(self.T, pairs.target)
        if not len(of):
            return
        slope = self.slope[of]
        signs = np.sign(-pairs.deltas(self.T))
        rising = alpha * penalty.weight / 2 * pairs.gathered(-signs)
        if pairs.target is not None:
            rising *= 2  # each pair counts once
        grad = groups.T @ self.pull * slope
        grad = grad.sum(axis=1) + (groups * rising[:, of]).sum(axis=0)
        hessian = (groups.T @ self.coupling @ groups) * (slope @ slope.T)
        way = np.zeros(self.T.shape)
        np.add.at(way.T, of, (groups * np.linalg.lstsq(hessian, -grad, rcond=1e-12)[0]).T)
        now, change = pairs.deltas(self.T), pairs.deltas(way)
        closing = now * change < 0
        self._put(self.T + (-now[closing] / change[closing]).min(initial=1.0) * way)


def _blocks(T, target):
    """Translations that move as one: indicators of the groups, and the feature of each block.

    Without a target these are the groups that are pooled, in features that are not as a whole;
    with one, each group by itself, where it is not at 0.
    """
    if target is not None:
        groups, of = np.nonzero(T)
        return np.eye(len(T))[:, groups], of
    found, of = [], []
    for f in np.flatnonzero(np.ptp(T, axis=0) > 0):
        values = np.unique(T[:, f])
        found.append(T[:, f, None] == values)
        of += [f] * len(values)
    return np.concatenate([np.zeros((len(T), 0)), *found], axis=1).astype(float), np.array(of, int)


def _slope(representation):
    """The matrix of an affine map, shape (n_features, n_outputs); None of another map."""
    found = representation.inner if isinstance(representation, FilledMap) else representation
    return found.slope if isinstance(found, (AffineMap, ScaledMap)) else None


def _checked_slope(problem):
    slope = _slope(problem.representation)
    if slope is None or not isinstance(problem.datafit, MeanDatafit):
        raise ValueError(
            'The solver "coordinate" is for affine representations, such as PCA, and the loss '
            '"mean": take the solver "prox".'
        )
    return slope
