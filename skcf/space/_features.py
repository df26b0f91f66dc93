"""Features: what may change as one thing, as one number, and back.

A feature is one column of the input, or one group of one-hot or linked columns. Each is encoded
to one float: numbers as they are, categories as their position among the categories
seen in fit. Missing values are NaN; a category that fit did not see has a code of its
own, which can be kept from a reference row and never be proposed.
"""

import re
from functools import cached_property
from typing import Any

import numpy as np

from skcf.space._containers import CATEGORY, CONTINUOUS, INTEGER, UNSUPPORTED

__all__ = ["CategoricalFeature", "NumericFeature", "check_no_infinity", "read_floats"]

UNSEEN = -1.0
"""Code of a category that was not seen in fit (kept from the reference row)."""

FOREIGN = -2.0
"""Code of an unseen category that is not the reference row's: never allowed."""

LARGEST_EXACT_INTEGER = 2**53 - 1
"""Beyond it two whole numbers share one float."""


class NumericFeature:
    """One numeric column; its code is its value.

    Parameters
    ----------
    position : int
        Column of the input.
    name : str or int
        What error messages and results call it.
    dtype : object
        The column's dtype in its container.
    integer : bool
        Whether only whole numbers are allowed.
    """

    n_categories = 0

    def __init__(self, position, name, dtype, integer):
        self.positions = [position]
        self.name = name
        self.dtype = dtype
        self.integer = integer
        self.kind = INTEGER if integer else CONTINUOUS
        self.integer_type, self.float_type = _integer_type(dtype), _float_type(dtype)

    def fit(self, table):
        """Check that whole numbers are whole, and remember how a missing value is written."""
        values = self.encode(table)
        fractions = values[np.isfinite(values) & (values != np.rint(values))]
        if self.integer and len(fractions):
            raise ValueError(
                f"integer_features names {self.name!r}, but it holds {fractions[0]}: expected "
                "whole numbers."
            )
        missing = np.flatnonzero(np.isnan(values))[:1]
        self._marker = table.backend.take(table.columns[self.positions[0]], missing)
        return self

    def encode(self, table, origin=None, rows=None, unseen=None):
        """Read the column as floats; see `CategoricalFeature.encode`."""
        values = read_floats(table, self.positions[0])
        if self.integer:
            self._check_integers(values)
        return self.snap(values)

    def _check_integers(self, values):
        finite = np.isfinite(values)  # infinite values have an error of their own
        if np.any(finite & (np.abs(values) > LARGEST_EXACT_INTEGER)):
            raise ValueError(
                f"Column {self.name!r} holds integers beyond 2**53, which floats cannot carry "
                "exactly; an identifier is no feature: drop it, or name it in "
                "categorical_features."
            )
        wrong = finite & ~self.holds(values)
        if wrong.any():
            raise ValueError(
                f"Column {self.name!r} had dtype {self.dtype} in fit, which cannot hold "
                f"{values[wrong][0]:g}."
            )

    def holds(self, values):
        """Tell which values the column's dtype can hold; missing ones count as held."""
        low, high = self.dtype_limits()
        held = np.isfinite(values) & (low <= values) & (values <= high)
        if self.integer_type is not None:
            held &= values == np.rint(values)
        return held | np.isnan(values)

    def snap(self, values):
        """Round to what the column's dtype can hold, so that decoding changes nothing."""
        if self.float_type is np.float64:
            return values
        with np.errstate(over="ignore"):
            return values.astype(self.float_type).astype(np.float64)

    def dtype_limits(self):
        """Smallest and largest number that the column's dtype, and a float, can hold."""
        low, high = -np.inf, np.inf
        if self.integer:
            low, high = -LARGEST_EXACT_INTEGER, LARGEST_EXACT_INTEGER
        if self.integer_type is not None:
            info = np.iinfo(self.integer_type)
            low, high = max(low, info.min), min(high, info.max)
        elif self.float_type is not np.float64:
            info = np.finfo(self.float_type)
            low, high = max(low, float(info.min)), min(high, float(info.max))
        return float(low), float(high)

    def as_floats(self, table):
        """Write each column as floats, by itself; see `CategoricalFeature.as_floats`."""
        return [self.encode(table)]

    def pools(self, origin):
        """Columns that a missing value is taken from; see `CategoricalFeature.pools`."""
        return [self._marker if origin is None else origin.columns[self.positions[0]]]

    def decode(self, codes, backend, pools, rows):
        """Write floats as a column of the dtype seen in fit."""
        if self.integer and str(self.dtype) == "object":
            column = backend.from_objects(_whole_numbers(codes), self.dtype)
        else:
            column = self._from_float(codes, backend)
        missing = np.flatnonzero(np.isnan(codes))
        if len(missing) and len(pools[0]) and not _has_one_marker(column.dtype):
            # the reference, or else fit, knows which of None, NaN, null and NA stood there
            source = np.zeros_like(missing) if rows is None else rows[missing]
            markers = backend.take(pools[0], source)
            positions = np.arange(len(codes))
            positions[missing] = len(codes) + np.arange(len(missing))
            column = backend.take(backend.concat(column, markers), positions)
        return [column]

    def _from_float(self, codes, backend):
        try:
            return backend.from_float(codes, self.dtype)
        except (ValueError, TypeError):
            # missing values in a query, where the column had none in fit
            return backend.from_float(codes, np.float64)


class CategoricalFeature:
    """One column of categories, or one group of one-hot columns; its code is a position.

    Parameters
    ----------
    positions : list of int
        Columns of the input: one, or the members of a group.
    name : str or int
        What error messages and results call it.
    ordered : bool
        Whether the categories have an order, which direction and distance follow.

    Attributes
    ----------
    gap_codes : sequence of float
        Codes of values seen in fit that can be kept and are never proposed; of linked columns.
    next_unseen : float
        Code of the first of several unseen categories that are told apart.
    """

    integer = False
    gap_codes: Any = ()
    next_unseen = UNSEEN

    def __init__(self, positions, name, ordered=False):
        self.positions = positions
        self.name = name
        self.ordered = ordered
        self.kind = "ordinal" if ordered else CATEGORY

    def fit(self, table, categories=None, sample_weight=None):
        """Learn the categories: those seen, after those declared in order, if any."""
        keys, missing = self._keys(table)
        try:
            seen = dict.fromkeys(key for key, gap in zip(keys, missing, strict=True) if not gap)
        except TypeError as error:
            raise self._no_category(error) from error
        if categories is None:
            categories = sorted(seen, key=lambda key: (type(key).__name__, key))
        self._code = {key: code for code, key in enumerate(categories)}
        unknown = [key for key in seen if key not in self._code]
        if unknown:
            raise ValueError(
                f"ordinal_features[{self.name!r}] lists {list(categories)}, but the column also "
                f"holds {unknown[:5]}."
            )
        if len(self._code) < len(categories):
            raise ValueError(
                f"ordinal_features[{self.name!r}] lists a category twice: {categories}."
            )
        self.categories = list(categories)
        self.n_categories = len(self.categories)
        codes = np.fromiter((self._code.get(key, -1) for key in keys), np.intp, len(keys))
        codes[missing] = -1
        self.counts = self._counts(codes, sample_weight)
        self._pool = self._native_categories(table, codes)
        return self

    def _counts(self, codes, sample_weight):
        """How many rows have each category; a row counts as often as its weight says."""
        seen = codes >= 0
        if sample_weight is None:
            return np.bincount(codes[seen], minlength=self.n_categories)
        codes, weights = codes[seen], sample_weight[seen]
        order = np.argsort(weights)  # sums of fractions round: the rows' order has no say
        return np.bincount(codes[order], weights[order], self.n_categories)

    def _native_categories(self, table, codes):
        """The categories as native columns, and the missing-value marker, if one was seen."""
        backend = table.backend
        first = {code: row for row, code in reversed(list(enumerate(codes)))}
        marker = [first[-1]] if -1 in first else []
        self._marker = self.n_categories if marker else None
        if all(code in first for code in range(self.n_categories)):
            rows = np.array(
                [first[code] for code in range(self.n_categories)] + marker, dtype=np.intp
            )
            return [backend.take(table.columns[j], rows) for j in self.positions]
        column = table.columns[self.positions[0]]  # declared, unseen: only single columns
        pool = self._declared_column(backend, column.dtype)
        return [backend.concat(pool, backend.take(column, np.array(marker, dtype=np.intp)))]

    def _declared_column(self, backend, dtype):
        """The declared categories as a native column of the dtype given."""
        objects = np.empty(self.n_categories, dtype=object)
        objects[:] = self.categories
        try:
            pool = backend.from_objects(objects, dtype)
            held = backend.to_objects(pool).tolist()
        except (ValueError, TypeError):
            held = None
        if held != self.categories:
            raise ValueError(
                f"ordinal_features[{self.name!r}] lists {self.categories}, which the column's "
                f"dtype, {dtype!r}, cannot hold: add them to the dtype's categories."
            )
        return pool

    def _keys(self, table):
        """One hashable key a row, and which rows have a missing one."""
        columns = [table.columns[j] for j in self.positions]
        missing = np.logical_or.reduce([table.backend.missing(c) for c in columns])
        if len(columns) == 1:
            return table.backend.to_objects(columns[0]).tolist(), missing
        values = np.column_stack([read_floats(table, j) for j in self.positions]) + 0.0
        return [tuple(row) for row in values.tolist()], missing

    def encode(self, table, origin=None, rows=None, unseen=None):
        """Find the code of each row.

        Parameters
        ----------
        table : Table
            The rows.
        origin : Table, optional
            Reference rows; an unseen category counts as kept where it is theirs.
        rows : ndarray of int, optional
            Which reference row each row goes with.
        unseen : dict, optional
            Codes of unseen categories, each its own (-1, -2, …); new ones are added. By default
            they share one.

        Returns
        -------
        ndarray of float64
            Codes; NaN where the value is missing.
        """
        keys, missing = self._keys(table)
        try:
            codes = np.fromiter((self._code.get(key, UNSEEN) for key in keys), float, len(keys))
        except TypeError as error:
            raise self._no_category(error) from error
        codes[missing] = np.nan
        new = np.flatnonzero(codes == UNSEEN)
        if len(new):
            self._check_type(keys[new[0]])
        if len(new) and origin is not None:
            theirs, gaps = self._keys(origin)
            foreign = [gaps[rows[i]] or keys[i] != theirs[rows[i]] for i in new]
            codes[new[foreign]] = FOREIGN
        elif unseen is not None:
            codes[new] = [unseen.setdefault(keys[i], self.next_unseen - len(unseen)) for i in new]
        return codes

    def as_floats(self, table):
        """Write each column as floats: a single one as codes, one-hot columns as they are.

        Parameters
        ----------
        table : Table
            The rows.

        Returns
        -------
        list of ndarray of float64, shape (n_rows,)
            In the order of `positions`.
        """
        if len(self.positions) == 1:
            return [self.encode(table)]
        return [table.backend.to_float(table.columns[j]) for j in self.positions]

    def _no_category(self, error):
        return TypeError(
            f"Column {self.name!r} holds a value that is neither text nor a number ({error}); "
            "an argument must be a string or a number."
        )

    def _check_type(self, key):
        """An unseen category is kept; text where numbers stood is another column."""
        are_text = [isinstance(category, str) for category in self.categories]
        if are_text and all(are_text) != isinstance(key, str) and len(set(are_text)) == 1:
            raise ValueError(
                f"Column {self.name!r} held categories like {self.categories[0]!r} in fit, but "
                f"holds {key!r} now: expected {'text' if are_text[0] else 'no text'}."
            )

    def pools(self, origin):
        """Native columns that `decode` picks from: the categories, then the reference's values.

        Made once for all the calls that decode against the same reference rows.
        """
        return _Pools(self, origin)

    def decode(self, codes, backend, pools, rows):
        """Write codes as columns; missing and unseen ones come from the reference row."""
        kept = ~(codes >= 0)
        if not kept.any():
            return [backend.take(pool, codes.astype(np.intp)) for pool in pools.own]
        positions = np.where(kept, 0, codes).astype(np.intp)
        if rows is None:
            positions[kept] = self._marker_position(codes[kept])
        else:
            positions[kept] = len(self._pool[0]) + rows[kept]
        return [backend.take(pool, positions) for pool in pools.joined]

    def _marker_position(self, codes):
        if np.any(codes < 0):
            raise ValueError(
                f"Column {self.name!r} has rows with a category that was not seen in fit; give "
                "the rows that they come from as reference to keep it."
            )
        if self._marker is None:
            raise ValueError(
                f"Column {self.name!r} has missing values, but had none in fit; give the rows "
                "that they come from as reference to keep them."
            )
        return self._marker


class _Pools:
    """Native columns of a feature, and the same with the reference's values behind them."""

    def __init__(self, feature, origin):
        self.own = feature._pool
        self._positions, self._origin = feature.positions, origin

    @cached_property
    def joined(self):
        """What missing and unseen values are taken from: joined where there are any."""
        if self._origin is None:
            return self.own
        return [
            self._origin.backend.concat(ours, self._origin.columns[j])
            for ours, j in zip(self.own, self._positions, strict=True)
        ]


def _whole_numbers(codes):
    """Python integers, and NaN where there is no number."""
    objects = np.empty(len(codes), dtype=object)
    objects[:] = [value if np.isnan(value) else int(value) for value in codes]
    return objects


def check_no_infinity(Z, names, what=""):
    """Refuse infinite values, in scikit-learn's words, and name the columns that hold them."""
    infinite = np.isinf(Z).any(axis=0)
    if infinite.any():
        raise ValueError(
            f"{f'Input {what}'.strip()} contains infinity or a value too large for "
            f"dtype('float64') in column(s) {[names[j] for j in np.flatnonzero(infinite)]}."
        )


def read_floats(table, position):
    """Read a column as floats, or say which column holds what is no number."""
    label = position if table.names is None else table.names[position]
    column = table.columns[position]
    if table.backend.kind(column) == UNSUPPORTED:
        raise TypeError(
            f"Column {label!r} has dtype {column.dtype}, where numbers are expected: turn it into "
            "a number (days since a date, say)."
        )
    try:
        return table.backend.to_float(column)
    except ValueError as error:
        raise ValueError(
            f"Column {label!r} holds {error}, where numbers are expected: if it holds categories, "
            "name it in categorical_features."
        ) from None
    except TypeError as error:
        raise TypeError(f"Column {label!r} holds a value that is no number: {error}.") from None


def _integer_type(dtype):
    """Name of the numpy integer type whose range a column's dtype has, if it is one."""
    found = re.search(r"u?int(8|16|32|64)\b", str(dtype).lower())
    return found.group() if found else None


def _float_type(dtype):
    """Find the float type whose precision a column's dtype has."""
    text = str(dtype).lower()
    if re.search(r"float16|halffloat", text):
        return np.float16
    return np.float32 if re.search(r"float32|float\[", text) else np.float64


def _has_one_marker(dtype):
    """Whether a missing value can only be NaN: in numpy's float columns."""
    return isinstance(dtype, np.dtype) and dtype.kind == "f"
