"""The leaves of an ensemble, and what each of them asks of the features."""

import numpy as np

from skcf.exact._cells import NOBODY

__all__ = ["Leaves"]


class Leaves:
    """All leaves of all trees, those of a tree running.

    A leaf is a box: a range of cells for each number, and a set of each feature's categories.

    Parameters
    ----------
    trees : list of Tree
        The trees.
    nodes : list of list of Node
        Their nodes' questions.
    cuts : dict of {int: Cuts}
        Cells of each number.

    Attributes
    ----------
    tree : ndarray of int, shape (n_leaves,)
        The tree that each is of.
    values : ndarray of float64, shape (n_leaves, n_classes)
        Their scores.
    asked : list of int
        The features that decide.
    low, high : dict of {int: ndarray of int, shape (n_leaves,)}
        First and last cell of each number.
    members : dict of {int: ndarray of bool, shape (n_leaves, n_categories)}
        Categories of each other feature.
    """

    def __init__(self, trees, nodes, cuts):
        paths = [_paths(tree, of_tree) for tree, of_tree in zip(trees, nodes, strict=True)]
        self.tree = np.repeat(np.arange(len(trees)), [len(of_tree) for of_tree in paths])
        places = [[leaf for leaf, _ in of_tree] for of_tree in paths]
        self.values = np.concatenate(
            [tree.values[leaves] for tree, leaves in zip(trees, places, strict=True)]
        )
        ways = [path for of_tree in paths for _, path in of_tree]
        self._steps: dict[int, list] = {}
        for leaf, path in enumerate(ways):
            for node, left in path:
                self._steps.setdefault(node.feature, []).append((leaf, node, left))
        self.asked = sorted(self._steps)
        self.low, self.high, self.members = {}, {}, {}
        for j, steps in self._steps.items():
            if j in cuts:
                self.low[j], self.high[j] = self._ranges(steps, len(cuts[j].lows))
            else:
                self.members[j] = self._sets(steps)

    def _ranges(self, steps, n_cells):
        low = np.zeros(len(self.tree), dtype=np.intp)
        high = np.full(len(self.tree), n_cells - 1)
        for leaf, node, left in steps:
            if node.low_is_left == left:
                high[leaf] = min(high[leaf], node.cut)
            else:
                low[leaf] = max(low[leaf], node.cut + 1)
        return low, high

    def _sets(self, steps):
        members = np.ones((len(self.tree), len(steps[0][1].left)), dtype=bool)
        for leaf, node, left in steps:
            members[leaf] &= node.left == left
        return members

    def with_odd(self, j, x):
        """Tell which leaves a missing or unseen value may end in, given a row as it enters."""
        fits = np.ones(len(self.tree), dtype=bool)
        answers: dict[int, bool] = {}
        for leaf, node, left in self._steps[j]:
            if id(node) not in answers:
                answers[id(node)] = node.goes_left(x)
            fits[leaf] &= answers[id(node)] == left
        return fits


def _paths(tree, nodes):
    """Each leaf of a tree that can be reached, with the nodes above it and which way they send."""
    found, todo = [], [(0, ())]
    while todo:
        at, path = todo.pop()
        node = nodes[at]
        if node is None:
            found.append((at, path))
        elif node.feature == NOBODY:
            todo.append((tree.left[at] if node.left else tree.right[at], path))
        else:
            todo.append((tree.right[at], (*path, (node, False))))
            todo.append((tree.left[at], (*path, (node, True))))
    return found
