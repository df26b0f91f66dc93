"""Translations of few features, made the best that these features allow.

This is not in paper 4, which drops the smallest changes and leaves the others as they are: what was
found together with others is seldom the best without them.
"""

from copy import copy

import numpy as np

from skcf.group._pairs import pairwise
from skcf.group._prox import minimise

__all__ = ["permitted", "refit_each_pair", "refit_together", "two_groups"]

MAX_ITER, TOL = 30, 1e-6
"""Steps of a pair, and by which share of the datafit a step must improve it to be gone on with."""

DAMPING = 1e-3
"""Of the first step, as a share of the curvature; ten times more where a step is none."""

LEAST_DAMPING = 1e-12
"""What residuals that follow from one another need for the step to be told: more than rounding."""


def refit_together(problem, translations, deltas, reach):
    """Translations of the least datafit on the features that all pairs share.

    Parameters
    ----------
    problem : GroupProblem
        Of any loss.
    translations : ndarray of float64, shape (n, n_groups, n_features)
        Where to start.
    deltas : ndarray of float64, shape (n, n_groups, n_groups, n_features)
        What was kept of them.
    reach : ndarray of float64, shape (n_features,)
        The largest change of each feature, beyond which changes are cut.

    Returns
    -------
    ndarray of float64, shape (n, n_groups, n_groups, n_features)
    """
    kept = deltas.any(axis=(1, 2))[:, None]
    # what was dropped need not be zero for a group, only alike for all of them
    starts = np.where(kept, translations, 0.0)
    T = minimise(problem, starts, 0.0, free=kept, tol=TOL).T
    return pairwise(problem.pairs.within(T, reach))


def refit_each_pair(problem, deltas, reach):
    """Translations of the least datafit on the features of each pair, there and back.

    Levenberg-Marquardt steps of all pairs at once, each by itself: the datafit of two groups is a
    sum of few squares. Where features outnumber them, steps are the shortest ones. They stay
    symmetric, and are no more transitive than features of their own let them be.

    Cost: for each step the representation of each mean, moved to each other one, and its
    gradients, one for each output.

    Parameters
    ----------
    problem : GroupProblem
        Of the loss "mean".
    deltas : ndarray of float64, shape (n, n_groups, n_groups, n_features)
        Translations with the changes that are kept.
    reach : ndarray of float64, shape (n_features,)
        The largest change of each feature.

    Returns
    -------
    ndarray of float64, shape (n, n_groups, n_groups, n_features)
    """
    i, j = two_groups(problem.pairs)
    fit = _TwoGroups(problem, np.tile(i, len(deltas)), np.tile(j, len(deltas)), reach)
    start = deltas[:, i, j].reshape(len(fit), -1)
    found = np.zeros(deltas.shape)
    found[:, i, j] = fit.run(start).reshape(len(deltas), len(i), -1)
    found[:, j, i] = -found[:, i, j]
    if problem.pairs.target is not None:
        return pairwise(found[:, :, problem.pairs.target] * -1.0)
    return found


def two_groups(pairs):
    """Each two groups once; with one target, each group and it."""
    if pairs.target is not None:
        return pairs.source, pairs.end
    once = pairs.source < pairs.end
    return pairs.source[once], pairs.end[once]


def permitted(signs, reach):
    """The least and the largest change of each feature, by its direction and its reach."""
    signs = np.zeros(len(reach)) if signs is None else signs
    return np.where(signs > 0, 0, -reach), np.where(signs < 0, 0, reach)


class _TwoGroups:
    """The datafits of some pairs of groups, each with its own translation."""

    def __init__(self, problem, i, j, reach):
        self.representation = problem.representation
        self.low, self.high = permitted(problem.penalty.signs, reach)
        self.starts, self.ends = [problem.means[i]], [problem.targets[j]]
        self.ways = [1.0]
        if problem.pairs.target is None:
            self.starts.append(problem.means[j])
            self.ends.append(problem.targets[i])
            self.ways.append(-1.0)

    def __len__(self):
        """Number of pairs."""
        return len(self.starts[0])

    def residuals(self, delta):
        """How far each translation misses its end, both ways; shape (n_pairs, n_residuals)."""
        ends = zip(self.starts, self.ends, self.ways, strict=True)
        missed = [self.representation.values(x + way * delta) - r for x, r, way in ends]
        return np.concatenate(missed, axis=1)

    def jacobian(self, delta):
        """How they change with the translation, shape (n_pairs, n_residuals, n_features)."""
        n_outputs = self.ends[0].shape[1]
        rows = []
        for x, way in zip(self.starts, self.ways, strict=True):
            for e in np.eye(n_outputs):
                V = np.tile(e, (len(delta), 1))
                rows.append(way * self.representation.pullback(x + way * delta, V))
        return np.stack(rows, axis=1)

    def run(self, delta):
        """The translations after the steps, with the zeros of the first ones."""
        kept, delta = delta != 0, np.clip(delta, self.low, self.high)
        missed = self.residuals(delta)
        loss, damping = np.sum(missed**2, axis=1), np.full(len(delta), DAMPING)
        going = np.arange(len(delta)) if len(delta) else np.empty(0, dtype=int)
        for _ in range(MAX_ITER):
            if not len(going):
                break
            part = self._part(going)
            J = part.jacobian(delta[going]) * kept[going, None]
            step = _damped(J, missed[going], damping[going])
            tried = np.clip(delta[going] + step, self.low, self.high)
            missed_there = part.residuals(tried)
            there = np.sum(missed_there**2, axis=1)
            better = there < loss[going]
            at = going[better]
            done = better & (there >= (1 - TOL) * loss[going])
            delta[at], missed[at], loss[at] = tried[better], missed_there[better], there[better]
            damping[going] *= np.where(better, 0.1, 10.0)
            going = going[~done & (damping[going] < 1e6)]
        return delta

    def _part(self, places):
        """The same of some pairs."""
        part = copy(self)
        part.starts = [x[places] for x in self.starts]
        part.ends = [r[places] for r in self.ends]
        return part


def _damped(J, missed, damping):
    """The shortest damped Gauss-Newton step of each pair."""
    curvature = J @ np.swapaxes(J, 1, 2)
    size = np.trace(curvature, axis1=1, axis2=2) / J.shape[1]
    shift = np.where(size > 0, np.maximum(damping, LEAST_DAMPING) * size, 1.0)
    shift = shift[:, None, None] * np.eye(J.shape[1])
    return -np.einsum(
        "pod,po->pd", J, np.linalg.solve(curvature + shift, missed[..., None])[..., 0]
    )
