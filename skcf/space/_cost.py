"""What a move costs: weighted, scaled differences, summed over the features.

The difference of two values is ``|a - b| / scale`` for numbers, steps in the order over
the number of steps for ordinal categories, and 0 or 1 for other categories; between a
missing (or unseen) and another value it is 1.
"""

import numpy as np

from skcf.space._constraints import same

__all__ = ["METRICS", "MoveCost"]

METRICS = ("cityblock", "euclidean", "sqeuclidean")

BLOCK_ELEMENTS = 65_536  # pairs worked on at a time: the float64 temporaries fit the L2 cache


class MoveCost:
    """Cost of moves between encoded rows.

    Parameters
    ----------
    constraints : Constraints
        Which moves are forbidden.
    weight, scale : ndarray of float, shape (n_features,)
        Weight of each feature, and the difference that counts as 1.
    """

    def __init__(self, constraints, weight, scale):
        self.constraints = constraints
        self.weight = weight
        self.scale = scale

    def difference(self, j, x, y):
        """Scaled difference of values of one feature, or of some numbers; x and y broadcast."""
        is_category = np.ndim(j) == 0 and j in self.constraints.permitted
        if is_category and self.constraints.nominal[j]:
            changed, gaps = x != y, np.isnan(x) & np.isnan(y)
            return (changed & ~gaps if gaps.any() else changed).astype(np.float64)
        steps = np.abs(x - y)
        steps /= self.scale[j]
        placeless_x, placeless_y = np.isnan(x), np.isnan(y)
        if is_category:  # an unseen category stands nowhere in the order
            placeless_x, placeless_y = placeless_x | (x < 0), placeless_y | (y < 0)
        if placeless_x.any() or placeless_y.any():
            steps = np.where(placeless_x | placeless_y, ~same(x, y), steps)
        return steps

    def share(self, j, x, y, metric):
        """What one feature, or each of some numbers, adds to the cost before the root."""
        share = self.difference(j, x, y)
        if metric != "cityblock":
            share *= share
        if np.any(self.weight[j] != 1.0):
            share *= self.weight[j]
        return share

    def shares(self, Z, reference, metric="cityblock"):
        """What each feature adds to the cost before the root, shape (n_rows, n_features)."""
        shares, numbers = np.empty(Z.shape), self.constraints.numeric
        shares[:, numbers] = self.share(numbers, reference[:, numbers], Z[:, numbers], metric)
        for j in self.constraints.categorical:
            shares[:, j] = self.share(j, reference[:, j], Z[:, j], metric)
        return shares

    def between(self, Z, reference, metric="cityblock", exponent=1):
        """Cost of moving each reference row to its row of Z; infinite where forbidden."""
        total = _finish(self.shares(Z, reference, metric).sum(axis=1), metric, exponent)
        return np.where(self.constraints.feasible(Z, reference), total, np.inf)

    def pairwise(self, reference, Z, metric="cityblock", exponent=1, impose=False):
        """Cost of moving each reference row to each row of Z; infinite where forbidden.

        Parameters
        ----------
        reference : ndarray of float64, shape (n_reference, n_features)
            Encoded rows to move from.
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows to move to.
        metric : {"cityblock", "euclidean", "sqeuclidean"}
            How the features' differences add up.
        exponent : float
            Power of the whole.
        impose : bool
            Whether forbidden changes are left out of a move, and cost nothing, rather than
            forbid the move.

        Returns
        -------
        ndarray of float64, shape (n_reference, n_rows)
        """
        out = np.zeros((len(reference), len(Z)))
        columns = [j for j in range(Z.shape[1]) if _varies(reference[:, j], Z[:, j])]
        values = [np.ascontiguousarray(Z[:, j]) for j in columns]
        step = max(1, BLOCK_ELEMENTS // max(len(Z), 1))
        for start in range(0, len(reference), step):
            block, rows = out[start : start + step], reference[start : start + step]
            for j, y in zip(columns, values, strict=True):
                x = rows[:, j, None]
                share = self.share(j, x, y, metric)
                forbidden = self.constraints.forbids(j, x, y)
                if forbidden is not None:
                    np.copyto(share, 0.0 if impose else np.inf, where=forbidden)
                block += share
            _finish(block, metric, exponent)
            if self.constraints.implications and not impose:
                block[self.constraints.implications.broken(rows[:, None], Z)] = np.inf
        if not impose:
            out[:, ~self.constraints.admissible(Z)] = np.inf
        out[self.constraints.blocked(reference).any(axis=1)] = np.inf
        return out

    def plain_columns(self, Z):
        """Find the features that may change, if moves to some rows differ in plain numbers alone.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows to move to.

        Returns
        -------
        ndarray of int, or None
            None where categories, missing values or constraints have a say.
        """
        constraints = self.constraints
        if constraints.implications:
            return None
        columns = np.flatnonzero(~constraints.frozen)
        plain = np.isin(columns, constraints.numeric).all() and not np.isnan(Z[:, columns]).any()
        constrained = constraints.direction[columns].any() or not constraints.admissible(Z).all()
        return columns if plain and not constrained else None

    def plain_rows(self, reference, columns):
        """Tell which rows have numbers in some features, and no value that is not allowed."""
        gaps = np.isnan(reference[:, columns]).any(axis=1)
        return ~gaps & ~self.constraints.blocked(reference).any(axis=1)

    def scaled_columns(self, columns, metric):
        """Make a function that scales features so that moves cost Minkowski distances.

        Parameters
        ----------
        columns : ndarray of int
            Numeric features.
        metric : {"cityblock", "euclidean", "sqeuclidean"}
            The last costs the square of the distance.

        Returns
        -------
        scaled : callable
            Takes encoded rows and gives points.
        power : int
            The distance's power.
        """
        power = 1 if metric == "cityblock" else 2
        factor = self.weight[columns] ** (1 / power) / self.scale[columns]
        return lambda Z: Z[:, columns] * factor, power


def _varies(x, y):
    """Whether two columns together hold more than one value."""
    return len(y) > 0 and not (np.all(x == y[0]) and np.all(y == y[0]))


def _finish(total, metric, exponent):
    """Take the root that the metric asks for, and the exponent, in place."""
    power = exponent * (0.5 if metric == "euclidean" else 1.0)
    return total if power == 1.0 else np.power(total, power, out=total)
