"""Routes from one real person to the next, along a graph of nearest neighbours."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from sklearn.utils import gen_batches

from skcf.collective._move_costs import MoveCosts
from skcf.transport import PairCost, cheapest

__all__ = ["PeopleGraph"]

N_NEIGHBORS = 10

END, SELF = -1, -2
"""Stops that are no people: the counterfactual, and the row itself."""

BLOCK_ELEMENTS = 2**21
"""Distances, from ends to people, that are held at a time: 24 MiB with the ways back."""


class PeopleGraph:
    """Shortest routes along real rows, in allowed hops.

    A hop is allowed from a person to those of the nearest ones that the constraints let this
    person become, and from those of the nearest ones who may become this person. It costs the
    square of its length (the feature space's ``"sqeuclidean"``), so that many short hops are
    better than a long one. What a chain of allowed hops leads to is allowed for the first
    row of the chain, too, but for implications: a chain may let the second feature fall first.
    Ways that do are not taken.

    Parameters
    ----------
    space : FeatureSpace
        Says what is allowed, and what moves cost.
    people : ndarray of float64, shape (n_people, n_features)
        Distinct encoded rows.
    n_jobs : int, default=None
        Number of workers; as in joblib.
    verbose : int, default=0
        Whether to show progress.
    """

    def __init__(self, space, people, *, n_jobs=None, verbose=0):
        self.space, self.n_jobs, self.verbose = space, n_jobs, verbose
        self.people = people[space.constraints_.admissible(people)]
        self._edges = self._neighbours()

    def routes(self, Z, ends, times):
        """States on the way along real rows, at constant speed.

        Each state is the stop whose place on the way, as the cost of the hops up to there
        (``"cityblock"``), is nearest to the share of the way that the time stands for. Rows that
        the constraints do not allow to stay as they are leave at once.

        Parameters
        ----------
        Z, ends : ndarray of float64, shape (n_rows, n_features)
            Encoded rows and their counterfactuals, which the constraints allow.
        times : ndarray of float64, shape (n_times,)
            Times in [0, 1].

        Returns
        -------
        states : ndarray of float64, shape (n_times, n_rows, n_features)
            Rows themselves at time 0, the counterfactuals at time 1.
        found : ndarray of bool, shape (n_rows,)
            Which rows have a route; the states of the others are void.
        """
        implications = self.space.constraints_.implications
        states = np.empty((len(times), *Z.shape))
        found = np.zeros(len(Z), dtype=bool)
        first, cost = self._cheapest(MoveCosts(self.space, Z, self.people))
        distinct, end = _distinct(ends)
        graph = self._with_ends(distinct)
        for batch in gen_batches(len(distinct), max(1, BLOCK_ELEMENTS // graph.shape[0])):
            rows = np.flatnonzero((batch.start <= end) & (end < batch.stop))
            sources = len(self.people) + np.arange(batch.start, batch.stop)
            far, onward = dijkstra(graph, indices=sources, return_predecessors=True)
            stops, known = self._walk(first[rows], cost[rows], end[rows] - batch.start, far, onward)
            if implications:
                known &= ~self._breaks(implications, stops, Z[rows])
            rows = rows[known]
            states[:, rows] = self._along(stops[known], Z[rows], ends[rows], times)
            found[rows] = True
        return states, found

    def _cheapest(self, cost, k=N_NEIGHBORS):
        """Nearest allowed neighbours; no column of them where there are no more."""
        k = min(k, cost.shape[1])
        free = np.zeros(cost.shape[1])
        return cheapest(cost, free, k, n_jobs=self.n_jobs, verbose=self.verbose)

    def _neighbours(self):
        """Hops between people: from, to, squared length; each once."""
        cost = MoveCosts(self.space, self.people, self.people)
        there = _listed(*self._cheapest(cost, N_NEIGHBORS + 1))
        back = _listed(*self._cheapest(Backwards(cost), N_NEIGHBORS + 1))
        start = np.concatenate([there[0], back[1]])
        stop = np.concatenate([there[1], back[0]])
        length = np.concatenate([there[2], back[2]])
        _, once = np.unique(start * len(self.people) + stop, return_index=True)
        once = once[start[once] != stop[once]]
        return start[once], stop[once], length[once]

    def _with_ends(self, ends):
        """All hops backwards, with a node for each end, which only leads back to its neighbours."""
        last = Backwards(MoveCosts(self.space, self.people, ends))
        end, person, length = _listed(*self._cheapest(last))
        n = len(self.people)
        start, stop, lengths = self._edges
        entries = np.concatenate([lengths, length])
        back = np.concatenate([stop, n + end]), np.concatenate([start, person])
        return csr_array((entries, back), shape=(n + len(ends), n + len(ends)))

    def _walk(self, first, cost, end, far, onward):
        """The people on the cheapest way of each row, then `END`; and whether there is a way.

        Parameters
        ----------
        first, cost : ndarray, shape (n_rows, n_neighbours)
            Where a row may hop to, and what that costs.
        end : ndarray of int, shape (n_rows,)
            Which of the ends each row goes to.
        far, onward : ndarray, shape (n_ends, n_nodes)
            What the way from each node to each end costs, and the next node on it.
        """
        total = cost + np.where(first >= 0, far[end[:, None], first], np.inf)
        rows = np.arange(len(first))
        best = total.argmin(axis=1)
        known = np.isfinite(total[rows, best])
        here = np.where(known, first[rows, best], END)
        stops = []
        while (here >= 0).any():
            stops.append(here)
            step = onward[end, here]
            here = np.where((here >= 0) & (step < len(self.people)), step, END)
        return np.array(stops, dtype=np.intp).reshape(len(stops), len(rows)).T, known

    def _breaks(self, implications, stops, Z):
        """Whether a stop breaks an implication for the row itself."""
        broken = [implications.broken(Z, self.people[stop]) & (stop >= 0) for stop in stops.T]
        return np.logical_or.reduce([np.zeros(len(Z), dtype=bool), *broken])

    def _along(self, stops, Z, ends, times):
        """States at the stops that are nearest to where a constant speed leads."""
        place = np.zeros((len(Z), stops.shape[1] + 2))
        here = Z
        for step, stop in enumerate([*stops.T, np.full(len(Z), END)]):
            there = np.where(stop[:, None] >= 0, self.people[stop], ends)
            hop = self.space.costs_.shares(there, here).sum(axis=1)
            place[:, step + 1] = place[:, step] + hop
            here = there
        place[~self.space.constraints_.feasible(Z, Z), 0] = -np.inf  # these cannot stay
        rows = np.arange(len(Z))
        stops = np.column_stack([np.full(len(Z), SELF), stops, np.full(len(Z), END)])
        states = np.empty((len(times), *Z.shape))
        for state, t in zip(states, times, strict=True):
            chosen = np.abs(place - t * place[:, -1:]).argmin(axis=1)
            stop = stops[rows, chosen] if 0 < t < 1 else np.full(len(Z), SELF if t <= 0 else END)
            state[:] = np.where(stop[:, None] >= 0, self.people[stop], ends)
            state[stop == SELF] = Z[stop == SELF]
        return states


class Backwards(PairCost):
    """The cost of moves by where they lead: of the pair (j, i) what (i, j) costs in another one.

    Parameters
    ----------
    cost : PairCost
        What moves cost; the rectangles of its pools share no columns.
    """

    def __init__(self, cost):
        self.cost = cost
        self.shape = cost.shape[::-1]

    def pairs(self, rows, columns):
        """See `PairCost.pairs`."""
        return self.cost.pairs(columns, rows)

    def reduced(self, levels, prices):
        """See `PairCost.reduced`."""
        tile = self.cost.reduced(-prices, -levels)
        return lambda rows, columns: np.ascontiguousarray(tile(columns, rows).T)

    def rounding(self, levels, prices):
        """See `PairCost.rounding`."""
        return self.cost.rounding(-prices, -levels)

    def take(self, rows, columns):
        """See `PairCost.take`."""
        return Backwards(self.cost.take(columns, rows))

    def times(self, factor):
        """See `PairCost.times`."""
        return Backwards(self.cost.times(factor))

    def raised(self, power):
        """See `PairCost.raised`."""
        return Backwards(self.cost.raised(power))

    def pools(self):
        """See `PairCost.pools`."""
        return [pool[::-1] for pool in self.cost.pools()]


def _listed(index, cost):
    """Lists of neighbours as pairs with their costs."""
    row, rank = np.nonzero(index >= 0)
    return row, index[row, rank], cost[row, rank]


def _distinct(Z):
    """The distinct rows, and which of them each row is."""
    keys = np.where(np.isnan(Z), np.inf, Z)
    _, first, of_row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    return Z[first], of_row.ravel()
