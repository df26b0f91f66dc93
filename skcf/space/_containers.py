"""The containers that rows come in: numpy arrays, pandas and polars frames.

A `Table` is the form in which the rest of the package sees rows: a list of native
columns, and what is needed to put them back into the container that they came in.
Columns keep the type of their container (1-d array, pandas Series, polars Series),
so that values, dtypes and missing-value markers survive to the bit; the three
backends are the only code that knows how such a column is handled.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_array

__all__ = ["BACKENDS", "Table", "side_by_side"]

CATEGORY, INTEGER, CONTINUOUS, OBJECT, UNSUPPORTED = (
    "category",
    "integer",
    "continuous",
    "object",
    "unsupported",
)


def is_missing_scalar(value) -> bool:
    """Tell whether one Python object is a missing-value marker (None, NaN, NA, NaT)."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA refuses to be a boolean
        return True
    except ValueError:  # an array inside a cell is no marker
        return False


class ArrayBackend:
    """Columns are 1-d numpy arrays."""

    name = "array"

    def accepts(self, X):
        return True

    def split(self, X):
        return [X[:, j] for j in range(X.shape[1])], None, None

    def kind(self, column):
        if column.dtype.kind in "bUS":
            return CATEGORY
        if column.dtype.kind in "iu":
            return INTEGER
        if column.dtype.kind == "f":
            return CONTINUOUS
        return OBJECT if column.dtype.kind == "O" else UNSUPPORTED

    def is_ordered(self, column):
        return False

    def declared_categories(self, column):
        return None

    def missing(self, column):
        if column.dtype.kind == "f":
            return np.isnan(column)
        if column.dtype.kind == "O":
            return np.fromiter(map(is_missing_scalar, column), bool, len(column))
        return np.zeros(len(column), dtype=bool)

    def to_float(self, column):
        if column.dtype.kind in "US":
            raise ValueError(f"text ({str(column[0])!r})")
        if column.dtype.kind != "O":
            return column.astype(np.float64)
        return _objects_to_float(column, self.missing(column))

    def to_objects(self, column):
        return column.astype(object)

    def from_float(self, values, dtype):
        if np.dtype(dtype).kind in "iu" and np.isnan(values).any():
            raise ValueError("an integer array cannot hold missing values")
        return values.astype(dtype)

    def from_objects(self, values, dtype):
        if dtype is None:
            return values
        return values.astype(dtype.kind if dtype.kind in "US" else dtype)  # as long as it takes

    def concat(self, first, second):
        return np.concatenate([first, second])

    def take(self, column, positions):
        return column[positions]

    def assemble(self, columns, names, index):
        dtypes = {column.dtype for column in columns}
        if any(dtype.kind == "O" for dtype in dtypes):
            columns = [column.astype(object) for column in columns]
        return side_by_side(columns)


FEW = 10_000
"""Values of a table that is put together at once."""


def side_by_side(columns):
    """Columns as an array, row by row."""
    if 0 < len(columns) * len(columns[0]) <= FEW:  # in half the time, but twice the memory
        return np.ascontiguousarray(np.array(columns).T)
    return np.column_stack(columns) if len(columns[0]) else np.array(columns).T


class PandasBackend:
    """Columns are pandas Series with a plain index; the frame's own index is kept apart."""

    name = "pandas"

    def accepts(self, X):
        pandas = sys.modules.get("pandas")
        return pandas is not None and isinstance(X, pandas.DataFrame)

    def split(self, X):
        columns = [X.iloc[:, j].reset_index(drop=True) for j in range(X.shape[1])]
        return columns, X.columns, X.index

    def kind(self, column):
        from pandas.api import types

        dtype = column.dtype
        if isinstance(dtype, _pandas().CategoricalDtype) or types.is_bool_dtype(dtype):
            return CATEGORY
        if types.is_integer_dtype(dtype):
            return INTEGER
        if types.is_float_dtype(dtype):
            return CONTINUOUS
        if types.is_object_dtype(dtype):
            return OBJECT
        return CATEGORY if types.is_string_dtype(dtype) else UNSUPPORTED

    def is_ordered(self, column):
        return bool(getattr(column.dtype, "ordered", False))

    def declared_categories(self, column):
        categories = getattr(column.dtype, "categories", None)
        return None if categories is None else list(categories)

    def missing(self, column):
        return column.isna().to_numpy(dtype=bool)

    def to_float(self, column):
        if self.kind(column) in (INTEGER, CONTINUOUS):
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _objects_to_float(self.to_objects(column), self.missing(column))

    def to_objects(self, column):
        return column.to_numpy(dtype=object)

    def from_float(self, values, dtype):
        series = _pandas().Series(values, copy=True)  # not the memory of the codes
        return series if dtype == np.float64 else series.astype(dtype)

    def from_objects(self, values, dtype):
        series = _pandas().Series(values, dtype=object if values.dtype == object else None)
        if (
            isinstance(dtype, _pandas().CategoricalDtype)
            and not series.isin(dtype.categories).all()
        ):
            raise ValueError("these are no categories of the dtype")  # pandas would drop them
        return series.infer_objects() if dtype is None else series.astype(dtype)

    def concat(self, first, second):
        pd = _pandas()
        if isinstance(first.dtype, pd.CategoricalDtype):
            dtype = self._joint_categories(first.dtype, second)
            first, second = first.astype(dtype), second.astype(dtype)
        elif second.dtype != first.dtype:
            second = self._cast(second, first.dtype)
        return pd.concat([first, second], ignore_index=True)

    def _cast(self, column, dtype):
        """Write a column in a dtype, if that loses nothing; True for None would."""
        try:
            with np.errstate(all="ignore"):
                cast = column.astype(dtype)
        except (TypeError, ValueError, OverflowError):
            return column
        return cast if _same_values(self, column, cast) else column

    def _joint_categories(self, dtype, column):
        values = column.dropna().unique()
        extra = [value for value in values if value not in dtype.categories]
        if not extra:
            return dtype
        categories = [*dtype.categories, *extra]
        return _pandas().CategoricalDtype(categories, ordered=dtype.ordered)

    def take(self, column, positions):
        return column.take(positions).reset_index(drop=True)

    def assemble(self, columns, names, index):
        frame = _pandas().DataFrame(dict(enumerate(columns)), copy=False)
        frame.columns = names
        if index is not None:
            frame.index = index
        return frame


class PolarsBackend:
    """Columns are polars Series."""

    name = "polars"

    def accepts(self, X):
        polars = sys.modules.get("polars")
        return polars is not None and isinstance(X, polars.DataFrame)

    def split(self, X):
        return X.get_columns(), X.columns, None

    def kind(self, column):
        pl = _polars()
        if column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean):
            return CATEGORY
        if column.dtype.is_integer():
            return INTEGER
        if column.dtype.is_float():
            return CONTINUOUS
        return UNSUPPORTED

    def is_ordered(self, column):
        return False

    def declared_categories(self, column):
        return None

    def missing(self, column):
        missing = column.is_null()
        if column.dtype.is_float():
            missing = missing | column.is_nan().fill_null(False)
        return missing.to_numpy()

    def to_float(self, column):
        if self.kind(column) not in (INTEGER, CONTINUOUS):
            return _objects_to_float(self.to_objects(column), self.missing(column))
        return column.cast(_polars().Float64).to_numpy().astype(np.float64)

    def to_objects(self, column):
        objects = np.empty(len(column), dtype=object)
        objects[:] = column.to_list()
        return objects

    def from_float(self, values, dtype):
        pl = _polars()
        series = pl.Series(values.copy())  # not the memory of the codes
        return series.cast(dtype) if dtype.is_float() else series.fill_nan(None).cast(dtype)

    def from_objects(self, values, dtype):
        if values.dtype != object:
            return _polars().Series(np.ascontiguousarray(values))
        values = [None if is_missing_scalar(value) else value for value in values]
        try:
            return _polars().Series(values, dtype=dtype, strict=dtype is not None)
        except _polars().exceptions.PolarsError as error:
            raise ValueError(str(error)) from error

    def concat(self, first, second):
        pl = _polars()
        if first.dtype != second.dtype:
            first = self._widened(first, second)
            cast = second.cast(first.dtype, strict=False)
            second = cast if _same_values(self, second, cast) else second
        frames = [column.alias("").to_frame() for column in (first, second)]
        return pl.concat(frames, how="vertical_relaxed", rechunk=True).to_series()

    def _widened(self, column, other):
        """Add the other column's values to the categories of an Enum."""
        if not isinstance(column.dtype, _polars().Enum):
            return column
        known = column.dtype.categories.to_list()
        new = [value for value in other.unique(maintain_order=True).to_list() if value is not None]
        extra = [value for value in new if value not in known]
        return column.cast(_polars().Enum([*known, *extra])) if extra else column

    def take(self, column, positions):
        return column.gather(positions)

    def assemble(self, columns, names, index):
        named = [column.alias(name) for column, name in zip(columns, names, strict=True)]
        return _polars().DataFrame(named)


def _objects_to_float(objects, missing):
    """Read Python numbers as floats; what floats cannot carry exactly is an error."""
    present = objects[~missing]
    for value in present:
        if isinstance(value, str | bytes):
            raise ValueError(f"text ({value!r})")
    try:
        numbers = present.astype(np.float64)
        inexact = np.asarray(numbers != present, dtype=bool)
    except OverflowError:
        raise ValueError(f"{max(present, key=abs)!r}, which floats cannot carry exactly") from None
    if inexact.any():
        raise ValueError(f"{present[inexact][0]!r}, which floats cannot carry exactly")
    floats = np.full(len(objects), np.nan)
    floats[~missing] = numbers
    return floats


def _same_values(backend, column, other):
    """Whether two native columns hold the same values, and miss the same."""
    missing = backend.missing(column)
    if not np.array_equal(missing, backend.missing(other)):
        return False
    pair = [backend.to_objects(c)[~missing].tolist() for c in (column, other)]
    return pair[0] == pair[1]


def _pandas():
    import pandas

    return pandas


def _polars():
    import polars

    return polars


BACKENDS = {backend.name: backend for backend in (PandasBackend(), PolarsBackend(), ArrayBackend())}


def backend_of(X):
    """Find the backend of a container; whatever is no frame counts as an array."""
    return next(backend for backend in BACKENDS.values() if backend.accepts(X))


@dataclass(frozen=True)
class Table:
    """Rows as native columns.

    Parameters
    ----------
    backend : object
        One of the backends of this module, which knows how the columns are handled.
    columns : list of native columns
        All of one length.
    names : sequence of str, or None
        Column labels; None for arrays.
    index : pandas.Index or None
        Row labels, where the container has them.
    """

    backend: Any
    columns: list
    names: Any = None
    index: Any = None

    @classmethod
    def of(cls, X):
        """Split a container that has been checked into its columns."""
        backend = backend_of(X)
        return cls(backend, *backend.split(X))

    @property
    def n_rows(self):
        """Number of rows."""
        return len(self.columns[0])

    def take(self, rows):
        """Pick rows by position, row labels with them."""
        columns = [self.backend.take(column, rows) for column in self.columns]
        index = None if self.index is None else self.index[rows]
        return replace(self, columns=columns, index=index)

    def part(self, rows):
        """Pick rows that are in their order, by position: all of them are the table itself."""
        return self if len(rows) == self.n_rows else self.take(rows)

    def container(self):
        """Put the columns into their container."""
        return self.backend.assemble(self.columns, self.names, self.index)

    def converted(self, backend, names):
        """Write the columns in another backend, each with the dtype that its values suggest.

        Column by column: a cast of the whole would turn the integers and categories of a
        mixed table to objects.
        """
        if backend is self.backend:
            return self
        if backend.name == "array":
            return Table(backend, [self._natural_array(column) for column in self.columns], names)
        # a typed array says by itself what it is; other columns are told by their values
        typed = [isinstance(c, np.ndarray) and c.dtype != object for c in self.columns]
        values = [
            column if is_typed else self.backend.to_objects(column)
            for column, is_typed in zip(self.columns, typed, strict=True)
        ]
        return Table(backend, [backend.from_objects(column, None) for column in values], names)

    def like(self, other):
        """Write the columns in the container of another table, with its labels.

        In another backend they take the other table's dtypes, where these can hold them.
        """
        columns = self.converted(other.backend, other.names).columns
        if other.backend is not self.backend:
            none = np.empty(0, dtype=np.intp)
            columns = [
                other.backend.concat(other.backend.take(theirs, none), column)
                for theirs, column in zip(other.columns, columns, strict=True)
            ]
        return Table(other.backend, columns, other.names, other.index)

    def _natural_array(self, column):
        """Numbers as a numeric array, everything else as objects."""
        if self.backend.kind(column) not in (INTEGER, CONTINUOUS):
            return self.backend.to_objects(column)
        if self.backend.missing(column).any() or self.backend.kind(column) == CONTINUOUS:
            return self.backend.to_float(column)
        return self.backend.to_objects(column).astype(np.int64)


def checked_container(X, name="X"):
    """Check that X is a 2-d table with rows and columns; arrays come back as ndarrays.

    Raises
    ------
    ValueError, TypeError
        For sparse, complex, 1-d or empty input, in scikit-learn's words.
    """
    backend = backend_of(X)
    if backend.name == "array":
        return _checked_array(X, name)
    labels = list(X.columns)
    if len(set(labels)) < len(labels):
        twice = sorted({str(label) for label in labels if labels.count(label) > 1})
        raise ValueError(f"{name} has several columns of the same name: {twice}.")
    if X.shape[1] == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    if X.shape[0] == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    return X


def _checked_array(X, name):
    """Check array-likes; a list of rows that mixes text and numbers becomes an object array."""
    mixed_list = isinstance(X, list | tuple) and np.asarray(X).dtype.kind in "US"
    X = np.array(X, dtype=object) if mixed_list else X
    return check_array(X, dtype=None, ensure_all_finite=False, input_name=name)
