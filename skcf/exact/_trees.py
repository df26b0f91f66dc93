"""Tree models: scores that are sums over leaves, of which each tree has one."""

import numpy as np

from skcf.exact._cells import NOBODY, cut_features, owners
from skcf.exact._moves import Cell, Choice
from skcf.exact._programme import Sum

__all__ = ["TreeScores"]

FARTHEST = 1e6
"""Costs up to which a number without bounds is looked at, where an implication needs bounds."""


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
    """

    def __init__(self, ensemble, embedding, space, seen):
        self.ensemble = ensemble
        owner = owners(embedding, seen)
        features = space.encoding_.features
        self.nodes, self.cuts = cut_features(ensemble.trees, embedding, owner, features)
        asked = {node.feature for nodes in self.nodes for node in nodes if node is not None}
        self.asked = sorted(asked - {NOBODY})

    def of(self, x):
        """Scores of rows as they enter the model."""
        return self.ensemble.scores(x)

    def build(self, programme, row):
        """Add the variables of a row.

        Returns
        -------
        moves : dict of {int: object}
            Variables of each feature that may change.
        scores : list of Sum
            Score of each class.
        """
        limits = {j: self._limits(row, j) for j in self.asked}
        grown = [
            _Grown(tree, nodes, limits, row)
            for tree, nodes in zip(self.ensemble.trees, self.nodes, strict=True)
        ]
        relevant = {j: set() for j in self.asked}
        for tree in grown:
            for node, _, _ in tree.splits:
                relevant[node.feature].add(node.cut)
        moves = {j: limits[j].choice(programme, relevant[j]) for j in self.asked if relevant[j]}
        self._add_the_rest(programme, row, moves)
        parts = [tree.build(programme, limits) for tree in grown]
        scores = [Sum([], []) for _ in parts[0]]
        for part in parts:
            for score, one in zip(scores, part, strict=True):
                score.columns += one.columns
                score.values += one.values
                score.constant += one.constant
        return moves, scores

    def _limits(self, row, j):
        """What a feature may become, in terms of the trees' questions."""
        if j not in self.cuts:
            return _Categories(row, j)
        if row.odd[j]:
            return _MissingNumber(row, j, self.cuts[j])
        return _Number(row, j, self.cuts[j])

    def _add_the_rest(self, programme, row, moves):
        """Pay for features that must move though no tree asks; move those that implications need."""
        needed = set(row.constraints.implications.order)
        for j in range(len(row.z)):
            if j in moves:
                continue
            if j in needed and not row.is_fixed(j):
                is_category = j in row.constraints.permitted
                moves[j] = row.category(programme, j) if is_category else row.number(programme, j)
            else:
                programme.pay(Sum([], [], float(row.price(j, row.base[[j]])[0])))


class _Number:
    """A number that may be in some of the cells; a set of cells is a range of positions."""

    def __init__(self, row, j, cuts):
        self.row, self.j = row, j
        z, low, high = row.z[j], row.low[j], row.high[j]
        if row.constraints.frozen[j] or low > high:
            low = high = row.base[j]
        lows, highs = cuts.lows.copy(), cuts.highs.copy()
        own = cuts.cell_of(z)
        lows[own], highs[own] = min(lows[own], z), max(highs[own], z)  # exactly where it is
        lows, highs = np.maximum(lows, low), np.minimum(highs, high)
        if row.constraints.integer[j] and z == np.rint(z):
            lows, highs = np.ceil(lows), np.floor(highs)
        self.values = np.clip(z, lows, np.maximum(lows, highs))
        with np.errstate(invalid="ignore"):
            self.costs = row.price(j, self.values)
        self.lows, self.highs = lows, highs
        usable = (lows <= highs) & np.isfinite(self.values) & (self.costs <= row.dearest)
        self.usable = np.flatnonzero(usable)
        self.start = (self.usable.min(initial=len(lows)), self.usable.max(initial=-1))

    def split(self, node, cells):
        """Cells that go left and right at a node; None where there are none."""
        first, last = cells
        low = (first, min(last, node.cut)) if first <= node.cut else None
        high = (max(first, node.cut + 1), last) if last > node.cut else None
        return (low, high) if node.low_is_left else (high, low)

    def choice(self, programme, cuts):
        """Variables: one value for each group of cells that no relevant cut parts."""
        group = np.searchsorted(np.sort(list(cuts)), self.usable)  # cuts below each cell
        groups, place = np.unique(group, return_inverse=True)
        self._cuts, self._groups = np.sort(list(cuts)), groups
        j, row = self.j, self.row
        if j in row.constraints.implications.order:
            lows, highs = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
            np.minimum.at(lows, place, self.lows[self.usable])
            np.maximum.at(highs, place, self.highs[self.usable])
            slide = row.number(programme, j)
            farthest = FARTHEST * row.costs.scale[j]
            lows = np.maximum(lows, max(slide.low, row.z[j] - farthest))
            highs = np.minimum(highs, min(slide.high, row.z[j] + farthest))
            self.variables = Cell(programme, slide, lows, highs)
        else:
            order = np.lexsort((self.costs[self.usable], place))
            best = self.usable[order[np.searchsorted(place[order], np.arange(len(groups)))]]
            self.variables = Choice(programme, self.values[best], self.costs[best], True)
        return self.variables

    def left(self, node):
        """Whether the row goes left at a node, as an expression."""
        # groups with no more relevant cuts below them than lie below this one
        cut = np.searchsorted(self._cuts, node.cut)
        last = int(np.searchsorted(self._groups, cut, side="right")) - 1
        low = self.variables.up_to(last)
        return low if node.low_is_left else Sum([], [], 1.0).plus(low, -1.0)


class _Categories:
    """A category, or an odd value that is kept; a set of them is a mask."""

    def __init__(self, row, j):
        self.row, self.j = row, j
        self.values, self.costs = row.categories(j)
        if row.constraints.frozen[j] or not len(self.values):
            self.values = row.base[[j]]
            self.costs = row.price(j, self.values)
        self.start = np.ones(len(self.values), dtype=bool)

    def _goes_left(self, node):
        seen = self.values >= 0
        left = np.empty(len(self.values), dtype=bool)
        left[seen] = node.left[self.values[seen].astype(np.intp)]
        left[~seen] = node.goes_left(self.row.x)
        return left

    def split(self, node, members):
        """Members that go left and right at a node; None where there are none."""
        left = self._goes_left(node)
        sides = members & left, members & ~left
        return tuple(side if side.any() else None for side in sides)

    def choice(self, programme, cuts):
        """Variables: one for each value."""
        implications = self.row.constraints.implications
        heights = implications.heights(self.j, self.values)
        self.variables = Choice(programme, self.values, self.costs, False, heights)
        return self.variables

    def left(self, node):
        """Whether the row goes left at a node, as an expression."""
        return self.variables.among(self._goes_left(node))


class _MissingNumber(_Categories):
    """A missing number: it may stay, or be filled with one of any cell, at one price."""

    def __init__(self, row, j, cuts):
        self.row, self.j = row, j
        low, high = row.filling(j)
        values = (low + high) / 2
        if row.constraints.integer[j]:
            low, high, values = np.ceil(low), np.floor(high), np.rint(values)
        lows, highs = np.maximum(cuts.lows, low), np.minimum(cuts.highs, high)
        cells = np.flatnonzero(lows <= highs)
        may_move = not row.is_fixed(j) and row.costs.weight[j] <= row.dearest
        self._cells = np.append(cells, -1) if may_move else np.array([-1])
        self.values = np.append(np.clip(values, lows[cells], highs[cells]), np.nan)
        self.values = self.values if may_move else np.array([np.nan])
        self.costs = row.price(j, self.values)
        self.start = np.ones(len(self.values), dtype=bool)

    def _goes_left(self, node):
        left = (self._cells <= node.cut) == node.low_is_left
        left[-1] = node.goes_left(self.row.x)
        return left


class _Grown:
    """The part of a tree that a row can reach.

    Parameters
    ----------
    tree : Tree
    nodes : list of Node
        Its nodes' questions.
    limits : dict of {int: object}
        What each feature may become.
    row : Row
    """

    def __init__(self, tree, nodes, limits, row):
        self.tree, self.nodes, self.limits, self.row = tree, nodes, limits, row
        self.splits, self.leaves = [], []
        self._grow(0, {j: limit.start for j, limit in limits.items()})

    def _grow(self, at, allowed):
        """Follow all ways down from a node; returns positions of the leaves below."""
        node = self.nodes[at]
        if node is None:
            self.leaves.append(at)
            return [len(self.leaves) - 1]
        if node.feature == NOBODY:
            return self._grow(self.tree.left[at] if node.left else self.tree.right[at], allowed)
        sides = self.limits[node.feature].split(node, allowed[node.feature])
        below = [
            self._grow(child[at], {**allowed, node.feature: side})
            for child, side in zip((self.tree.left, self.tree.right), sides, strict=True)
            if side is not None
        ]
        if len(below) == 2:
            self.splits.append((node, *below))
        return sum(below, [])

    def build(self, programme, limits):
        """Add a variable for each leaf, and what it takes to be in it; returns the scores."""
        values = self.tree.values[self.leaves]
        if len(values) == 1:
            return [Sum([], [], float(value)) for value in values[0]]
        columns = [programme.variable() for _ in self.leaves]
        programme.require(Sum(columns, [1.0] * len(columns)), low=1.0, high=1.0)
        for node, left, right in self.splits:
            goes_left = limits[node.feature].left(node)
            for below, sign in ((left, 1.0), (right, -1.0)):
                there = Sum([columns[leaf] for leaf in below], [1.0] * len(below))
                # no more mass below a side than the row takes that side
                side = Sum([], [], 0.0 if sign > 0 else 1.0).plus(goes_left, sign)
                programme.require(there.plus(side, -1.0), high=0.0)
        return [Sum(list(columns), column.tolist()) for column in values.T]
