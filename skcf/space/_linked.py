"""Linked columns: several writings of one thing, which change together.

A linked feature is a categorical feature over several columns of any kind: its categories
are the tuples of values that fit saw. What a single column says about itself (its order,
its values as numbers) stays with the members.

A row that misses all members is missing. One that misses some of them holds a tuple with gaps,
which is never proposed, like an unseen category; those that fit saw have codes of their own, so
that they are told apart, and can be written without the row that they come from.
"""

import warnings

import numpy as np

from skcf.space._containers import CATEGORY
from skcf.space._features import FOREIGN, CategoricalFeature, check_no_infinity

__all__ = ["LinkedFeature"]

FIRST_GAP = FOREIGN - 1
"""Code of the first tuple with gaps; those of the others are below."""

MANY = 50
"""More tuples than this, in more than half as many as rows, are not two writings of one thing."""


class LinkedFeature(CategoricalFeature):
    """Columns that change together, by the tuples of values seen in fit.

    The tuples have an order where a member has one and is different in each of them; the first
    such member decides.

    Parameters
    ----------
    members : list of NumericFeature and CategoricalFeature
        The columns as features of their own, fitted.
    """

    def __init__(self, members):
        positions = [member.positions[0] for member in members]
        super().__init__(positions, "|".join(str(member.name) for member in members))
        self.members = members

    def fit(self, table, categories=None, sample_weight=None):
        """Learn the tuples seen, and in which order they stand; and those with gaps."""
        keys, missing = self._keys(table)
        seen = {key: row for row, key in reversed(list(enumerate(keys))) if not missing[row]}
        whole = [key for key in seen if None not in key]
        gaps = sorted((key for key in seen if None in key), key=_sortable)
        places = np.column_stack([member.encode(table) for member in self.members])
        order = self._order(places[[seen[key] for key in whole]])
        self.categories = [whole[i] for i in order]
        self.n_categories = len(self.categories)
        self.gap_codes = FIRST_GAP - np.arange(len(gaps), dtype=np.float64)
        self.next_unseen = FIRST_GAP - len(gaps)
        self._code = {key: code for code, key in enumerate(self.categories)}
        self._code |= dict(zip(gaps, self.gap_codes.tolist(), strict=True))
        rows = [seen[key] for key in [*self.categories, *gaps]]
        self._settle(places[rows])
        codes = self.encode(table)
        self.counts = self._counts(np.where(codes >= 0, codes, -1).astype(np.intp), sample_weight)
        marker = np.flatnonzero(missing)[:1].tolist()
        self._marker = len(rows) if marker else None
        rows = np.array([*rows, *marker], dtype=np.intp)
        self._pool = [table.backend.take(table.columns[j], rows) for j in self.positions]
        self._warn_of_many(table.n_rows)
        return self

    def _order(self, places):
        """Sort the tuples by the member that decides; in that of their values if there is none."""
        for column, member in zip(places.T, self.members, strict=True):
            if len(column) and member.kind != CATEGORY and len(np.unique(column)) == len(column):
                self.ordered, self.kind = True, "ordinal"
                self._leader = member
                return np.argsort(column)
        return np.lexsort(places.T[::-1])

    def _settle(self, places):
        """Keep where each tuple stands by each member, and which way it goes along the order."""
        self._places = places
        steps = np.diff(places[: self.n_categories], axis=0)
        self._signs = [
            1 if member.kind == CATEGORY else int(np.all(step > 0)) or -int(np.all(step < 0))
            for step, member in zip(steps.T, self.members, strict=True)
        ]

    def _warn_of_many(self, n_rows):
        if self.n_categories > MANY and self.n_categories > n_rows / 2:
            warnings.warn(
                f"linked_features names {self._labels()}, which have {self.n_categories} different "
                f"rows of {n_rows}: they do not look like several writings of one thing.",
                UserWarning,
                stacklevel=7,
            )

    def _labels(self):
        return [member.name for member in self.members]

    def sign(self, position):
        """Which way the order goes by a column: +1, -1, or 0 where it does not follow it.

        A column without an order of its own takes that of the tuples.

        Parameters
        ----------
        position : int
            A member's column.

        Returns
        -------
        int
        """
        return self._signs[self.positions.index(position)] if self.ordered else 0

    def why_unordered(self, position):
        """Say why the tuples have no order by a column, for an error message."""
        if not self.ordered:
            return "whose categories have no order: declare that of a column in ordinal_features"
        return f"which are in the order of {self._leader.name!r}, and it does not follow it"

    def member(self, position):
        """The feature that a column would be by itself."""
        return self.members[self.positions.index(position)]

    def places(self, position):
        """Where each tuple stands by one column: its numbers, or codes of its categories.

        Parameters
        ----------
        position : int
            A member's column.

        Returns
        -------
        ndarray of float64, shape (n_categories + n_gaps,)
            The tuples with gaps come last; NaN where they miss this value.
        """
        return self._places[:, self.positions.index(position)]

    def _keys(self, table):
        """A tuple of values a row, None where one is missing; and which rows miss them all."""
        keys = list(zip(*[_values(member, table) for member in self.members], strict=True))
        missing = [all(value is None for value in key) for key in keys]
        return keys, np.array(missing, dtype=bool)

    def _check_type(self, key):
        """Check each value that its own column has not seen."""
        for member, value in zip(self.members, key, strict=True):
            known = value is None or not isinstance(member, CategoricalFeature)
            if not known and value not in member.categories:
                member._check_type(value)

    def _marker_position(self, codes):
        """Where the pool has missing values, and tuples with gaps."""
        known = np.isin(codes, self.gap_codes)
        positions = np.where(known, self.n_categories + FIRST_GAP - codes, 0)
        if not known.all():
            positions[~known] = super()._marker_position(codes[~known])
        return positions

    def as_floats(self, table):
        """Write each column as floats, by itself."""
        return [member.encode(table) for member in self.members]


def _sortable(key):
    """Values of several types, and gaps, in an order that does not depend on the rows'."""
    return [(value is None, type(value).__name__, value) for value in key]


def _values(member, table):
    """One column's values as tuples have them: numbers as its dtype holds them."""
    backend, column = table.backend, table.columns[member.positions[0]]
    if isinstance(member, CategoricalFeature):
        values = backend.to_objects(column).tolist()
    else:
        values = _numbers(member, table)
    gaps = backend.missing(column)
    return [None if gap else value for value, gap in zip(values, gaps, strict=True)]


def _numbers(member, table):
    """Whole numbers as integers, others as floats; infinite ones are refused."""
    values = member.encode(table) + 0.0
    check_no_infinity(values[:, None], [member.name], "X")
    if not member.integer:
        return values.tolist()
    return [int(value) if value.is_integer() else value for value in values.tolist()]
