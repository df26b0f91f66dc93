"""Decision trees, forests and boosted trees of scikit-learn, all read as the same thing."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

__all__ = ["FAMILIES", "Ensemble", "Tree", "read_ensemble"]


@dataclass(frozen=True, eq=False)
class Tree:
    """A decision tree whose leaves hold a score for each class.

    Attributes
    ----------
    column : ndarray of int, shape (n_nodes,)
        What each node looks at; negative in a leaf.
    threshold : ndarray of float64, shape (n_nodes,)
        Values up to it go left.
    left, right : ndarray of int, shape (n_nodes,)
        Children.
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether missing values go left.
    values : ndarray of float64, shape (n_nodes, n_classes)
        Scores, in the leaves.
    number : type
        Float type in which values are compared.
    lists : dict of {int: ndarray of int}
        For nodes that look at a category: those that go left.
    """

    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    values: np.ndarray
    number: type = np.float64
    lists: dict = field(default_factory=dict)

    def goes_left(self, node, x):
        """Tell which values of its column go left at a node."""
        if node in self.lists:
            there = np.isin(x, self.lists[node])
            return np.where(np.isnan(x) | (x < 0), self.missing_left[node], there)
        with np.errstate(over="ignore"):
            x = np.asarray(x).astype(self.number)
        return np.where(np.isnan(x), self.missing_left[node], x <= self.threshold[node])

    def leaves(self, x):
        """Leaf of each row, given the values of all columns."""
        node = np.zeros(len(x), dtype=np.intp)
        while (inner := np.flatnonzero(self.column[node] >= 0)).size:
            for at in np.unique(node[inner]):
                rows = inner[node[inner] == at]
                left = self.goes_left(at, x[rows, self.column[at]])
                node[rows] = np.where(left, self.left[at], self.right[at])
        return node


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trees whose scores add up.

    Attributes
    ----------
    trees : list of Tree
    is_probability : bool
        Whether the sums are probabilities; else they are on the logit scale.
    """

    trees: list
    is_probability: bool

    def scores(self, x):
        """Sums of the scores, shape (n_rows, n_classes)."""
        return sum(tree.values[tree.leaves(x)] for tree in self.trees)


def read_ensemble(model):
    """Read a tree model.

    Returns
    -------
    Ensemble, or None
        None for models of other kinds.
    """
    for kind, read in FAMILIES.items():
        if isinstance(model, kind):
            return read(model)
    return None


def _tree(model, values):
    """A tree of scikit-learn's Cython trees; they compare in float32."""
    tree = model.tree_
    return Tree(
        np.where(tree.children_left < 0, -1, tree.feature),
        tree.threshold,
        tree.children_left,
        tree.children_right,
        np.asarray(tree.missing_go_to_left, dtype=bool),
        values,
        np.float32,
    )


def _shares(model):
    """Shares of the classes in the nodes of a classification tree."""
    values = model.tree_.value[:, 0, :]
    return values / values.sum(axis=1, keepdims=True)


def _read_tree(model):
    return Ensemble([_tree(model, _shares(model))], True)


def _read_forest(model):
    members, n = model.estimators_, len(model.estimators_)
    return Ensemble([_tree(member, _shares(member) / n) for member in members], True)


def _read_gradient_boosting(model):
    trees = []
    n_classes = len(model.classes_)
    for stage in model.estimators_:
        for k, member in enumerate(stage):
            one = model.learning_rate * member.tree_.value[:, 0, 0]
            trees.append(_tree(member, _in_column(one, k, n_classes)))
    return Ensemble(trees, False)


def _in_column(one, k, n_classes):
    """Scores of one class; of two, a single score is the second's."""
    values = np.zeros((len(one), n_classes))
    values[:, 1 if n_classes == 2 else k] = one
    return values


def _read_hist_gradient_boosting(model):
    trees = []
    n_classes = len(model.classes_)
    for stage in model._predictors:
        for k, predictor in enumerate(stage):
            trees.append(_of_predictor(predictor, k, n_classes))
    return Ensemble(trees, False)


def _of_predictor(predictor, k, n_classes):
    """A tree of histogram boosting; lists of categories are kept as bits."""
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    lists = {}
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~is_leaf):
        words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
        lists[int(node)] = np.flatnonzero(bits)
    return Tree(
        np.where(is_leaf, -1, nodes["feature_idx"].astype(np.intp)),
        nodes["num_threshold"],
        nodes["left"].astype(np.intp),
        nodes["right"].astype(np.intp),
        nodes["missing_go_to_left"].astype(bool),
        _in_column(np.where(is_leaf, nodes["value"], 0.0), k, n_classes),
        lists=lists,
    )


FAMILIES = {
    DecisionTreeClassifier: _read_tree,
    RandomForestClassifier: _read_forest,
    ExtraTreesClassifier: _read_forest,
    GradientBoostingClassifier: _read_gradient_boosting,
    HistGradientBoostingClassifier: _read_hist_gradient_boosting,
}
