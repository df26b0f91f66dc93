"""Linked columns: several writings of one thing, which change together.

A linked feature is a categorical feature over several columns of any kind: its categories
are the tuples of values that fit saw. What a single column says about itself (its order,
its values as numbers) stays with the members.
"""

import warnings

import numpy as np

from skcf.space._containers import CATEGORY
from skcf.space._features import FOREIGN, CategoricalFeature

__all__ = ["LinkedFeature"]

PARTIAL = -2
"""Marks rows that miss some of the members' values, not all."""

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
        """Learn the tuples seen, and in which order they stand."""
        keys, missing = self._keys(table)
        codes = np.column_stack([member.encode(table) for member in self.members])
        first = {key: row for row, key in enumerate(keys) if not missing[row]}
        places = codes[list(first.values())]
        order = self._order(places)
        tuples = list(first)
        super().fit(table, [tuples[i] for i in order], sample_weight)
        self._settle(places[order], tuples)
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

    def _settle(self, places, tuples):
        """Keep where each tuple stands by each member, and which way it goes along the order."""
        self._places = places
        steps = np.diff(places, axis=0)
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
        """Where each tuple stands by one column: its numbers, or codes of its categories."""
        return self._places[:, self.positions.index(position)]

    def _keys(self, table):
        """A tuple of values a row, None where one is missing; and which rows miss some."""
        values = [_values(member, table) for member in self.members]
        missing = self._gaps(table).any(axis=1)
        return list(zip(*values, strict=True)), missing

    def _gaps(self, table):
        """Which values are missing, shape (n_rows, n_members)."""
        return np.column_stack([table.backend.missing(table.columns[j]) for j in self.positions])

    def _native_categories(self, table, codes):
        """What a missing value is written as is known only where all members are missing."""
        gaps = self._gaps(table)
        partial = gaps.any(axis=1) & ~gaps.all(axis=1)
        self.has_partial_gaps = bool(partial.any())
        return super()._native_categories(table, np.where(partial, PARTIAL, codes))

    def encode(self, table, origin=None, rows=None, unseen=None):
        """Find the code of each row; see `CategoricalFeature.encode`."""
        codes = super().encode(table, origin, rows, unseen)
        gaps = np.flatnonzero(np.isnan(codes))
        if len(gaps) and origin is not None:  # a value beside the gap must be kept as well
            keys, theirs = self._keys(table)[0], self._keys(origin)[0]
            differ = [None in theirs[rows[i]] and keys[i] != theirs[rows[i]] for i in gaps]
            codes[gaps[differ]] = FOREIGN
        return codes

    def _check_type(self, key):
        """Check each value that its own column has not seen."""
        for member, value in zip(self.members, key, strict=True):
            if isinstance(member, CategoricalFeature) and value not in member.categories:
                member._check_type(value)

    def _marker_position(self, codes):
        if np.isnan(codes).any() and self.has_partial_gaps:
            raise ValueError(
                f"Columns {self._labels()} are linked, and some rows miss only some of their "
                "values; give the rows that they come from as reference to keep the others."
            )
        return super()._marker_position(codes)

    def as_floats(self, table):
        """Write each column as floats, by itself."""
        return [member.encode(table) for member in self.members]


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
    if np.isinf(values).any():
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float64') in "
            f"column(s) {[member.name]}."
        )
    if not member.integer:
        return values.tolist()
    return [int(value) if value.is_integer() else value for value in values.tolist()]
