"""Translations that are optimised for what is reported: correctness and coverage.

This is not in paper 4, whose loss of the group means stands for both: here they are smoothed and
climbed themselves, with the k largest changes chosen inside the forward pass.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
.. [2] Y. Bengio, N. Léonard, A. Courville. "Estimating or propagating gradients through stochastic
   neurons for conditional computation." arXiv:1308.3432, 2013.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import expit
from sklearn.utils import check_random_state

from skcf._neighbours import nearest_both_ways
from skcf._representations import BATCH_ELEMENTS, front_of, innermost
from skcf.group._sparsify import check_sparsity, supports

__all__ = ["Ascent", "GroupScore", "Members", "MetricRun", "solve_metric", "spread_of"]

BLOCK_ELEMENTS = 2**23
"""Values of moved rows that are made up at a time: 64 MiB."""

MOST_ROWS = 500
"""Rows of a group that are moved in each step; where there are more, a sample of them."""

WIDTHS = (0.3, 0.1, 0.05)
"""How wide the sigmoids are, in terms of eps, one after the other."""

LEAST_EPS = 1e-9
"""In the place of a radius of 0, of which no sigmoid can be made."""

LEARNING_RATE = 0.015
"""Of Adam, in units of the columns' spread; it falls to 0."""

ADAM_EPS = 1e-8


class Members(Sequence):
    """The rows of each group, copied when they are asked for, and not before.

    Parameters
    ----------
    rows : ndarray, shape (n_rows, n_features)
        All of them.
    places : list of ndarray of int, shapes (n_rows_of_group,)
        Which belong to each group.
    """

    def __init__(self, rows, places):
        self.rows, self.places = rows, places

    def __len__(self):
        """Number of groups."""
        return len(self.places)

    def __getitem__(self, group):
        """The rows of a group."""
        return self.rows[self.places[group]]

    def some(self, chosen):
        """Some rows of each group, by their places in it."""
        return Members(self.rows, [own[c] for own, c in zip(self.places, chosen, strict=True)])


class GroupScore:
    """Correctness and coverage of translations, with gradients of their smoothed version.

    Correctness is the share of a group's rows that are led within eps of a row of the other
    group ([1]_, Eq. 3), coverage the share of the other one's rows that are met (Eq. 4). Smoothed,
    a distance D to the nearest counts ``sigmoid((eps - D) / width)`` instead of ``1[D <= eps]``.

    Parameters
    ----------
    representation : Map
        r.
    members : Members
        The rows of each group.
    represented : list of ndarray of float64, shapes (n_rows_of_group, n_outputs)
        Their representations.
    pairs : Pairs
        Which pairs count, by their weights.
    eps : float
        Radius, of the plain distance.
    balance : float, default=0.5
        Share of correctness in the total, ``2 (balance * correctness + (1 - balance) * coverage)``:
        their sum, unless another one is given.
    """

    def __init__(self, representation, members, represented, pairs, eps, balance=0.5):
        self.representation, self.pairs, self.eps = representation, pairs, float(eps)
        self.members, self.represented, self.balance = members, represented, balance
        self.shares = np.array([2 * balance, 2 * (1 - balance)])
        self._members_behind = None

    def weighing(self, balance):
        """The same with another share of correctness."""
        parts = self.representation, self.members, self.represented, self.pairs, self.eps
        return GroupScore(*parts, balance)

    def sampled(self, most_rows, random_state):
        """The same of a sample of each group's rows; of all of them where they are few."""
        if max(self.sizes) <= most_rows:
            return self
        random = check_random_state(random_state)
        chosen = [np.sort(random.permutation(size)[:most_rows]) for size in self.sizes]
        few = [rows[c] for rows, c in zip(self.represented, chosen, strict=True)]
        members = self.members.some(chosen)
        return GroupScore(self.representation, members, few, self.pairs, self.eps, self.balance)

    @property
    def sizes(self):
        """How many rows each group has."""
        return np.array([len(rows) for rows in self.represented])

    def of_each(self, deltas):
        """Correctness and coverage of each pair, shape (2, n_pairs).

        Parameters
        ----------
        deltas : ndarray of float64, shape (n_pairs, n_features)
            The pairs' translations.
        """
        correct, covered = np.empty((2, len(self.pairs)))
        hidden, steps, rest = self._behind_the_front(deltas)
        for p, (i, j) in enumerate(zip(self.pairs.source, self.pairs.end, strict=True)):
            moved = rest.values(hidden[i] + steps[p])
            near, met = nearest_both_ways(moved, self.represented[j])
            correct[p], covered[p] = np.mean(near <= self.eps), np.mean(met <= self.eps)
        return np.stack([correct, covered])

    def arrivals(self, deltas):
        """Share of each pair's rows that come to be of the other group, shape (n_pairs,).

        By what a classifier says, whose margins the representation is; else by correctness.
        """
        leads = getattr(innermost(self.representation), "leads", None)
        if leads is None:
            return self.of_each(deltas)[0]
        ends = zip(self.pairs.source, self.pairs.end, deltas, strict=True)
        values = self.representation.values
        return np.array([np.mean(leads(values(self.members[i] + d), j)) for i, j, d in ends])

    def _behind_the_front(self, deltas):
        """Rows and translations after an affine first layer of r, and what is left of it."""
        slope, intercept, rest = front_of(self.representation)
        if slope is None:
            return self.members, deltas, rest
        return self._hidden(slope, intercept), deltas @ slope, rest

    def _hidden(self, slope, intercept):
        """The rows after the first layer; made once for all pairs and translations."""
        if self._members_behind is None:
            self._members_behind = [rows @ slope + intercept for rows in self.members]
        return self._members_behind

    def width(self, progress):
        """How wide the sigmoids are after a share of the steps."""
        return max(self.eps, LEAST_EPS) * WIDTHS[int(progress * len(WIDTHS))]

    def total(self, deltas):
        """Weighted mean over the pairs of correctness plus coverage."""
        return float(self.shares @ self.of_each(deltas) @ self.pairs.weights)

    def smoothed(self, deltas, width):
        """Gradient of the smoothed total of several translations, and what makes up the total.

        Parameters
        ----------
        deltas : ndarray of float64, shape (n_starts, n_pairs, n_features)
            The pairs' translations.
        width : float
            Of the sigmoids.

        Returns
        -------
        gradient : ndarray of float64, of the shape of deltas
        totals : ndarray of float64, shape (n_starts, n_pairs)
            What each pair adds to the total; not smoothed.
        """
        rows = np.concatenate([self.members[i] for i in self.pairs.source])
        size = max(1, BLOCK_ELEMENTS // rows.size)
        blocks = [deltas[first : first + size] for first in range(0, len(deltas), size)]
        parts = [self._smoothed(block, rows, width) for block in blocks]
        gradient, totals = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return gradient, totals

    def _smoothed(self, deltas, rows, width):
        """The same, of translations whose moved rows fit into memory."""
        sizes = self.sizes[self.pairs.source]
        moved = rows + np.repeat(deltas, sizes, axis=1)
        flat, totals = moved.reshape(-1, moved.shape[2]), np.zeros(deltas.shape[:2])
        firsts = np.cumsum(sizes) - sizes

        def slopes(values):
            values = values.reshape(len(deltas), len(rows), -1)
            found = np.empty(values.shape)
            for p, (first, j) in enumerate(zip(firsts, self.pairs.end, strict=True)):
                b, weight = slice(first, first + sizes[p]), self.pairs.weights[p]
                for s in range(len(deltas)):
                    slope, reached = _reached(values[s, b], self.represented[j], self, width)
                    found[s, b], totals[s, p] = weight * slope, weight * reached
            return found.reshape(len(flat), -1)

        pulled = _pulled_back(self.representation, flat, slopes)
        return np.add.reduceat(pulled.reshape(moved.shape), firsts, axis=1), totals


def _pulled_back(representation, Z, slopes):
    """Gradient where the slopes depend on all values: in one pass if they come at one go."""
    if Z.size > BATCH_ELEMENTS:
        return representation.pullback(Z, slopes(representation.values(Z)))
    return representation.residual_pullback(Z, lambda values, _: slopes(values))[1]


def _reached(moved, there, score, width):
    """Slope of smoothed correctness plus coverage by where rows are moved, and their sum."""
    eps, (correct, covered) = score.eps, score.shares / [len(moved), len(there)]
    distances = cdist(moved, there)
    nearest, back = distances.argmin(axis=1), distances.argmin(axis=0)
    near = distances[np.arange(len(moved)), nearest]
    met = distances[back, np.arange(len(there))]
    slope = _pull(near, eps, width)[:, None] * (there[nearest] - moved) * correct
    np.add.at(slope, back, _pull(met, eps, width)[:, None] * (there - moved[back]) * covered)
    return slope, correct * np.sum(near <= eps) + covered * np.sum(met <= eps)


def _pull(distances, eps, width):
    """How fast the sigmoid grows with a unit step to the other end, over the distance."""
    share = expit((eps - distances) / width)
    slope = share * (1 - share) / width
    return np.divide(slope, distances, out=np.zeros_like(slope), where=distances > 0)


@dataclass(frozen=True)
class MetricRun:
    """What was found.

    Attributes
    ----------
    translations : ndarray of float64, shape (n_groups, n_features)
        Of which the k largest changes are kept, see `skcf.group._sparsify`.
    total : float
        Mean correctness plus coverage of what is kept, over all rows.
    n_iter : int
        Steps of each start.
    """

    translations: np.ndarray
    total: float
    n_iter: int


def solve_metric(
    problem, score, starts, k=None, *, support="pair", n_starts=4, max_iter=300, random_state=None
):
    """Climb smoothed correctness plus coverage, from the best of some starts.

    Adam on the groups' translations, the sigmoids becoming steeper. The k largest changes are
    chosen anew in each forward pass; the gradient passes through the choice as it is [2]_, so
    that a feature that is left out can come in. Nothing in what is climbed holds changes in check,
    so none may be larger than the range of its feature. The iterate with the largest total is kept,
    not smoothed.

    Cost: for each step and each start the representation of each row moved to each other group,
    there and back, and the distances between all rows of different groups.

    Parameters
    ----------
    problem : GroupProblem
        Says which columns are free, and what is feasible.
    score : GroupScore
        Of the same pairs.
    starts : ndarray of float64, shape (n, n_groups, n_features)
        Translations, to be truncated; DBM is always among them.
    k : int, default=None
        How many features may change. None: all.
    support : {"pair", "shared"}, default="pair"
        Whether each pair has its k features, or all pairs have the same.
    n_starts : int, default=4
        How many of the starts are climbed from.
    max_iter : int, default=300
        Steps.
    random_state : int, RandomState or None, default=None
        Draws the sample of rows of large groups.

    Returns
    -------
    MetricRun
        Whose total is no less than that of any of the starts, within the ranges and truncated.
    """
    k = problem.means.shape[1] if k is None else k
    check_sparsity(k, problem.means.shape[1], support)
    starts = np.concatenate([starts, problem.difference_between_means()[None]])
    climb = _Climb(problem, score.sampled(MOST_ROWS, random_state), k, support)
    starts = problem.pairs.within(starts, climb.reach)
    chosen = starts[climb.promising(starts)[:n_starts]]
    candidates = np.concatenate([starts, climb.run(chosen, max_iter)])
    exact = [score.total(climb.truncated(T)) for T in candidates]
    best = int(np.argmax(exact))
    return MetricRun(candidates[best], exact[best], max_iter)


class _Climb:
    """Adam, from several starts at once."""

    def __init__(self, problem, score, k, support):
        self.problem, self.score, self.k, self.support = problem, score, k, support
        self.reach = np.ptp(np.concatenate(score.members), axis=0)
        self.unit = spread_of(score) * problem.free

    def truncated(self, T):
        """The pairs' translations, with the k largest changes."""
        deltas = self.problem.pairs.deltas(T)
        whole = deltas[..., None, :, :]
        return np.where(supports(whole, self.k, self.support), whole, 0.0)[..., 0, :, :]

    def promising(self, starts):
        """Places of the starts: the best of each support first, the best before the others."""
        totals = [self.score.total(self.truncated(T)) for T in starts]
        supports_seen, first, again = set(), [], []
        for i in np.argsort(np.negative(totals), kind="stable"):
            used = (self.truncated(starts[i]) != 0).tobytes()
            (again if used in supports_seen else first).append(i)
            supports_seen.add(used)
        return first + again

    def run(self, T, max_iter):
        """The best iterate of each start."""
        ascent = Ascent(T.shape, max_iter)
        best, most = T.copy(), np.full(len(T), -np.inf)
        for n in range(max_iter):
            width = self.score.width(n / max_iter)
            slope, totals = self.score.smoothed(self.truncated(T), width)
            total = totals.sum(axis=1)
            better = total > most
            best[better], most[better] = T[better], total[better]
            step = ascent.step(self.problem.pairs.gathered(slope) * self.unit)
            T = self.problem.penalty.feasible(T + self.unit * step)
            T = self.problem.pairs.within(T, self.reach)
        return best


class Ascent:
    """Steps of Adam, the rate of which falls to 0."""

    def __init__(self, shape, max_iter):
        self.max_iter, self.n = max_iter, 0
        self.first, self.second = np.zeros((2, *shape))

    def step(self, slope):
        """The next step, of which the slope is known."""
        self.n += 1
        self.first = 0.9 * self.first + 0.1 * slope
        self.second = 0.99 * self.second + 0.01 * slope**2
        size = np.sqrt(self.second / (1 - 0.99**self.n)) + ADAM_EPS
        rate = LEARNING_RATE * (1 - (self.n - 1) / self.max_iter)
        return rate * (self.first / (1 - 0.9**self.n)) / size


def spread_of(score):
    """How far rows are spread in each feature; 1 where they are not."""
    spread = np.concatenate(score.members).std(axis=0)
    return np.where(spread > 0, spread, 1.0)
