"""Where the thresholds of trees cut the numbers, and which categories they part."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["NOBODY", "Cuts", "Node", "cut_features", "owners"]

NEGLIGIBLE = 1e-9
"""Share of the spread of a column below which a feature has no part in it: rounding."""

NOBODY, SEVERAL = -1, -2

N_WIDENINGS, N_HALVINGS = 30, 100
"""How often an interval is widened fourfold to hold a threshold, and halved to find it."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """Cells of a number, from low to high, closed on both sides.

    Attributes
    ----------
    lows, highs : ndarray of float64, shape (n_cells,)
        First and last number of each cell that the column can hold.
    """

    lows: np.ndarray
    highs: np.ndarray

    def cells_of(self, z):
        """Cells of numbers; of those between two cells, the one whose end is nearer."""
        k = np.searchsorted(self.lows, z, side="right") - 1
        after = np.minimum(k + 1, len(self.lows) - 1)
        beyond = (z > self.highs[k]) & (self.lows[after] - z < z - self.highs[k])
        return np.where(beyond, after, k)


@dataclass(frozen=True, eq=False)
class Node:
    """What a node of a tree asks of an encoded row.

    Attributes
    ----------
    tree : Tree
    place : int
        Position in the tree.
    feature : int
        The feature; `NOBODY` where the answer is the same for all numbers and categories.
    cut : int
        The cut of a number; the cells up to it are one side.
    low_is_left : bool
        Which side that is.
    left : ndarray of bool, shape (n_categories,), or bool
        Categories that go left; the answer of `NOBODY`.
    """

    tree: object
    place: int
    feature: int
    cut: int = -1
    low_is_left: bool = True
    left: object = None

    @property
    def column(self):
        """Which of the values that enter the model it looks at."""
        return self.tree.column[self.place]

    def goes_left(self, x):
        """Whether a row goes left, by the values that enter the model."""
        return bool(self.tree.goes_left(self.place, x[[self.column]])[0])


def owners(embedding, seen):
    """Find the feature that decides each value that enters the model.

    Parameters
    ----------
    embedding : Embedding
        How encoded rows enter the model.
    seen : tuple of ndarray of float64, shape (n_features,)
        Lowest and highest number of each feature in fit.

    Returns
    -------
    ndarray of int, shape (d,)
        `NOBODY` where none does, `SEVERAL` where several do.
    """
    # a constant feature may change all the same
    width = np.nan_to_num(seen[1] - seen[0])
    reach = np.abs(embedding.slope) * np.where(width > 0, width, 1.0)[:, None]
    for j, table in embedding.tables.items():
        if len(table):
            reach[j] = np.ptp(table, axis=0)
    decides = reach > NEGLIGIBLE * reach.max(axis=0, initial=1e-300)
    owner = decides.argmax(axis=0)
    owner = np.where(decides.any(axis=0), owner, NOBODY)
    return np.where(decides.sum(axis=0) > 1, SEVERAL, owner)


def cut_features(trees, embedding, owner, features, enter):
    """Translate the nodes of trees into questions about encoded features.

    Parameters
    ----------
    trees : list of Tree
        The trees.
    embedding : Embedding
        How encoded rows enter them.
    owner : ndarray of int, shape (d,)
        The feature that decides each value.
    features : list of NumericFeature and CategoricalFeature
        The features.
    enter : callable
        Takes encoded rows and gives them as they enter, to the last bit.

    Returns
    -------
    nodes : list of list of Node
        For each node of each tree; None for leaves.
    cuts : dict of {int: Cuts}
        Cells of each number that a tree asks for.
    """
    asked: dict[tuple, int] = {}
    nodes = [
        [
            None if column < 0 else _node(tree, node, embedding, owner[column], asked)
            for node, column in enumerate(tree.column)
        ]
        for tree in trees
    ]
    ends = _Flips(list(asked), trees[0].number, embedding, features, enter).ends()
    feature = np.array([key[0] for key in asked], dtype=np.intp)
    cuts, place = {}, np.zeros(len(asked), dtype=np.intp)
    for j in np.unique(feature):
        of = feature == j
        cuts[int(j)], place[of] = _cells(ends[of])
    for of_tree in nodes:
        for k, node in enumerate(of_tree):
            if node is not None and node.feature in cuts:
                of_tree[k] = replace(node, cut=int(place[node.cut]))
    return nodes, cuts


def _node(tree, node, embedding, j, asked):
    """One node's question; new cuts are noted among those asked."""
    column = tree.column[node]
    if j in embedding.tables:
        x = embedding.at_reference[column] + embedding.tables[j][:, column]
        return Node(tree, node, j, left=tree.goes_left(node, x))
    if j == NOBODY:
        always = tree.goes_left(node, embedding.at_reference[[column]])[0]
        return Node(tree, node, NOBODY, left=bool(always))
    if j == SEVERAL or node in tree.lists:
        raise ValueError(
            "its trees look at mixtures of columns, or at numbers as categories, which would make "
            "the programme too large"
        )
    key = int(j), int(column), float(tree.threshold[node])
    cut = asked.setdefault(key, len(asked))
    return Node(tree, node, int(j), cut, bool(embedding.slope[j, column] > 0))


def _cells(ends):
    """Cells between distinct cuts, and the cut that each of those asked for became."""
    last, place = np.unique(ends[:, 0], return_inverse=True)
    first = np.full(len(last), -np.inf)
    np.maximum.at(first, place.ravel(), ends[:, 1])
    return Cuts(np.append(-np.inf, first), np.append(last, np.inf)), place.ravel()


class _Flips:
    """The numbers on both sides of thresholds, as the preprocessing and the trees round them.

    Parameters
    ----------
    asked : list of (int, int, float)
        Feature, column that enters the trees, and threshold.
    number : type
        Float type in which the trees compare.
    embedding : Embedding
        How encoded rows enter the trees.
    features : list of NumericFeature and CategoricalFeature
        The features.
    enter : callable
        Takes encoded rows and gives them as they enter, to the last bit.
    """

    def __init__(self, asked, number, embedding, features, enter):
        self._number, self._embedding, self._enter = number, embedding, enter
        self._feature, self._column = np.array([key[:2] for key in asked], int).reshape(-1, 2).T
        self._threshold = np.array([key[2] for key in asked])
        of = [features[j] for j in self._feature]
        self._whole = np.array([feature.integer for feature in of], dtype=bool)
        self._limits = np.array([feature.dtype_limits() for feature in of]).reshape(-1, 2).T
        kinds = np.array([np.dtype(feature.float_type).char for feature in of], dtype="U1")
        self._narrow = {kind: kinds == kind for kind in set(kinds) - {"d"}}

    def ends(self):
        """Last number below each threshold and the first above, that the columns can hold."""
        low, high, width = self._first_guess()
        going = np.flatnonzero(np.isfinite(low))
        for _ in range(N_WIDENINGS):  # a threshold that no number reaches is never between
            going = going[~self._is_below(low, going) | self._is_below(high, going)]
            if not len(going):
                break
            width[going] *= 4
            low[going], high[going] = self._around(going, low[going], high[going], width[going])
        return np.column_stack(self._narrowed(low, high))

    def _first_guess(self):
        """An interval about each threshold that rounding should not leave, and its room.

        A threshold that only parts the missing values is infinite, and so is the guess.
        """
        at, embedding = (self._feature, self._column), self._embedding
        x = self._threshold - embedding.at_reference[self._column]
        z = embedding.reference[self._feature] + x / embedding.slope[at]
        eps = max(embedding.eps, float(np.finfo(self._number).eps))
        size = np.maximum(np.abs(z), np.abs(self._threshold / embedding.slope[at]))
        width = 4 * eps * np.maximum(size, np.finfo(np.float32).tiny)
        low, high = z.copy(), z.copy()
        going = np.flatnonzero(np.isfinite(z))
        low[going], high[going] = self._around(going, z[going], z[going], width[going])
        return low, high, width

    def _around(self, which, low, high, width):
        """The interval widened, with ends that the columns can hold."""
        low, high = low - width, high + width
        whole = self._whole[which]
        low = np.where(whole, np.floor(low), low)
        high = np.where(whole, np.maximum(np.ceil(high), low + 1), high)
        low, high = (np.clip(end, *self._limits[:, which]) for end in (low, high))
        return self._snapped(low, which), self._snapped(high, which)

    def _snapped(self, z, which):
        """The nearest numbers that the columns can hold."""
        for kind, narrow in self._narrow.items():
            with np.errstate(over="ignore"):
                z = np.where(narrow[which], z.astype(kind).astype(np.float64), z)
        return z

    def _is_below(self, z, which):
        """Whether numbers are on the low side of their thresholds."""
        if not len(which):
            return np.empty(0, dtype=bool)
        rows = np.tile(self._embedding.reference, (len(which), 1))
        rows[np.arange(len(which)), self._feature[which]] = z[which]
        column, threshold = self._column[which], self._threshold[which]
        with np.errstate(over="ignore"):
            x = self._enter(rows)[np.arange(len(which)), column].astype(self._number)
        rises = self._embedding.slope[self._feature[which], column] > 0
        return np.where(rises, x <= threshold, x > threshold)

    def _narrowed(self, low, high):
        """Halve the intervals until nothing is between their ends."""
        going = np.flatnonzero(np.isfinite(low))
        for _ in range(N_HALVINGS):
            middle = low.copy()
            middle[going] = low[going] + (high[going] - low[going]) / 2
            middle[going] = np.where(self._whole[going], np.floor(middle[going]), middle[going])
            middle[going] = self._snapped(middle[going], going)
            between = (low[going] < middle[going]) & (middle[going] < high[going])
            going = going[between]
            if not len(going):
                break
            below = self._is_below(middle, going)
            low[going[below]] = middle[going[below]]
            high[going[~below]] = middle[going[~below]]
        return low, high
