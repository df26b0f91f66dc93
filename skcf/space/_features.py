"""Features: what may change as one thing, as one number, and back.

A feature is one column of the input, or one group of one-hot columns. Each is encoded
to one float: numbers as they are, categories as their position among the categories
seen in fit. Missing values are NaN; a category that fit did not see has a code of its
own, which can be kept from a reference row and never be proposed.
"""

import re

import numpy as np

from skcf.space._containers import CATEGORY, CONTINUOUS, INTEGER

__all__ = ["CategoricalFeature", "NumericFeature"]

UNSEEN = -1.0
"""Code of a category that was not seen in fit (kept from the reference row)."""

FOREIGN = -2.0
"""Code of an unseen category that is not the reference row's: never allowed."""

LARGEST_EXACT_INTEGER = 2**53


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

    def encode(self, table, origin=None, rows=None):
        """Read the column as floats; see `CategoricalFeature.encode`."""
        column = table.columns[self.positions[0]]
        try:
            values = table.backend.to_float(column)
        except (ValueError, table_errors()) as error:
            raise ValueError(
                f"Column {self.name!r} was numeric in fit, but holds text now: {error}. If it "
                "holds categories, name it in categorical_features."
            ) from error
        if self.integer and np.any(np.abs(values) > LARGEST_EXACT_INTEGER):
            raise ValueError(
                f"Column {self.name!r} holds integers beyond 2**53, which floats cannot carry "
                "exactly; an identifier is no feature: drop it, or name it in "
                "categorical_features."
            )
        return values

    @property
    def float_type(self):
        """The float type whose precision the column's dtype has."""
        bits = re.search(r"float(16|32)|halffloat|float\[", str(self.dtype).lower())
        if bits is None:
            return np.float64
        return np.float16 if bits.group(1) == "16" or bits.group() == "halffloat" else np.float32

    def snap(self, values):
        """Round to what the column's dtype can hold, so that decoding changes nothing."""
        if self.float_type is np.float64:
            return values
        return values.astype(self.float_type).astype(np.float64)

    def dtype_limits(self):
        """Smallest and largest number that the column's dtype can hold."""
        bits = re.search(r"(u?)int(8|16|32|64)", str(self.dtype).lower())
        if bits is None:
            return -np.inf, np.inf
        info = np.iinfo(bits.group(0))
        return float(max(info.min, -LARGEST_EXACT_INTEGER)), float(
            min(info.max, LARGEST_EXACT_INTEGER)
        )

    def pools(self, origin):
        """Columns that a missing value is taken from; see `CategoricalFeature.pools`."""
        return None if origin is None else [origin.columns[self.positions[0]]]

    def decode(self, codes, backend, pools, rows):
        """Write floats as a column of the dtype seen in fit."""
        if self.integer and str(self.dtype) == "object":
            column = backend.from_objects(_whole_numbers(codes), self.dtype)
        else:
            column = self._from_float(codes, backend, pools)
        missing = np.isnan(codes)
        if pools is not None and missing.any():
            # the reference knows which of None, NaN and NA stood there
            positions = np.where(missing, len(codes) + rows, np.arange(len(codes)))
            column = backend.take(backend.concat(column, pools[0]), positions)
        return [column]

    def _from_float(self, codes, backend, pools):
        dtype = self.dtype
        if pools is not None and "float64" in (str(pools[0].dtype).lower()) and not self.integer:
            dtype = pools[0].dtype  # the reference may be of higher precision than fit was
        try:
            return backend.from_float(codes, dtype)
        except (ValueError, TypeError):
            # missing values in a query, where the column had none in fit
            return backend.from_float(codes, np.float64)


class CategoricalFeature:
    """One column of categories, or one group of one-hot columns; its code is a position.

    Parameters
    ----------
    positions : list of int
        Columns of the input: one, or the members of a one-hot group.
    name : str or int
        What error messages and results call it.
    ordered : bool
        Whether the categories have an order, which direction and distance follow.
    """

    integer = False

    def __init__(self, positions, name, ordered=False):
        self.positions = positions
        self.name = name
        self.ordered = ordered
        self.kind = "ordinal" if ordered else CATEGORY

    def fit(self, table, categories=None):
        """Learn the categories: those seen, after those declared in order, if any."""
        keys, missing = self._keys(table)
        seen = dict.fromkeys(key for key, gap in zip(keys, missing, strict=True) if not gap)
        if categories is None:
            categories = sorted(seen, key=lambda key: (type(key).__name__, key))
        unknown = [key for key in seen if key not in set(categories)]
        if unknown:
            raise ValueError(
                f"ordinal_features[{self.name!r}] lists {list(categories)}, but the column also "
                f"holds {unknown[:5]}."
            )
        self.categories = list(categories)
        self.n_categories = len(self.categories)
        self._code = {key: code for code, key in enumerate(self.categories)}
        codes = np.fromiter((self._code.get(key, -1) for key in keys), np.intp, len(keys))
        codes[missing] = -1
        self.counts = np.bincount(codes[codes >= 0], minlength=self.n_categories)
        self._pool = self._native_categories(table, codes)
        return self

    def _native_categories(self, table, codes):
        """The categories as native columns, and the missing-value marker, if one was seen."""
        backend = table.backend
        first = {code: row for row, code in reversed(list(enumerate(codes)))}
        marker = [first[-1]] if -1 in first else []
        self._marker = self.n_categories if marker else None
        if all(code in first for code in range(self.n_categories)):
            rows = np.array([first[code] for code in range(self.n_categories)] + marker, dtype=np.intp)
            return [backend.take(table.columns[j], rows) for j in self.positions]
        column = table.columns[self.positions[0]]  # declared, unseen: only single columns
        objects = np.empty(self.n_categories, dtype=object)
        objects[:] = self.categories
        pool = backend.from_objects(objects, column.dtype)
        return [backend.concat(pool, backend.take(column, np.array(marker, dtype=np.intp)))]

    def _keys(self, table):
        """One hashable key a row, and which rows have a missing one."""
        columns = [table.columns[j] for j in self.positions]
        missing = np.logical_or.reduce([table.backend.missing(c) for c in columns])
        if len(columns) == 1:
            return table.backend.to_objects(columns[0]).tolist(), missing
        values = np.column_stack([table.backend.to_float(c) for c in columns]) + 0.0
        return [tuple(row) for row in values.tolist()], missing

    def encode(self, table, origin=None, rows=None):
        """Find the code of each row.

        Parameters
        ----------
        table : Table
            The rows.
        origin : Table, optional
            Reference rows; an unseen category counts as kept where it is theirs.
        rows : ndarray of int, optional
            Which reference row each row goes with.

        Returns
        -------
        ndarray of float64
            Codes; NaN where the value is missing.
        """
        keys, missing = self._keys(table)
        try:
            codes = np.fromiter((self._code.get(key, UNSEEN) for key in keys), float, len(keys))
        except TypeError as error:
            raise TypeError(
                f"Column {self.name!r} holds a value that is neither text nor a number ({error}); "
                "an argument must be a string or a number."
            ) from error
        codes[missing] = np.nan
        unseen = np.flatnonzero(codes == UNSEEN)
        if len(unseen):
            self._check_type(keys[unseen[0]])
            if origin is not None:
                theirs = self._keys(origin)[0]
                foreign = [keys[i] != theirs[rows[i]] for i in unseen]
                codes[unseen[foreign]] = FOREIGN
        return codes

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
        if origin is None:
            return self._pool
        theirs = [origin.columns[j] for j in self.positions]
        return [
            origin.backend.concat(ours, column)
            for ours, column in zip(self._pool, theirs, strict=True)
        ]

    def decode(self, codes, backend, pools, rows):
        """Write codes as columns; missing and unseen ones come from the reference row."""
        kept = ~(codes >= 0)
        positions = np.where(kept, 0, codes).astype(np.intp)
        if kept.any():
            if rows is None:
                positions[kept] = self._marker_position(codes[kept])
            else:
                positions[kept] = len(self._pool[0]) + rows[kept]
        return [backend.take(pool, positions) for pool in pools]

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


def _whole_numbers(codes):
    """Python integers, and NaN where there is no number."""
    objects = np.empty(len(codes), dtype=object)
    objects[:] = [value if np.isnan(value) else int(value) for value in codes]
    return objects


def table_errors():
    """Errors by which a frame library says that text is no number."""
    import sys

    polars = sys.modules.get("polars")
    return polars.exceptions.PolarsError if polars else ValueError
