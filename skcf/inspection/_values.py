"""Values as text and as places on an axis: what a picture says of a change."""

from dataclasses import dataclass
from math import floor, isfinite, log10
from numbers import Integral, Real

import numpy as np

from skcf.space._containers import CONTINUOUS, INTEGER, OBJECT, is_missing_scalar

__all__ = ["Change", "changes_of_rows", "differing", "numbers_of", "shortened"]

N_DIGITS, MOST_DIGITS = 4, 17


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


def differing(before, after):
    """Tell which values differ, shape (n_rows, n_columns); two missing ones do not."""
    pairs = zip(_columns(before), _columns(after), strict=True)
    return np.array([[_differ(*v) for v in zip(old, new, strict=True)] for old, new in pairs]).T


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
    columns, columns_cf = _columns(before), _columns(after)
    changes = [[] for _ in range(before.n_rows)]
    for i, j in np.argwhere(differing(before, after)):
        old, new = columns[j][i], columns_cf[j][i]
        start, end = (_place(value, *value_range[j]) for value in (old, new))
        changes[i].append(Change(names[j], *_texts(old, new), start, end))
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


def shortened(value, length):
    """Text of a value; what is too long loses its middle, since ends tell more apart."""
    text = str(value)
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head].rstrip()}…{text[head + 1 - length :].lstrip()}"


def _columns(table):
    return [table.backend.to_objects(column) for column in table.columns]


def _differ(old, new):
    gaps = is_missing_scalar(old), is_missing_scalar(new)
    return gaps[0] != gaps[1] if any(gaps) else bool(old != new)


def _place(value, low, high):
    """Where a number lies between the ends of its axis."""
    if np.isnan(low) or is_missing_scalar(value) or not high > low:
        return np.nan
    return (float(value) - low) / (high - low)


def _texts(old, new):
    """Two values as text, with as many digits as it takes to tell them apart."""
    for digits in range(N_DIGITS, MOST_DIGITS + 1):
        texts = _text(old, digits), _text(new, digits)
        if texts[0] != texts[1]:
            break
    return texts


def _text(value, digits):
    """Integers without decimals, other numbers with so many digits, the rest as it is."""
    if is_missing_scalar(value):
        return "missing"
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    return _number(float(value), digits)


def _number(value, digits):
    if value == 0 or not isfinite(value) or not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits}g}"
    decimals = max(digits - 1 - floor(log10(abs(value))), 0)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
