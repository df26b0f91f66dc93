"""Sparse translations of each pair of groups, optimised by themselves for what is reported.

Where each pair has features of its own, translations are not transitive any more; so nothing is
lost by giving each pair what is best with its features. As `skcf.group._metric`, this is not in
paper 4.
"""

import numpy as np

from skcf.group._metric import MOST_ROWS, Ascent, spread_of
from skcf.group._pairs import pairwise
from skcf.group._refit import permitted, two_groups

__all__ = ["climb_each_pair"]


def climb_each_pair(
    problem, score, candidates, reach, *, n_starts=4, max_iter=300, random_state=None
):
    """Climb smoothed correctness plus coverage of each two groups, from the best of some starts.

    The features of a start are kept; there and back are one translation with both signs. None of
    the changes becomes larger than the reach.

    Cost: as of `skcf.group._metric.solve_metric`.

    Parameters
    ----------
    problem : GroupProblem
        Says which columns are free, and the directions that are permitted.
    score : GroupScore
        Of the same pairs.
    candidates : ndarray of float64, shape (n, n_groups, n_groups, n_features)
        Sparse translations; each two groups take their own of them.
    reach : ndarray of float64, shape (n_features,)
        The largest change of each feature.
    n_starts : int, default=4
        How many candidates of each two groups are climbed from.
    max_iter : int, default=300
        Steps.
    random_state : int, RandomState or None, default=None
        Draws the sample of rows of large groups.

    Returns
    -------
    ndarray of float64, shape (n_groups, n_groups, n_features)
        Whose total, over all rows, is no less than that of any of the candidates within the reach.
    """
    two = _EachTwo(problem, score, reach)
    starts = two.permitted(candidates[:, two.i, two.j])
    totals = two.totals(starts)
    chosen = np.argsort(-totals, axis=0, kind="stable")[:n_starts, :, None]
    chosen = np.take_along_axis(starts, chosen, axis=0)
    sample = _EachTwo(problem, score.sampled(MOST_ROWS, random_state), reach)
    climbed = sample.climbed(chosen, max_iter)
    best = np.concatenate([totals, two.totals(climbed)]).argmax(axis=0)
    return two.of_all(np.concatenate([starts, climbed])[best, np.arange(len(best))])


class _EachTwo:
    """The translations of each two groups, as free as they are to be, and what they come to."""

    def __init__(self, problem, score, reach):
        self.problem, self.score = problem, score
        self.i, self.j = two_groups(problem.pairs)
        self.low, self.high = permitted(problem.penalty.signs, reach)
        self.unit = spread_of(score) * problem.free
        self.of, self.way = self._ways()

    def _ways(self):
        """Which two groups each pair is of, and whether it is the way there or the way back."""
        place = {(i, j): u for u, (i, j) in enumerate(zip(self.i, self.j, strict=True))}
        ends = list(zip(self.problem.pairs.source, self.problem.pairs.end, strict=True))
        of = np.array([place[pair] if pair in place else place[pair[::-1]] for pair in ends])
        return of, np.array([1.0 if pair in place else -1.0 for pair in ends])

    def permitted(self, deltas):
        """The nearest translations that may be."""
        return np.clip(deltas, self.low, self.high) * self.problem.free

    def by_pairs(self, deltas):
        """Translations of the pairs, of shape (..., n_pairs, n_features)."""
        return deltas[..., self.of, :] * self.way[:, None]

    def gathered(self, values):
        """Sums over the ways of each two groups, of the last axis."""
        sums = np.zeros((*values.shape[:-1], len(self.i)))
        np.add.at(sums, (..., self.of), values)
        return sums

    def totals(self, deltas):
        """Correctness plus coverage of each, as they count, shape (n, n_twos)."""
        told = [self.score.shares @ self.score.of_each(self.by_pairs(each)) for each in deltas]
        return self.gathered(np.array(told) * self.problem.pairs.weights)

    def climbed(self, deltas, max_iter):
        """The best iterate of each start of each two groups."""
        kept = (deltas != 0) * self.unit
        best, most = deltas.copy(), np.full(deltas.shape[:2], -np.inf)
        ascent = Ascent(deltas.shape, max_iter)
        for n in range(max_iter):
            width = self.score.width(n / max_iter)
            slopes, told = self.score.smoothed(self.by_pairs(deltas), width)
            total = self.gathered(told)
            better = total > most
            best[better], most[better] = deltas[better], total[better]
            slope = self.gathered(np.swapaxes(slopes * self.way[:, None], 1, 2))
            step = ascent.step(np.swapaxes(slope, 1, 2) * kept)
            deltas = self.permitted(deltas + kept * step)
        return best

    def of_all(self, deltas):
        """Translations of all pairs of groups."""
        if self.problem.pairs.target is not None:
            T = np.zeros(self.problem.means.shape)
            T[self.i] = -deltas
            return pairwise(T)
        n = len(self.problem.means)
        found = np.zeros((n, n, deltas.shape[1]))
        found[self.i, self.j], found[self.j, self.i] = deltas, -deltas
        return found
