"""Columns as axes of a picture: where each value of a column stands."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from skcf.inspection._values import numbers_of

__all__ = ["Axis", "axis_of", "categorical_columns", "checked_features"]


@dataclass(frozen=True)
class Axis:
    """A column as an axis.

    Parameters
    ----------
    name : str
        What the column is called.
    categories : list or None
        What stands at 0, 1, 2 …; None for numbers, which stand where they are.
    """

    name: str
    categories: list | None = None

    def places(self, table, j):
        """Where the values of column j stand; NaN where missing, or no category of the axis."""
        if self.categories is None:
            return numbers_of(table, j)
        code = {category: place for place, category in enumerate(self.categories)}
        values, missing = table.backend.to_objects(table.columns[j]), _missing(table, j)
        pairs = zip(values, missing, strict=True)
        return np.array([np.nan if gap else code.get(v, np.nan) for v, gap in pairs], dtype=float)


def axis_of(tables, j, space=None):
    """Make an axis of a column.

    Parameters
    ----------
    tables : list of Table
        Rows that will stand on the axis.
    j : int
        Position of the column.
    space : FeatureSpace or None
        Fitted; knows the categories and their order. None: they are read off the tables.

    Returns
    -------
    Axis
    """
    known = categorical_columns(space)
    name = f"x{j}" if tables[0].names is None else str(list(tables[0].names)[j])
    if j not in known and all(numbers_of(table, j) is not None for table in tables):
        return Axis(name)
    seen = {}
    for table in tables:
        values = table.backend.to_objects(table.columns[j])
        seen |= dict.fromkeys(values[~_missing(table, j)].tolist())
    ordered = known.get(j, [])
    rest = sorted(set(seen) - set(ordered), key=lambda value: (type(value).__name__, value))
    return Axis(name, [*ordered, *rest])


def categorical_columns(space):
    """Columns that hold categories, where a feature space says so: {position: categories}."""
    features = [] if space is None else space.encoding_.features
    return {
        feature.positions[0]: feature.categories
        for feature in features
        if feature.n_categories and len(feature.positions) == 1
    }


def checked_features(features, table):
    """Positions of the two columns that are asked for, by name or position.

    Raises
    ------
    ValueError
        If they are not two, or no columns of the rows.
    """
    names = range(len(table.columns)) if table.names is None else list(table.names)
    if isinstance(features, str) or np.ndim(features) != 1 or len(features) != 2:
        raise ValueError(
            "features must be two columns, one for each axis, by name or position; got "
            f"{features!r}."
        )
    return [_position(feature, list(names)) for feature in features]


def _position(feature, names):
    if feature in names:
        return names.index(feature)
    is_number = isinstance(feature, Integral) and not isinstance(feature, bool)
    if is_number and -len(names) <= feature < len(names):
        return int(feature) % len(names)
    raise ValueError(f"features names {feature!r}, but the columns are {names}.")


def _missing(table, j):
    return table.backend.missing(table.columns[j])
