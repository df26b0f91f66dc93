"""The smoothed dual on short lists of pairs, and Newton's method for it.

With the least price replaced by the soft one, ``s_i = -eps log sum_j exp(-(C_ij + g_j) / eps)``
over the listed pairs, the dual is smooth and concave in the prices g:

    F(g) = sum_i h(s_i; a_i) - sum_j k(g_j; b_j)

Its gradient is ``R' p - k'(g)``, with R the row-stochastic softmax and p = h'(s), and

    -F''(g) = diag(R' p) / eps - R' diag(p / eps + h''(s)) R + diag(k''(g)).
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import xlogy

__all__ = ["ShortLists", "entropy"]

MOST_STEPS, MOST_CG_STEPS, MOST_HALVINGS = 60, 500, 20
CG_TOLERANCE = 1e-2  # Newton steps need not be exact
NEGLIGIBLE = 1e-6  # probability that the second derivative, but nothing else, leaves out


class ShortLists:
    """A transport problem on listed pairs alone.

    Parameters
    ----------
    candidates : Candidates
        The pairs, sorted by source; each source has at least one.
    problem : TransportProblem
        What the pairs are of.
    """

    def __init__(self, candidates, problem):
        self.candidates, self.problem = candidates, problem
        self.columns, self.cost = candidates.columns, candidates.cost
        self.starts = np.flatnonzero(np.diff(candidates.rows, prepend=-1))
        self.counts = np.diff(self.starts, append=len(self.columns))

    def least(self, g):
        """Least full price of each source over its pairs."""
        return np.minimum.reduceat(self.cost + g[self.columns], self.starts)

    def soft(self, g, eps):
        """Soft least price of each source, and its softmax over its pairs."""
        full = self.cost + g[self.columns]
        full /= -eps
        best = np.maximum.reduceat(full, self.starts)
        full -= np.repeat(best, self.counts)
        np.exp(full, out=full)
        total = np.add.reduceat(full, self.starts)
        full /= np.repeat(total, self.counts)
        return -eps * (best + np.log(total)), full

    def spread(self, p, softmax):
        """Mass on each pair."""
        return softmax * np.repeat(p, self.counts)

    def wanted(self, masses):
        """Mass on each target."""
        return np.bincount(self.columns, masses, self.problem.shape[1])

    def matrix(self, values):
        """Values of the pairs as a sparse matrix of shape (m, n)."""
        indptr = np.append(self.starts, len(self.columns)).astype(np.int32)
        return csr_array((values, self.columns, indptr), shape=self.problem.shape)

    def primal(self, masses):
        """What a plan pays, given its mass on each pair."""
        p = np.add.reduceat(masses, self.starts)
        return self.problem.primal(float(masses @ self.cost), p, self.wanted(masses))

    def sweep(self, g, eps):
        """One exact step of the entropic dual in the prices, the source potentials being fixed.

        It finds the order of magnitude of prices that are far off, which Newton does not.
        """
        problem = self.problem
        s, softmax = self.soft(g, eps)
        f = problem.source.soften(s, eps)
        wanted = self.wanted(self.spread(problem.a * np.exp((f - s) / eps), softmax))
        with np.errstate(divide="ignore"):
            t = g + eps * np.log(wanted / problem.b)
        return problem.target.clip(problem.target.soften(t, eps))

    def newton(self, g, eps, tol):
        """Maximise F by damped Newton steps.

        Parameters
        ----------
        g : ndarray of float64, shape (n,)
            Prices to start from.
        eps : float
            Smoothing.
        tol : float
            Stop when the mismatch of wanted and offered masses costs no more than that. (The
            Newton decrement says less: at small eps the plan is far more sensitive than F.)

        Returns
        -------
        g : ndarray of float64, shape (n,)
            The prices.
        n_steps : int
        """
        point = _Point(self, g, eps)
        for n_steps in range(MOST_STEPS):
            better = point.improved() if point.mismatch > tol else None
            if better is None:
                return point.g, n_steps
            point = better
        return point.g, MOST_STEPS


class _Point:
    """Prices, with F and its derivatives there.

    Parameters
    ----------
    lists : ShortLists
        What F is of.
    g : ndarray of float64, shape (n,)
        The prices.
    eps : float
        Smoothing.
    step_size : float
        Size of the damped step that led here.
    """

    def __init__(self, lists, g, eps, step_size=1.0):
        self.lists, self.eps, self.step_size = lists, eps, step_size
        problem = lists.problem
        # Newton's method is slow to find the level of the prices: far off, it is no parabola
        self.g = g + problem.level(g)
        self.s, self.softmax = lists.soft(self.g, eps)
        h = problem.source.dual(self.s, problem.a)
        self.value = float(np.sum(h) - np.sum(problem.target.conjugate(self.g, problem.b)))

    def improved(self):
        """Go the Newton step, halved until F rises enough; None where it never does."""
        step = self._newton_step()
        promise = float(step @ self.gradient)
        first = min(1.0, 4 * self.step_size)  # damped phases last: do not start over
        for halvings in range(MOST_HALVINGS):
            size = first * 0.5**halvings
            new = _Point(self.lists, self.g + size * step, self.eps, size)
            if new.value >= self.value + 1e-4 * size * promise:
                return new
        return None

    @property
    def mismatch(self):
        """What it costs, to second order, that wanted and offered masses differ."""
        problem = self.lists.problem
        self.p = problem.source.mass(self.s, problem.a)
        self.wanted = self.lists.wanted(self.lists.spread(self.p, self.softmax))
        self.gradient = self.wanted - problem.target.mass(self.g, problem.b)
        self.stiffness = problem.target.curvature(self.g, problem.b)
        return float(np.sum(self.gradient**2 / self.stiffness)) / 2

    def _newton_step(self):
        """Solve ``-F'' step = F'`` by conjugate gradients, preconditioned by the diagonal."""
        problem = self.lists.problem
        outer = self.p / self.eps - problem.source.curvature(self.s, problem.a)
        diagonal = self.wanted / self.eps + self.stiffness
        R = self._pruned_softmax()
        R_t = R.T.tocsr()
        squares = csr_array((R_t.data**2, R_t.indices, R_t.indptr), shape=R_t.shape)
        own = np.maximum(diagonal - squares @ outer, 1e-12 * diagonal)

        def product(v):
            return diagonal * v - R_t @ (outer * (R @ v))

        shape = (len(own), len(own))
        hessian = LinearOperator(shape, matvec=product, dtype=float)
        inverse = LinearOperator(shape, matvec=lambda v: v / own, dtype=float)
        step, _ = cg(hessian, self.gradient, rtol=CG_TOLERANCE, maxiter=MOST_CG_STEPS, M=inverse)
        return step

    def _pruned_softmax(self):
        """The softmax without its negligible entries, each row summing to 1 again.

        (Otherwise the second derivative would lose its constant mode.) At small eps a few
        entries of a row are all there is, and products are ten times as fast.
        """
        lists = self.lists
        keep = self.softmax > NEGLIGIBLE
        counts = np.add.reduceat(keep, lists.starts, dtype=np.int32)
        indptr = np.append(0, np.cumsum(counts, dtype=np.int32))
        values = self.softmax[keep]
        values /= np.repeat(np.add.reduceat(values, indptr[:-1]), counts)
        return csr_array((values, lists.columns[keep], indptr), shape=lists.problem.shape)


def entropy(masses, softmax):
    """Nats by which a plan spreads its sources over targets: bounds the bias over eps."""
    return -float(np.sum(xlogy(masses, softmax)))
