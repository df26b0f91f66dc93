"""Counterfactuals and real rows as points whose Euclidean distances are those of the space.

A number is divided by its scale, a category becomes a column of its own for each value, at
``sqrt(1/2)``, so that two different ones are 1 apart; both are multiplied by the root of the
feature's weight. A missing number stands at the median of the reference rows, with 1 in a column
of its own; a missing category is a category.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from skcf._classifiers import codes_of
from skcf.metrics._rows import encode, read_pairs

__all__ = [
    "Comparison",
    "Embedding",
    "checked_labels",
    "embedded_together",
    "read_comparison",
    "reading_once",
]

_KEPT: ContextVar[dict | None] = ContextVar("_KEPT", default=None)
"""What was read already, within `reading_once`."""


@dataclass(frozen=True)
class Comparison:
    """Counterfactuals beside real rows.

    Attributes
    ----------
    pairs : Pairs
        Rows and their counterfactuals.
    points : ndarray of float64, shape (n_found, n_dimensions)
        The counterfactuals that were found.
    reference : ndarray of float64, shape (n_reference, n_dimensions)
        The real rows.
    target : ndarray of int, shape (n_found,)
        Code of the label that each counterfactual is to have.
    labels : ndarray of int, shape (n_reference,)
        Codes of the labels of the real rows.
    """

    pairs: object
    points: np.ndarray
    reference: np.ndarray
    target: np.ndarray
    labels: np.ndarray

    def by_target(self):
        """For each target, which counterfactuals are to have it, and its real rows.

        Yields
        ------
        at : ndarray of int
            Positions in `points`.
        real : ndarray of float64
            Rows of `reference`.
        """
        for code in np.unique(self.target):
            yield np.flatnonzero(self.target == code), self.reference[self.labels == code]

    def each(self, measure):
        """Measure the counterfactuals of each target against its real rows.

        Parameters
        ----------
        measure : callable
            Takes points and real rows, and gives one number for each point.

        Returns
        -------
        ndarray of float64, shape (n_found,)
        """
        values = np.empty(len(self.points))
        for at, real in self.by_target():
            values[at] = measure(self.points[at], real)
        return values


def read_comparison(X, X_cf, feature_space, status, reference, y_reference, target):
    """Check what a metric that compares with real rows is given.

    Parameters
    ----------
    X, X_cf, feature_space, status : object
        As `read_pairs` takes them.
    reference : array-like or DataFrame
        Real rows.
    y_reference : array-like of shape (n_reference,), or None
        Their labels; None: all are of the target class.
    target : object
        Label that the counterfactuals are to have, one for all or one a row; None: a result
        knows it.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a target has no real rows, or is not known.
    """
    given = (X, X_cf, feature_space, status, reference, y_reference, target)
    kept = _KEPT.get()
    if kept is None:
        return _compared(*given)
    key = tuple(id(one) for one in given)
    if key not in kept:
        # with what was given, so that no identity comes twice
        kept[key] = _compared(*given), given
    return kept[key][0]


@contextmanager
def reading_once():
    """Within it, `read_comparison` reads the same objects once, however many metrics ask."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _compared(X, X_cf, feature_space, status, reference, y_reference, target):
    pairs = read_pairs(X, X_cf, feature_space, status, reference=reference)
    (points,), real = embedded_together([pairs], reference)
    if y_reference is None:
        labels = np.zeros(len(points), dtype=int), np.zeros(len(real), dtype=int)
    else:
        labels = _codes(pairs, checked_labels(y_reference, len(real)), target)
    return Comparison(pairs, points, real, *labels)


def embedded_together(pairs, reference):
    """Make points of the counterfactuals of some batches, and of real rows, that can be compared.

    Parameters
    ----------
    pairs : list of Pairs
        Of one feature space.
    reference : array-like or DataFrame
        Real rows.

    Returns
    -------
    points : list of ndarray of float64, each of shape (n_found, n_dimensions)
        Of the counterfactuals that were found.
    real : ndarray of float64, shape (n_reference, n_dimensions)
    """
    space = pairs[0].space
    # categories that the space does not know are told apart: all sides share their codes
    unseen: list[dict] = [{} for _ in space.scale_]
    tables = [p.after.take(p.places) for p in pairs] + [space._tabulate(reference)]
    *codes, real = [encode(space, table, unseen=unseen) for table in tables]
    for Z in [*codes, real]:
        space.encoding_.check_finite(Z)
    embedding = Embedding(space, real, np.concatenate(codes))
    return [embedding.points(Z) for Z in codes], embedding.points(real)


def checked_labels(labels, n_rows, *, name="y_reference", rows="reference row"):
    """Labels as an array, one for each row."""
    labels = np.asarray(labels)
    if labels.shape != (n_rows,):
        raise ValueError(
            f"{name} must have one label for each {rows}, shape ({n_rows},), got {labels.shape}."
        )
    return labels


def _codes(pairs, labels, target):
    """Codes of the labels that the counterfactuals are to have, and of the real rows."""
    if target is None:
        if pairs.result is None:
            raise ValueError("y_reference needs target: the label the counterfactuals should have.")
        target = pairs.result.y_cf
    target = np.asarray(target)
    wanted = np.broadcast_to(target, pairs.found.shape) if target.ndim == 0 else target
    if wanted.shape != pairs.found.shape:
        raise ValueError(
            f"target must be one label, or one for each of the {len(pairs.found)} rows; got shape "
            f"{wanted.shape}."
        )
    classes = np.unique(labels)
    codes = codes_of(wanted[pairs.places], classes)
    unknown = wanted[pairs.places][codes < 0].tolist()
    if unknown:
        raise ValueError(
            f"No reference row has the target label {unknown[0]!r}: their labels are "
            f"{classes.tolist()}."
        )
    return codes, codes_of(labels, classes)


class Embedding:
    """How encoded rows become points, learned from real rows; see the module.

    Parameters
    ----------
    space : FeatureSpace
        Fitted.
    reference : ndarray of float64, shape (n_reference, n_features)
        Encoded real rows.
    beside : ndarray of float64, shape (n_rows, n_features), optional
        All the other rows there are: only values that occur have a column. None: any row may
        come, so that every category of the space has a column, and so have missing values and,
        all in one, categories that are new.

    Attributes
    ----------
    n_dimensions : int
        Number of columns.
    """

    def __init__(self, space, reference, beside=None):
        rows = reference if beside is None else np.concatenate([beside, reference])
        self._features = [
            (_Categories if feature.kind == "category" else _Numbers)(
                feature, rows[:, j], reference[:, j], beside is None
            )
            for j, feature in enumerate(space.encoding_.features)
        ]
        self._root, self._scale = np.sqrt(space.weight_), space.scale_
        self.n_dimensions = self.points(reference[:0]).shape[1]

    def points(self, Z):
        """Encoded rows as points, shape (n_rows, n_dimensions)."""
        columns = []
        for j, feature in enumerate(self._features):
            columns += feature.columns(Z[:, j], self._root[j], self._scale[j])
        return np.column_stack(columns)


class _Categories:
    """One column for each category; all missing values are one."""

    def __init__(self, feature, values, known, is_open):
        seen = np.where(np.isnan(values), -np.inf, values)
        if is_open:
            seen = np.concatenate([[-np.inf], feature.gap_codes, np.arange(feature.n_categories)])
        self._keys, self._is_open = np.unique(seen), is_open

    def columns(self, values, root, scale):
        values = np.where(np.isnan(values), -np.inf, values)
        marked = [values == key for key in self._keys]
        if self._is_open:
            marked.append(~np.isin(values, self._keys))
        return [np.sqrt(0.5) * root * column for column in marked]


class _Numbers:
    """The number, at the median of the real rows where it is missing, and whether it is."""

    def __init__(self, feature, values, known, is_open):
        self._is_ordinal = hasattr(feature, "categories")
        known = known[~self._gone(known)]
        self._median = np.median(known) if len(known) else 0.0
        self._marks_gaps = is_open or self._gone(values).any()

    def _gone(self, values):
        return np.isnan(values) | ((values < 0) & self._is_ordinal)

    def columns(self, values, root, scale):
        gone = self._gone(values)
        number = root * np.where(gone, self._median, values) / scale
        return [number, root * gone] if self._marks_gaps else [number]
