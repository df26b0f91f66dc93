"""What of an ensemble no counterfactual can use that costs no more than one that is known.

Each leaf has a least price: that of moving the row into its box. A leaf that is too dear is
never reached; and a value, or a leaf, with which the other trees cannot make up the demanded
lead any more, at the budget that is left, is of no use. What is left is often a small part.
"""

from dataclasses import dataclass

import numpy as np

from skcf.exact._options import Options

__all__ = ["Remaining", "prune"]

N_ROUNDS = 5
"""Of looking again, since what is gone makes room for more; they end early if nothing goes."""

MOST_PAIRS = 2**22
"""Of leaves that are looked at together."""

SLACK = 1e-9
"""Share of the largest lead that rounding may have eaten."""


@dataclass(frozen=True, eq=False)
class Remaining:
    """Leaves and options that a counterfactual may use.

    Attributes
    ----------
    tree : ndarray of int, shape (n_leaves,)
        The tree of each leaf.
    leads : ndarray of float64, shape (n_leaves, n_demands)
        What each adds to the left side of each demand.
    options : dict of {int: Options}
        What each feature that a tree asks for may become.
    """

    tree: np.ndarray
    leads: np.ndarray
    options: dict[int, Options]

    @property
    def starts(self):
        """Where the leaves of each tree begin."""
        return np.flatnonzero(np.diff(self.tree, prepend=-1))

    def only(self, leaves):
        """With some of the leaves, given by a mask."""
        options = {j: one.of_leaves(leaves) for j, one in self.options.items()}
        return Remaining(self.tree[leaves], self.leads[leaves], options)


def prune(left, least, budget):
    """Drop options and leaves that are of no use.

    Parameters
    ----------
    left : Remaining
        What there is: leaves of every tree.
    least : ndarray of float64, shape (n_demands,)
        What the leads have to come to.
    budget : float
        What the features together may cost.

    Returns
    -------
    Remaining, or None
        None where there is nothing that comes to the demands at that cost.
    """
    n_trees = len(left.starts)
    rounding = SLACK * np.maximum(1.0, np.abs(left.leads).max(axis=0))
    bound = _Bound(least - rounding, budget, n_trees)
    has_paired = False
    for _ in range(N_ROUNDS):
        before = _size(left)
        left = bound.by_price(left)
        if left is not None:
            left = bound.by_options(left)
        if left is None:
            return None
        if _size(left) == before:
            if has_paired or len(left.tree) ** 2 > MOST_PAIRS:
                break
            left, has_paired = bound.by_pairs(left), True
    return left if len(left.starts) == n_trees else None


def _size(left):
    return len(left.tree), sum(len(one.values) for one in left.options.values())


class _Bound:
    """Bounds on what the trees can add, at a price.

    Parameters
    ----------
    least : ndarray of float64, shape (n_demands,)
        What the leads have to come to, rounding apart.
    budget : float
        What the features together may cost.
    n_trees : int
        Number of trees, each of which has to have a leaf.
    """

    def __init__(self, least, budget, n_trees):
        # an infinite price is none that could be paid
        self.least, self.budget = least, min(budget, np.finfo(float).max)
        self.n_trees = n_trees

    def by_price(self, left):
        """Drop the leaves that are too dear."""
        affordable = sum(_least_costs(left).values()) <= self.budget
        left = left.only(np.broadcast_to(affordable, left.tree.shape))
        return left if len(left.starts) == self.n_trees else None

    def by_options(self, left):
        """Drop the options with which the trees cannot come to the demands."""
        costs = _least_costs(left)
        total = sum(costs.values())
        options = {}
        for j, one in left.options.items():
            price = (total - costs[j])[:, None] + one.costs
            useful = self._suffice(left, one.fits & (price <= self.budget))
            if not useful.any():
                return None
            options[j] = one if useful.all() else one.take(np.flatnonzero(useful))
        return Remaining(left.tree, left.leads, options)

    def by_pairs(self, left):
        """Drop the leaves that leave the other trees none that come to the demands with them."""
        together = left.tree[:, None] != left.tree
        np.fill_diagonal(together, True)
        price = np.zeros(together.shape)
        for j, costs in _least_costs(left).items():
            fits = left.options[j].fits.astype(np.float32)
            together &= fits @ fits.T > 0
            price += np.maximum(costs[:, None], costs)
        return left.only(self._suffice(left, together & (price <= self.budget)))

    def _suffice(self, left, possible):
        """Whether the best possible leaf of each tree suffices; for each column."""
        suffices = np.ones(possible.shape[1], dtype=bool)
        for lead, least in zip(left.leads.T, self.least, strict=True):
            best = np.maximum.reduceat(np.where(possible, lead[:, None], -np.inf), left.starts)
            suffices &= best.sum(axis=0) >= least
        return suffices


def _least_costs(left):
    """What each feature costs at least in each leaf."""
    return {
        j: np.where(one.fits, one.costs, np.inf).min(axis=1, initial=np.inf)
        for j, one in left.options.items()
    }
