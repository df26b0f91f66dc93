"""Where the thresholds of trees cut the numbers, and which categories they part."""

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["NOBODY", "Cuts", "Node", "cut_features", "owners"]

NEGLIGIBLE = 1e-9
"""Share of the spread of a column below which a feature has no part in it: rounding."""

NOBODY, SEVERAL = -1, -2


@dataclass(frozen=True, eq=False)
class Cuts:
    """Cells of a number, from low to high, closed on both sides.

    Attributes
    ----------
    lows, highs : ndarray of float64, shape (n_cells,)
        First and last number of each cell.
    """

    lows: np.ndarray
    highs: np.ndarray

    def cell_of(self, z):
        """Cell of a number; between two cells, the one whose end is nearer."""
        k = int(np.searchsorted(self.lows, z, side="right")) - 1
        between = k + 1 < len(self.lows) and z > self.highs[k]
        return k + (between and self.lows[k + 1] - z < z - self.highs[k])


@dataclass(frozen=True, eq=False)
class Node:
    """What a node of a tree asks of an encoded row.

    Attributes
    ----------
    tree : Tree
    place : int
        Position in the tree.
    feature : int
        The feature; `NOBODY` where the answer is always the same.
    cut : int
        The cut of a number; the cells up to it are one side.
    low_is_left : bool
        Which side that is.
    left : ndarray of bool, shape (n_categories,), or bool
        Categories that go left; the answer, where it is always the same.
    """

    tree: object
    place: int
    feature: int
    cut: int = -1
    low_is_left: bool = True
    left: object = None

    def goes_left(self, x):
        """Whether a row goes left, by the values that enter the model."""
        column = self.tree.column[self.place]
        return bool(self.tree.goes_left(self.place, x[[column]])[0])


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
    reach = np.abs(embedding.slope) * np.nan_to_num(seen[1] - seen[0])[:, None]
    for j, table in embedding.tables.items():
        if len(table):
            reach[j] = np.ptp(table, axis=0)
    decides = reach > NEGLIGIBLE * reach.max(axis=0, initial=1e-300)
    owner = decides.argmax(axis=0)
    owner = np.where(decides.any(axis=0), owner, NOBODY)
    return np.where(decides.sum(axis=0) > 1, SEVERAL, owner)


def cut_features(trees, embedding, owner, features):
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

    Returns
    -------
    nodes : list of list of Node
        For each node of each tree; None for leaves.
    cuts : dict of {int: Cuts}
        Cells of each number that a tree asks for.
    """
    nodes, asked = [], {}
    for tree in trees:
        of_tree = []
        for node, column in enumerate(tree.column):
            one = None if column < 0 else _node(tree, node, embedding, owner[column], asked)
            of_tree.append(one)
        nodes.append(of_tree)
    cuts, places = {}, {}
    for j, ends in asked.items():
        cuts[j], places[j] = _cells(np.array(ends), features[j])
    for of_tree in nodes:
        for place, node in enumerate(of_tree):
            if node is not None and node.feature in places:
                cut = int(places[node.feature][node.cut])
                of_tree[place] = replace(node, cut=cut)
    return nodes, cuts


def _node(tree, node, embedding, j, asked):
    """One node's question; the ends of cells beside new cuts are appended to those asked."""
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
    ends = asked.setdefault(j, [])
    ends.append(_ends(tree, node, embedding, j))
    return Node(tree, node, j, len(ends) - 1, bool(embedding.slope[j, column] > 0))


def _ends(tree, node, embedding, j):
    """Last number below a cut, and first one above, safe from rounding."""
    column, threshold, number = tree.column[node], tree.threshold[node], tree.number
    with np.errstate(over="ignore"):
        last = number(threshold)
    if last > threshold:  # as floats of the narrower type, values up to it go left
        last = np.nextafter(last, number(-np.inf))
    first = np.nextafter(last, number(np.inf))
    slope = embedding.slope[j, column]
    x = np.array([last, first], dtype=np.float64) - embedding.at_reference[column]
    z = embedding.reference[j] + x / slope
    low, high = np.sort(z)
    if slope == 1 and embedding.at_reference[column] == embedding.reference[j]:
        return float(last), float(first)  # the number itself: no rounding
    room = 8 * embedding.eps * max(abs(low), abs(high), np.abs(x / slope).max())
    return float(low - room), float(high + room)


def _cells(ends, feature):
    """Cells between distinct cuts, and the cut that each of those asked for became."""
    ends = np.array(ends)
    if feature.integer:
        ends[:, 0] = np.floor(ends[:, 0] + NEGLIGIBLE)
        ends[:, 1] = ends[:, 0] + 1
    last, place = np.unique(ends[:, 0], return_inverse=True)
    first = np.full(len(last), -np.inf)
    np.maximum.at(first, place.ravel(), ends[:, 1])
    lows, highs = np.append(-np.inf, first), np.append(last, np.inf)
    return Cuts(lows, highs), place.ravel()
