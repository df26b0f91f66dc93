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
    undecided : ndarray of bool, shape (d,)
        Values that no category or number decides, as they enter the trees. A missing or unseen
        value may: of a column that says what is missing, say.

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

    def __init__(self, trees, nodes, cuts, undecided):
        paths = [_paths(tree, of_tree) for tree, of_tree in zip(trees, nodes, strict=True)]
        self.tree = np.repeat(np.arange(len(trees)), [len(of_tree) for of_tree in paths])
        places = [[leaf for leaf, _ in of_tree] for of_tree in paths]
        self.values = np.concatenate(
            [tree.values[leaves] for tree, leaves in zip(trees, places, strict=True)]
        )
        ways = [path for of_tree in paths for _, path in of_tree]
        self._undecided, self._steps = undecided, {NOBODY: []}
        for leaf, path in enumerate(ways):
            for node, left in path:
                self._steps.setdefault(node.feature, []).append((leaf, node, left))
        self.asked = sorted(set(self._steps) - {NOBODY})
        self.low, self.high, self.members = {}, {}, {}
        for j in self.asked:
            if j in cuts:
                self.low[j], self.high[j] = self._ranges(self._steps[j], len(cuts[j].lows))
            else:
                self.members[j] = self._sets(self._steps[j])

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

    def decided_by(self, effect):
        """Tell which of the undecided values a missing or unseen value does decide.

        Parameters
        ----------
        effect : ndarray of float64, shape (d,)
            What it adds to the row as it enters the trees.

        Returns
        -------
        ndarray of bool, shape (d,)
        """
        return self._undecided & (effect != 0)

    def at_reference(self, columns):
        """Tell which leaves a row may end in, of which some undecided values are as usual."""
        fits = np.ones(len(self.tree), dtype=bool)
        for leaf, node, left in self._steps[NOBODY]:
            if columns[node.column]:
                fits[leaf] &= node.left == left
        return fits

    def with_odd(self, j, x, columns):
        """Tell which leaves a row may end in, of which one feature is missing or unseen.

        Parameters
        ----------
        j : int
            The feature.
        x : ndarray of float64, shape (d,)
            The row as it enters the trees.
        columns : ndarray of bool, shape (d,)
            Undecided values that the feature decides.

        Returns
        -------
        ndarray of bool, shape (n_leaves,)
        """
        fits = np.ones(len(self.tree), dtype=bool)
        beside = [step for step in self._steps[NOBODY] if columns[step[1].column]]
        for leaf, node, left in [*self._steps.get(j, []), *beside]:
            fits[leaf] &= node.goes_left(x) == left
        return fits


def _paths(tree, nodes):
    """Each leaf of a tree, with the nodes above it and which way they send."""
    found, todo = [], [(0, ())]
    while todo:
        at, path = todo.pop()
        node = nodes[at]
        if node is None:
            found.append((at, path))
        else:
            todo.append((tree.right[at], (*path, (node, False))))
            todo.append((tree.left[at], (*path, (node, True))))
    return found
