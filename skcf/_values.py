"""Values of two tables: where they differ, and what they are as text."""

from math import floor, isfinite, log10
from numbers import Integral, Real

import numpy as np

from skcf.space._containers import is_missing_scalar

__all__ = ["differing", "objects_of", "shortened", "text_of", "texts_of_change"]

N_DIGITS, MOST_DIGITS = 4, 17


def objects_of(table):
    """List the columns of a table as arrays of Python objects."""
    return [table.backend.to_objects(column) for column in table.columns]


def differing(before, after):
    """Tell which values differ, shape (n_rows, n_columns); two missing ones do not."""
    pairs = zip(objects_of(before), objects_of(after), strict=True)
    differ = [[_differ(*values) for values in zip(old, new, strict=True)] for old, new in pairs]
    return np.array(differ, dtype=bool).T


def _differ(old, new):
    gaps = is_missing_scalar(old), is_missing_scalar(new)
    return gaps[0] != gaps[1] if any(gaps) else bool(old != new)


def shortened(value, length):
    """Text of a value; what is too long loses its middle, since ends tell more apart."""
    text = str(value)
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head].rstrip()}…{text[head + 1 - length :].lstrip()}"


def texts_of_change(old, new):
    """Two values as text, with as many digits as it takes to tell them apart."""
    for digits in range(N_DIGITS, MOST_DIGITS + 1):
        texts = text_of(old, digits), text_of(new, digits)
        if texts[0] != texts[1]:
            break
    return texts


def text_of(value, digits=N_DIGITS):
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
