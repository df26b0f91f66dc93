"""Algorithms 1 to 3 of paper 4, as they are published: random pairs, halved updates.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["Run", "published_weight", "solve_stochastic"]

LEARNING_RATE = 0.01
LARGEST_GRADIENT = 5.0
STEPS_A_PAIR = 5
DECAY = 0.99


@dataclass(frozen=True)
class Run:
    """What a run found.

    Attributes
    ----------
    translations : ndarray of float64, shape (n_groups, n_features)
        0 for the reference, group 0.
    average : float
        The moving average of the loss at the best iterate.
    n_iter : int
        Steps that were taken.
    """

    translations: np.ndarray
    average: float
    n_iter: int


def published_weight(alpha, n_features):
    """The weight lambda of the published code that has the same minimisers as an alpha of ours.

    Three objectives are about, all averaged over the ordered pairs of groups:

    - Ours, Eq. 9 of [1]_ as printed: ``||r(xbar_i + d_ij) - rbar_j||^2 + alpha ||d_ij||_1``. So
      alpha is the lambda of Eq. 9.
    - The published code: ``||r(xbar_i + d_ij) - rbar_j||^2 / 2 + lambda mean_f |d_ijf|``, half
      the square and the mean over the d features.

    The second is half of the first where ``alpha = 2 lambda / d``: they have the same minimisers.
    """
    return alpha * n_features / 2


def solve_stochastic(
    problem, alpha, *, min_iter=2000, patience=2000, max_iter=50000, tol=1e-4, random_state=None
):
    """Subgradient steps on random pairs ([1]_, Algorithms 1 to 3).

    A pair i != j is drawn, its translation is made of those relative to group 0 (Algorithm 2),
    and a subgradient step of the published code's objective (see `published_weight`) is split
    between these: half to each, or all to the one that is not the reference (Algorithm 3). What
    the paper leaves to its code: a pair is kept for 5 steps, gradients are clipped to +-5, the
    learning rate is .01; the run stops when the moving average of the loss (.99) has not fallen
    for some time, and the iterate with the least average is kept. There are no exact zeros.

    Parameters
    ----------
    problem : GroupProblem
        Of the loss "mean" and all pairs of groups, which are drawn by their weights.
    alpha : float
        Weight of the penalty, in our units.
    min_iter, patience : int, default=2000
        Steps before the averages count, and steps without a better one to stop after.
    max_iter : int, default=50000
        Most steps.
    tol : float, default=1e-4
        What the average must fall by to count as better.
    random_state : int, RandomState or None, default=None
        Draws the pairs.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If there is one target: the algorithms are of all pairs.
    """
    if problem.pairs.target is not None:
        raise ValueError('The solver "stochastic" is of all pairs of groups, not of one target.')
    random, T = check_random_state(random_state), np.zeros(problem.means.shape)
    loss = _PairLoss(problem, published_weight(alpha, T.shape[1]))
    average, best = None, Run(T.copy(), np.inf, 0)
    for n_iter in range(1, max_iter + 1):
        if (n_iter - 1) % STEPS_A_PAIR == 0:
            p = random.choice(len(problem.pairs), p=problem.pairs.weights)
        value, grad = loss.of_pair(T, p)
        average = value if average is None else DECAY * average + (1 - DECAY) * value
        if n_iter >= min_iter and average < best.average - tol:
            best = Run(T.copy(), average, n_iter)
        if n_iter >= max(min_iter, best.n_iter) + patience:
            break
        _update(T, problem.pairs.source[p], problem.pairs.end[p], grad)
    return Run(best.translations, best.average, n_iter)


class _PairLoss:
    """The published code's objective of one pair."""

    def __init__(self, problem, weight):
        self.problem, self.weight = problem, weight / problem.means.shape[1]

    def of_pair(self, T, p):
        """Its value, and its subgradient by the pair's translation, clipped."""
        problem = self.problem
        i, j = problem.pairs.source[p], problem.pairs.end[p]
        delta = T[j] - T[i]
        residual, grad = problem.representation.residual_pullback(
            (problem.means[i] + delta)[None], lambda values, _: values - problem.targets[j]
        )
        value = (residual**2).sum() / 2 + self.weight * np.abs(delta).sum()
        grad = grad[0] * problem.free + self.weight * np.sign(delta)
        return value, np.clip(grad, -LARGEST_GRADIENT, LARGEST_GRADIENT)


def _update(T, i, j, grad):
    """Split a step between the translations that a pair's is made of; group 0 stays ([1]_, 3)."""
    if i == 0:
        T[j] -= LEARNING_RATE * grad
    elif j == 0:
        T[i] += LEARNING_RATE * grad
    else:
        T[j] -= 0.5 * LEARNING_RATE * grad
        T[i] += 0.5 * LEARNING_RATE * grad
