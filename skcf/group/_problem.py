"""What translations between groups are to minimise.

``f(T) + alpha * p(T)``, with a datafit of `skcf.group._datafit` and a penalty of
`skcf.group._penalty`, on the columns that are free.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skcf._representations import resolution_of
from skcf.group._datafit import MeanDatafit, MinDatafit
from skcf.group._pairs import Pairs, pairs_of
from skcf.group._penalty import PairwiseL1, TargetL1

__all__ = ["LOSSES", "GroupProblem", "group_problem"]

LOSSES = ("mean", "min")

BLOCK_ELEMENTS = 2**22
"""Values that are copied at a time for a group's mean."""


@dataclass(frozen=True)
class GroupProblem:
    """A problem for all groups at once.

    Attributes
    ----------
    representation : Map
        r.
    means : ndarray of float64, shape (n_groups, n_features)
        Of the rows of each group.
    targets : ndarray of float64, shape (n_groups, n_outputs)
        Means of their representations.
    pairs : Pairs
        Which pairs count.
    datafit, penalty : object
        f and p. The datafit has ``values(T)`` and ``values_and_gradients(T)``, the penalty
        ``values(T)``, ``prox(T, step)`` and ``feasible(T)``, for T of shape (n_problems,
        n_groups, n_features).
    free : ndarray of bool, shape (n_features,)
        Columns that may change.
    """

    representation: Any
    means: np.ndarray
    targets: np.ndarray
    pairs: Pairs
    datafit: Any
    penalty: Any
    free: np.ndarray

    def objective(self, T, alpha):
        """``f(T) + alpha * p(T)`` for each T, and an alpha for each or for all."""
        return self.datafit.values(T) + np.asarray(alpha) * self.penalty.values(T)

    def values_and_gradients(self, T):
        """Datafit and its gradient, which is 0 for columns that are not free."""
        values, gradients = self.datafit.values_and_gradients(T)
        return values, gradients if self.free.all() else gradients * self.free

    def step(self, T, gradients, lengths, alpha):
        """A gradient step of the datafit, and a proximal one of the penalty."""
        lengths = np.asarray(lengths)
        return self.penalty.prox(T - lengths[:, None, None] * gradients, (lengths * alpha)[:, None])

    def largest_alpha(self):
        """The least alpha with which no translation at all is stationary."""
        _, gradient = self.values_and_gradients(np.zeros((1, *self.means.shape)))
        return float(self.penalty.dual_norm(gradient)[0])

    def difference_between_means(self):
        """The translations that lead each mean to each other one (DBM)."""
        T = np.where(self.free, self.means, 0.0)
        return self.penalty.feasible(T - _origin(T, self.pairs.target))

    def starts(self, shares=(0.0, 1.0, 0.5)):
        """DBM times some shares: where solvers start, shape (n_starts, n_groups, n_features)."""
        return np.asarray(shares)[:, None, None] * self.difference_between_means()

    @property
    def can_narrow(self):
        """Whether some columns make up a problem that takes less than all of them."""
        return self.datafit.slope is not None

    def on(self, columns):
        """The problem of some columns, in which all groups are alike in the others."""
        return replace(
            self,
            means=self.means[:, columns],
            datafit=self.datafit.on(columns),
            penalty=self.penalty.on(columns),
            free=self.free[columns],
        )

    @property
    def resolution(self):
        """The relative rounding of the representation."""
        return resolution_of(self.representation)


def group_problem(
    X,
    codes,
    representation,
    represented,
    *,
    loss="mean",
    target=None,
    free=None,
    signs=None,
    weights=None,
):
    """Set up the problem of some rows in groups.

    Parameters
    ----------
    X : ndarray, shape (n_rows, n_features)
        Encoded rows, without missing values. Only means are taken of them, in float64, unless the
        loss is "min".
    codes : ndarray of int, shape (n_rows,)
        The group of each row, 0 to n_groups - 1; rows of others are left out.
    representation : Map
        r.
    represented : ndarray of float64, shape (n_rows, n_outputs)
        r(X).
    loss : {"mean", "min"}, default="mean"
        The datafit: of the group means ([1]_, Eqs. 6 and 9), or of all rows (Eq. 5).
    target : int, default=None
        The one group that is to be reached. None: all pairs.
    free : ndarray of bool, shape (n_features,), default=None
        Columns that may change. None: all.
    signs : ndarray of int, shape (n_features,), default=None
        Directions in which columns may change; only with a target. Without one, a column with a
        direction cannot change at all: ``delta_ij = -delta_ji``.
    weights : array-like of shape (n_groups, n_groups), default=None
        What pairs count in the datafit. None: all the same. In the penalty all count the same.

    Returns
    -------
    GroupProblem

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")
    pairs = pairs_of(int(codes.max()) + 1, target, weights)
    free = np.ones(X.shape[1], dtype=bool) if free is None else np.asarray(free, dtype=bool)
    if signs is not None and target is None:
        free, signs = free & (np.asarray(signs) == 0), None
    if target is None:
        penalty = PairwiseL1(pairs.n_groups)
    else:
        penalty = TargetL1(pairs.n_groups, target, None if signs is None else np.asarray(signs))
    members = [np.flatnonzero(codes == code) for code in range(pairs.n_groups)]
    means, targets = _means(X, members), _means(represented, members)
    if loss == "mean":
        datafit = MeanDatafit(representation, means, targets, pairs)
    else:
        rows, reached = ([A[m] for m in members] for A in (X, represented))
        datafit = MinDatafit(representation, rows, reached, pairs)
    return GroupProblem(representation, means, targets, pairs, datafit, penalty, free)


def _means(rows, members):
    """Mean of each group's rows, in float64, without a copy of them all."""
    size = max(1, BLOCK_ELEMENTS // rows.shape[1])
    means = np.zeros((len(members), rows.shape[1]))
    for mean, own in zip(means, members, strict=True):
        for first in range(0, len(own), size):
            mean += rows[own[first : first + size]].sum(axis=0, dtype=np.float64)
        mean /= len(own)
    return means


def _origin(T, target):
    """What is taken off all groups' translations: the target's, or the mean."""
    return T.mean(axis=0) if target is None else T[target]
