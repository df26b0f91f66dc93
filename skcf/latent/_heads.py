"""Encoded rows to the columns of a network, and back."""

import numpy as np

from skcf.latent._layout import Layout
from skcf.space._features import NumericFeature

__all__ = ["Heads", "Pixels"]

ROUNDING = 1e-9
"""Of a column: a value that has moved by less has not moved."""

USUAL_SHARE, SMALL_SHARE = 0.5, 0.1
"""Share of rows that have the same number from which on it is the usual one; and which of the other
rows' departures from it counts as a small one, as a quantile."""


class Heads:
    """One column for each number and ordinal category, one for each value of other categories.

    Numbers are scaled to 0 to 1 over the training rows, as in the paper. What is missing, or was
    not seen, enters as the median or the commonest category, and is kept.

    Parameters
    ----------
    space : FeatureSpace
        The features.
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    """

    def __init__(self, space, Z):
        features, constraints = space.encoding_.features, space.constraints_
        self._sizes_of = np.array(
            [-1 if isinstance(f, NumericFeature) else f.n_categories for f in features]
        )
        nominal = constraints.nominal & (self._sizes_of > 0)
        self.numbers = np.flatnonzero(~nominal & (self._sizes_of != 0))
        self.groups = np.flatnonzero(nominal)
        self._settle_scale(np.where(self.known(Z), Z, np.nan))
        self.layout = Layout(len(self.numbers), self._sizes_of[self.groups])

    def _settle_scale(self, Z):
        """Ranges of numbers, and what stands for a value that is not known."""
        numbers = np.ma.masked_invalid(Z[:, self.numbers])
        self.low = numbers.min(axis=0).filled(0.0).astype(np.float64)
        self.high = numbers.max(axis=0).filled(0.0).astype(np.float64)
        span = self.high - self.low
        self.span = np.where(span > 0, span, 1.0)
        self._settle_usual(Z[:, self.numbers])
        self._typical = np.zeros(Z.shape[1])
        self._typical[self.numbers] = np.ma.median(numbers, axis=0).filled(0.0)
        for j in self.groups:
            codes = Z[:, j][~np.isnan(Z[:, j])].astype(np.intp)
            self._typical[j] = np.bincount(codes, minlength=1).argmax()

    def _settle_usual(self, numbers):
        """Numbers that most rows share, as no capital gain, and how far others are from them.

        A decoder gives everybody a little of what a few have much of. Half of a small departure is
        none.
        """
        self.usual = np.full(len(self.numbers), np.nan)
        self.least_departure = np.zeros(len(self.numbers))
        for k, column in enumerate(numbers.T):
            values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
            if len(values) > 1 and counts.max() >= USUAL_SHARE * counts.sum():
                self.usual[k] = values[counts.argmax()]
                departures = np.abs(np.repeat(values, counts) - self.usual[k])
                small = np.quantile(departures[departures > 0], SMALL_SHARE)
                self.least_departure[k] = small / 2

    def known(self, Z):
        """Which values a column can say."""
        is_number = self._sizes_of == -1
        return ~np.isnan(Z) & (is_number | ((Z >= 0) & (self._sizes_of > Z)))

    def columns(self, Z):
        """Columns of encoded rows, shape (n_rows, n_columns)."""
        Z = np.where(self.known(Z), Z, self._typical)
        columns = np.zeros((len(Z), self.layout.n_columns))
        columns[:, : len(self.numbers)] = (Z[:, self.numbers] - self.low) / self.span
        places = self.layout.starts + Z[:, self.groups].astype(np.intp)
        columns[np.arange(len(Z))[:, None], places] = 1.0
        return columns

    def rows(self, columns, Z):
        """Encoded rows of columns, not projected yet.

        Parameters
        ----------
        columns : ndarray of float64, shape (n_rows, n_columns)
            What a decoder gives; of categories, the likeliest value is taken.
        Z : ndarray of float64, shape (n_rows, n_features)
            The rows that they are to replace: what the columns cannot say is theirs, and so are
            values that differ by rounding, or by little from one that most rows share. Numbers
            stay in the range of the training rows, or between that and theirs.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
        """
        rows, known = np.array(Z), self.known(Z)
        own = Z[:, self.numbers]
        values = self.low + self.span * columns[:, : len(self.numbers)]
        values = np.clip(values, np.fmin(self.low, own), np.fmax(self.high, own))
        least = np.where(own == self.usual, self.least_departure, 0.0)
        moved = np.abs(values - own) > np.maximum(least, ROUNDING * self.span)
        moved &= known[:, self.numbers]
        rows[:, self.numbers] = np.where(moved, values, own)
        for j, start, size in zip(self.groups, self.layout.starts, self.layout.sizes, strict=True):
            best = columns[:, start : start + size].argmax(axis=1)
            rows[:, j] = np.where(known[:, j], best, Z[:, j])
        return rows

    def column_slopes(self, Z, grad, swaps):
        """Derivatives of a margin by the columns.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        grad : ndarray of float64, shape (n_rows, n_features)
            Derivatives by numbers.
        swaps : dict of {int: ndarray of float64, shape (n_rows, n_categories)}
            What each category would change.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_columns)
        """
        slopes = np.zeros((len(Z), self.layout.n_columns))
        slopes[:, : len(self.numbers)] = grad[:, self.numbers] * self.span
        for place, j in enumerate(self.numbers):
            if j in swaps:  # ordinal categories: from the one below to the one above
                n = self._sizes_of[j]
                code = np.clip(np.nan_to_num(Z[:, j]), 0, n - 1).astype(np.intp)
                below, above = np.maximum(code - 1, 0), np.minimum(code + 1, n - 1)
                rise = [np.take_along_axis(swaps[j], at[:, None], 1)[:, 0] for at in (above, below)]
                width = np.maximum(above - below, 1)
                slopes[:, place] = (rise[0] - rise[1]) / width * self.span[place]
        for j, start, size in zip(self.groups, self.layout.starts, self.layout.sizes, strict=True):
            if j in swaps:
                slopes[:, start : start + size] = swaps[j]
        return slopes


class Pixels(Heads):
    """Images: all columns are numbers, in the units of the whole picture."""

    def _settle_scale(self, Z):
        super()._settle_scale(Z)
        self.low = np.full(len(self.low), self.low.min())
        self.high = np.full(len(self.high), self.high.max())
        self.least_departure[:] = 0.0  # a little grey is what it is
        self.span = np.where(self.high > self.low, self.high - self.low, 1.0)
