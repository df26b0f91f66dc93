"""Tree models: scores that are sums over leaves, of which each tree has one."""

import numpy as np

from skcf.exact._cells import NOBODY, cut_features, owners
from skcf.exact._leaves import Leaves
from skcf.exact._moves import Cell, Choice, Settled
from skcf.exact._options import Reach
from skcf.exact._programme import Sum
from skcf.exact._pruning import Remaining, prune

__all__ = ["TreeScores"]


class TreeScores:
    """The scores of a tree model, as what its leaves add.

    Parameters
    ----------
    ensemble : Ensemble
        The trees.
    embedding : Embedding
        How encoded rows enter them.
    space : FeatureSpace
        The features.
    seen : tuple of ndarray of float64, shape (n_features,)
        Lowest and highest number of each feature in fit.
    enter : callable
        Takes encoded rows and gives them as they enter, to the last bit.
    """

    def __init__(self, ensemble, embedding, space, seen, enter):
        self.ensemble = ensemble
        self.is_probability = ensemble.is_probability
        owner = owners(embedding, seen)
        features = space.encoding_.features
        nodes, self.cuts = cut_features(ensemble.trees, embedding, owner, features, enter)
        self.leaves = Leaves(ensemble.trees, nodes, self.cuts, owner == NOBODY)

    def of(self, x):
        """Scores of rows as they enter the model."""
        return self.ensemble.scores(x)

    def of_move(self, row, z):
        """Scores of what a row is moved to."""
        here = Reach(row, self.leaves, self.cuts).of(z)
        return self.leaves.values[here].sum(axis=0)

    def build(self, programme, row, demands):
        """Add the variables of a row, and the demands.

        Parameters
        ----------
        programme : Programme
            Gets them.
        row : Row
            The row.
        demands : list of Demand
            Which class's score has to be how far ahead of which.

        Returns
        -------
        dict of {int: object}
            Variables of each feature that may change.
        """
        reach = Reach(row, self.leaves, self.cuts)
        rest = self._pay_for_the_rest(programme, row, reach.asked)
        leads = np.column_stack([demand.lead(self.leaves.values) for demand in demands])
        least = np.array([demand.least for demand in demands])
        left = Remaining(self.leaves.tree, leads, {j: reach.options(j) for j in reach.asked})
        left = prune(left.only(reach.anyway), least, row.dearest - rest)
        if left is None:
            programme.forbid()
            return {}
        implied = row.constraints.implications.order
        deciding = {j: _Deciding(left, j, j in implied) for j in reach.asked}
        moves = {j: one.variables(programme, row) for j, one in deciding.items()}
        for j in implied:
            if j not in moves and not row.is_fixed(j):
                is_category = j in row.constraints.permitted
                moves[j] = row.category(programme, j) if is_category else row.number(programme, j)
        _grow(programme, left, deciding, least)
        return moves

    def _pay_for_the_rest(self, programme, row, asked):
        """Pay for features that must move though no tree asks; returns what they cost."""
        implied = set(row.constraints.implications.order)
        rest = 0.0
        for j in range(len(row.z)):
            if j in asked or (j in implied and not row.is_fixed(j)):
                continue
            rest += float(row.price(j, row.base[[j]])[0])
        programme.pay(Sum([], [], rest))
        return rest


class _Deciding:
    """The options of a feature that make a difference to the leaves that remain.

    Parameters
    ----------
    left : Remaining
        The leaves and options.
    j : int
        The feature.
    is_implied : bool
        Whether more than the leaf and the cost depends on it.
    """

    def __init__(self, left, j, is_implied):
        options = left.options[j]
        self.j, self.is_implied = j, is_implied
        self.options = options if is_implied else options.take(_undominated(options))
        self.fits = self.options.fits
        self.is_ordered = self.options.ends is not None

    def variables(self, programme, row):
        """Variables for them."""
        options = self.options
        heights = row.constraints.implications.heights(self.j, options.values)
        if self.is_implied and self.is_ordered:
            self._taken = Cell(programme, row.number(programme, self.j), *options.ends)
        elif len(options.values) == 1:
            programme.pay(Sum([], [], float(options.costs[0])))
            self._taken = Settled(options.values[0], heights[0])
        else:
            of = options.values, options.costs
            self._taken = Choice(programme, *of, self.is_ordered, heights, self.is_implied)
        return self._taken

    def sets(self, leaves):
        """Distinct sets of options that some leaves fit, those that are no restriction left out."""
        sets = np.unique(self.fits[leaves], axis=0)
        return sets[~sets.all(axis=1)]

    def among(self, members):
        """Whether one of some options is taken, as an expression."""
        return self._taken.among(members)


def _undominated(options):
    """Options that no other one replaces: one that fits all their leaves, and is no dearer."""
    fits = options.fits.astype(np.float32)
    covered = fits.T @ (1 - fits) == 0  # by the option of the column
    order = np.argsort(options.costs, kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return np.flatnonzero(~(covered & (rank < rank[:, None])).any(axis=1))


def _grow(programme, left, deciding, least):
    """Add a variable for each leaf, what it takes to be in it, and the demands on the leads."""
    starts = left.starts
    constant, columns, rows = np.zeros(len(least)), [], []
    for leaves in np.split(np.arange(len(left.tree)), starts[1:]):
        lowest = left.leads[leaves].min(axis=0)
        constant += lowest
        some = [programme.variable(whole=True) for _ in leaves]
        programme.require(Sum(some, [1.0] * len(some)), low=1.0, high=1.0)
        columns += some
        rows.append(left.leads[leaves] - lowest)
        for one in deciding.values():
            _enter(programme, some, leaves, one)
    leads = np.concatenate(rows) if rows else np.empty((0, len(least)))
    for lead, above, wanted in zip(leads.T, constant, least, strict=True):
        programme.require(Sum(list(columns), lead.tolist(), above), low=wanted, scaled=True)


def _enter(programme, columns, leaves, feature):
    """Demand of the leaves of a tree that they are as far on as one feature is in their boxes."""
    fits = feature.fits[leaves]
    for members in feature.sets(leaves):
        inside = np.flatnonzero(~(fits & ~members).any(axis=1))
        there = Sum([columns[leaf] for leaf in inside], [1.0] * len(inside))
        programme.require(there.plus(feature.among(members), -1.0), high=0.0)
