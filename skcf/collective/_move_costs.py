"""The feature space's costs of moves, as the transport solvers take them."""

from types import SimpleNamespace

import numpy as np

from skcf.space._constraints import Constraints
from skcf.transport import PairCost

__all__ = ["MoveCosts", "unconstrained"]


class MoveCosts(PairCost):
    """Costs of moves between encoded rows, infinite where the constraints forbid them.

    Parameters
    ----------
    space : FeatureSpace
        Fitted.
    X, Y : ndarray of float64, shapes (m, n_features) and (n, n_features)
        Encoded rows to move from, none of them blocked, and to move to, all admissible.
    metric : {"sqeuclidean", "euclidean", "cityblock"}
        How the features' differences add up.
    exponent : float, default=1
        Power of the whole.
    factor : float, default=1
        What it is multiplied by.
    """

    def __init__(self, space, X, Y, metric="sqeuclidean", exponent=1.0, factor=1.0):
        self.costs, self.constraints = space.costs_, space.constraints_
        self.X, self.Y = X, Y
        self.metric, self.exponent, self.factor = metric, exponent, factor
        self.shape = len(X), len(Y)
        # rows of other immutable values are never compared
        self.groups = _numbered(X[:, self.constraints.frozen], Y[:, self.constraints.frozen])

    def _like(self, X, Y, groups, exponent, factor):
        """The same cost of other rows."""
        other = object.__new__(MoveCosts)
        other.costs, other.constraints, other.metric = self.costs, self.constraints, self.metric
        other.X, other.Y, other.groups = X, Y, groups
        other.exponent, other.factor = exponent, factor
        other.shape = len(X), len(Y)
        return other

    def take(self, rows, columns):
        """See `PairCost.take`."""
        groups = self.groups[0][rows], self.groups[1][columns]
        return self._like(self.X[rows], self.Y[columns], groups, self.exponent, self.factor)

    def times(self, factor):
        """See `PairCost.times`."""
        return self._like(self.X, self.Y, self.groups, self.exponent, self.factor * factor)

    def raised(self, power):
        """See `PairCost.raised`."""
        exponent, factor = self.exponent * power, self.factor**power
        return self._like(self.X, self.Y, self.groups, exponent, factor)

    def pools(self):
        """See `PairCost.pools`: rows that share their immutable values."""
        own, theirs = self.groups
        if len(own) == 0 or len(theirs) == 0:
            return []
        if own.min() == own.max() == theirs.min() == theirs.max():
            return super().pools()
        by_group = [_positions_by_group(groups) for groups in (own, theirs)]
        return [(by_group[0][g], by_group[1][g]) for g in by_group[0] if g in by_group[1]]

    def feasible(self):
        """See `PairCost.feasible`."""
        allowed = np.zeros(self.shape[0], dtype=bool)
        for rows, columns in self.pools():
            part = self.take(rows, columns)
            allowed[rows] = part._any_allowed() if part._is_masked() else True
        return allowed

    def _any_allowed(self):
        """Which rows of a pool have an allowed pair, block by block."""
        allowed = np.zeros(self.shape[0], dtype=bool)
        step = max(1, 4_000_000 // self.shape[1])
        for start in range(0, self.shape[0], step):
            rows = slice(start, start + step)
            allowed[rows] = ~self._forbidden(rows, slice(None)).all(axis=1)
        return allowed

    def pairs(self, rows, columns):
        """See `PairCost.pairs`."""
        total = np.zeros(len(rows))
        forbidden = self.groups[0][rows] != self.groups[1][columns]
        for j in np.flatnonzero(~self.constraints.frozen):
            x, y = self.X[rows, j], self.Y[columns, j]
            total += self.costs.share(j, x, y, self.metric)
            rule = self.constraints.forbids(j, x, y)
            if rule is not None:
                forbidden |= rule
        if self.constraints.implications:
            forbidden |= self.constraints.implications.broken(self.X[rows], self.Y[columns])
        self._finish(total)
        total[forbidden] = np.inf
        return total

    def reduced(self, levels, prices):
        """See `PairCost.reduced`."""
        block = self._products(levels, prices) if self._is_product else self._sums(levels, prices)
        masked = self._is_masked() or not self._one_group()

        def tile(rows, columns):
            out = block(rows, columns)
            if masked:
                out[self._forbidden(rows, columns)] = np.inf
            return out

        return tile

    @property
    def _is_product(self):
        """Whether the cost is a sum of products: then one matrix product gives a block."""
        return self.metric == "sqeuclidean" and self.exponent == 1

    def rounding(self, levels, prices):
        """See `PairCost.rounding`."""
        if not self._is_product:
            return 0.0
        left, right = self._factors()
        largest = np.abs(left).max(axis=0, initial=0) @ np.abs(right).max(axis=0, initial=0)
        largest += np.abs(levels).max(initial=0) + np.abs(prices).max(initial=0)
        return (left.shape[1] + 4) * np.finfo(np.float32).eps * largest

    def _products(self, levels, prices):
        """Blocks by one matrix product in float32, with prices and levels in it."""
        left, right = self._factors()
        ones = np.ones((self.shape[0], 1)), np.ones((self.shape[1], 1))
        left = np.hstack([left, ones[0], -levels[:, None]]).astype(np.float32)
        right = np.hstack([right, prices[:, None], ones[1]]).astype(np.float32)
        return lambda rows, columns: left[rows] @ right[columns].T

    def _sums(self, levels, prices):
        """Blocks feature by feature."""
        features = [j for j in np.flatnonzero(~self.constraints.frozen) if self._varies(j)]

        def block(rows, columns):
            X, Y = self.X[rows], np.asfortranarray(self.Y[columns])
            out = np.zeros((len(X), len(Y)))
            for j in features:
                out += self.costs.share(j, X[:, j, None], Y[:, j], self.metric)
            self._finish(out)
            out += prices[columns]
            out -= levels[rows, None]
            return out

        return block

    def _finish(self, total):
        """Take the root, the power and the factor of sums, in place."""
        power = self.exponent * (0.5 if self.metric == "euclidean" else 1.0)
        if power != 1:
            np.power(total, power, out=total)
        if self.factor != 1:
            total *= self.factor

    def _varies(self, j):
        x, y = self.X[:, j], self.Y[:, j]
        return not (np.all(x == y[0]) and np.all(y == y[0]))

    def _factors(self):
        """Matrices whose product is the cost, where it is a sum of squares."""
        left, right = [], []
        for j in np.flatnonzero(~self.constraints.frozen):
            if self._varies(j):
                nominal = self.constraints.nominal[j]
                u, v = self._nominal_factors(j) if nominal else self._numeric_factors(j)
                weight = self.costs.weight[j] * self.factor
                left += [weight * column for column in u]
                right += v
        if not left:
            return np.zeros((self.shape[0], 1)), np.zeros((self.shape[1], 1))
        return np.column_stack(left), np.column_stack(right)

    def _nominal_factors(self, j):
        """1 less one product for each category that both sides have; missing is one, too."""
        x, y = (np.where(np.isnan(z), np.inf, z) for z in (self.X[:, j], self.Y[:, j]))
        shared = np.intersect1d(x, y)
        left = [np.ones(len(x))] + [-(x == code).astype(float) for code in shared]
        return left, [np.ones(len(y))] + [(y == code).astype(float) for code in shared]

    def _numeric_factors(self, j):
        """``(x - y)^2 = x^2 - 2 x y + y^2``; 1 between a value without a place and one with."""
        x, x_placed = self._placed(j, self.X[:, j])
        y, y_placed = self._placed(j, self.Y[:, j])
        left = [x * x, -2 * x, x_placed]
        right = [y_placed, y, y * y]
        if not x_placed.all():
            left.append(1 - x_placed)
            right.append(y_placed)
        if not y_placed.all():
            left.append(x_placed)
            right.append(1 - y_placed)
        return left, right

    def _placed(self, j, values):
        """Scaled values about the middle of the targets, and which of them have a place."""
        placed = ~np.isnan(values)
        if j in self.constraints.permitted:
            placed &= values >= 0
        middle = np.nanmean(self.Y[:, j]) if np.any(~np.isnan(self.Y[:, j])) else 0.0
        scaled = (values - middle) / self.costs.scale[j]
        return np.where(placed, scaled, 0.0), placed.astype(float)

    def _one_group(self):
        own, theirs = self.groups
        return len(own) == 0 or (own.min() == own.max() == theirs.min() == theirs.max())

    def _masked_features(self):
        """Features that forbid some moves between these rows, beside the immutable ones."""
        constraints = self.constraints
        return [
            j
            for j in np.flatnonzero(~constraints.frozen)
            if constraints.forbids(j, self.X[:1, j], self.Y[:, j]) is not None
            or constraints.direction[j]
            or constraints.anchored[j]
        ]

    def _is_masked(self):
        """Whether some moves between these rows may be forbidden, immutable values aside."""
        return bool(self._masked_features()) or bool(self.constraints.implications)

    def _forbidden(self, rows, columns):
        """Which pairs of a block are forbidden."""
        X, Y = self.X[rows], self.Y[columns]
        own, theirs = self.groups[0][rows], self.groups[1][columns]
        forbidden = own[:, None] != theirs
        for j in self._masked_features():
            rule = self.constraints.forbids(j, X[:, j, None], Y[:, j])
            if rule is not None:
                forbidden |= rule
        if self.constraints.implications:
            forbidden |= self.constraints.implications.broken(X[:, None], Y)
        return forbidden


def unconstrained(space):
    """The costs of a feature space, with nothing forbidden."""
    constraints = space.constraints_
    n_features = len(constraints.features)
    none = np.zeros(n_features, dtype=bool)
    free = _Unconstrained(
        constraints.features, none, none.astype(int), {}, constraints.permitted, set()
    )
    return SimpleNamespace(costs_=space.costs_, constraints_=free)


class _Unconstrained(Constraints):
    """Every move is allowed, also to a missing value."""

    def forbids(self, j, x, y):
        """No move of any feature."""
        return


def _numbered(X, Y):
    """Numbers of equal rows, the same in both."""
    if X.shape[1] == 0:
        return np.zeros(len(X), dtype=np.intp), np.zeros(len(Y), dtype=np.intp)
    both = np.concatenate([X, Y])
    both = np.where(np.isnan(both), np.inf, both + 0.0)
    _, number = np.unique(both, axis=0, return_inverse=True)
    return number[: len(X)], number[len(X) :]


def _positions_by_group(groups):
    """Positions of each group, in order."""
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(np.diff(groups[order])) + 1
    return {int(groups[part[0]]): part for part in np.split(order, cuts)}
