"""Linear models: scores that are sums over the features."""

import numpy as np

from skcf.exact._programme import Sum

__all__ = ["LinearScores"]


class LinearScores:
    """The scores of a linear model, feature by feature.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_classes, d)
        Of the values that enter the model.
    embedding : Embedding
        How encoded rows enter it.
    """

    is_probability = False

    def __init__(self, weights, embedding):
        self.weights = weights
        self.constant = embedding.intercept @ weights.T
        self.slopes = embedding.slope @ weights.T
        self.tables = {j: table @ weights.T for j, table in embedding.tables.items()}
        self._reference = embedding.reference

    def of(self, x):
        """Scores of rows as they enter the model, up to what all classes have in common."""
        return x @ self.weights.T

    def of_move(self, row, z):
        """Scores of what a row is moved to."""
        scores = self.constant.copy()
        for j, value in enumerate(z):
            scores += self._of_value(row, j, value)
        return scores

    def _of_value(self, row, j, value):
        """What one value adds to the scores."""
        if np.isnan(value) or (j in self.tables and value < 0):
            return self._odd(row, j)
        return self.tables[j][int(value)] if j in self.tables else self.slopes[j] * value

    def build(self, programme, row, demands):
        """Add the variables of a row, and the demands.

        Parameters
        ----------
        programme : Programme
            Gets them.
        row : Row
            The row.
        demands : list of Demand
            Which class's score has to be how far ahead of which.

        Returns
        -------
        dict of {int: object}
            Variables of each feature that may change.
        """
        moves = {}
        scores = [Sum([], [], constant) for constant in self.constant]
        for j in range(len(self.slopes)):
            if row.is_fixed(j):
                move, fixed = None, self._of_value(row, j, row.base[j])
                parts = [Sum([], [], float(value)) for value in fixed]
                programme.pay(Sum([], [], float(row.price(j, row.base[[j]])[0])))
            elif j in self.tables:
                move = row.category(programme, j)
                parts = [move.total(part) for part in self._of_codes(row, j, move.values).T]
            else:
                move = row.number(programme, j)
                parts = self._of_number(row, j, move)
            scores = [score.plus(part) for score, part in zip(scores, parts, strict=True)]
            if move is not None:
                moves[j] = move
        for demand in demands:
            lead = scores[demand.target].plus(scores[demand.other], -demand.factor)
            programme.require(lead, low=demand.least, scaled=True)
        return moves

    def _odd(self, row, j):
        """What a missing or unseen value adds."""
        if j not in row.effects:  # a column that was missing throughout
            return np.zeros(len(self.weights))
        values = self.weights @ row.effects[j]
        return values if j in self.tables else values + self.slopes[j] * self._reference[j]

    def _of_codes(self, row, j, codes):
        """What categories add, the origin's odd one included."""
        return np.array([self._of_value(row, j, code) for code in codes])

    def _of_number(self, row, j, move):
        """What a number adds; one that is missing adds something of its own until filled in."""
        parts = [Sum([], []).plus(move.height(), float(slope)) for slope in self.slopes[j]]
        if not np.isnan(row.z[j]):
            return parts
        missing = Sum([move.is_filled], [-1.0], 1.0)
        kept = self._odd(row, j)
        return [part.plus(missing, float(value)) for part, value in zip(parts, kept, strict=True)]
