"""Changes as text and as places on an axis: what a picture says of them."""

from dataclasses import dataclass
from math import isfinite
from numbers import Real

import numpy as np

from skcf._values import differing, objects_of, texts_of_change
from skcf.space._containers import CONTINUOUS, INTEGER, OBJECT, is_missing_scalar

__all__ = ["Change", "changes_of_rows", "numbers_of"]


@dataclass(frozen=True)
class Change:
    """One changed column of one row.

    Parameters
    ----------
    feature : str
        What the column is called.
    before, after : str
        The values, as text.
    start, end : float
        Their places within the column's range, 0 to 1; NaN where a value has none.
    """

    feature: str
    before: str
    after: str
    start: float
    end: float

    @property
    def has_place(self):
        """Whether both values are places on an axis."""
        return isfinite(self.start) and isfinite(self.end)

    @property
    def size(self):
        """Share of the range that is crossed; 1 where a value has no place."""
        return abs(self.end - self.start) if self.has_place else 1.0


def changes_of_rows(before, after, names, value_range):
    """List the columns in which each row differs from what replaces it.

    Parameters
    ----------
    before, after : Table
        Rows and what replaces them.
    names : list of str
        What the columns are called.
    value_range : ndarray of float64, shape (n_columns, 2)
        Ends of the columns' axes; NaN for columns that have none.

    Returns
    -------
    list of list of Change
        For each row, in the order of the columns.
    """
    columns, columns_cf = objects_of(before), objects_of(after)
    changes = [[] for _ in range(before.n_rows)]
    for i, j in np.argwhere(differing(before, after)):
        old, new = columns[j][i], columns_cf[j][i]
        start, end = (_place(value, *value_range[j]) for value in (old, new))
        changes[i].append(Change(names[j], *texts_of_change(old, new), start, end))
    return changes


def numbers_of(table, j):
    """Read a column as floats, NaN where missing; None if it does not hold numbers."""
    column, backend = table.columns[j], table.backend
    kind = backend.kind(column)
    if kind == OBJECT:
        present = backend.to_objects(column)[~backend.missing(column)]
        is_number = [isinstance(v, Real) and not isinstance(v, bool | np.bool_) for v in present]
        return backend.to_float(column) if is_number and all(is_number) else None
    return backend.to_float(column) if kind in (INTEGER, CONTINUOUS) else None


def _place(value, low, high):
    """Where a number lies between the ends of its axis."""
    if np.isnan(low) or is_missing_scalar(value) or not high > low:
        return np.nan
    return (float(value) - low) / (high - low)
