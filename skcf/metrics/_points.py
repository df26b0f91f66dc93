"""Counterfactuals and real rows as points whose Euclidean distances are those of the space.

A number is divided by its scale, a category becomes a column of its own for each value, at
``sqrt(1/2)``, so that two different ones are 1 apart; both are multiplied by the root of the
feature's weight. A missing number stands at the median of the reference rows, with 1 in a column
of its own; a missing category is a category.
"""

from dataclasses import dataclass

import numpy as np

from skcf._classifiers import codes_of
from skcf.metrics._rows import check_finite, encode, read_pairs

__all__ = ["Comparison", "read_comparison"]


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
    pairs = read_pairs(X, X_cf, feature_space, status, reference=reference)
    # categories that the space does not know are told apart: both sides share their codes
    unseen: list[dict] = [{} for _ in pairs.space.scale_]
    tables = pairs.after.take(pairs.places), pairs.space._tabulate(reference)
    codes = [encode(pairs.space, table, unseen=unseen) for table in tables]
    for Z in codes:
        check_finite(pairs.space, Z)
    points, real = _embedded(pairs.space, *codes)
    if y_reference is None:
        labels = np.zeros(len(points), dtype=int), np.zeros(len(real), dtype=int)
    else:
        labels = _codes(pairs, _checked_labels(y_reference, len(real)), target)
    return Comparison(pairs, points, real, *labels)


def _checked_labels(y_reference, n_rows):
    labels = np.asarray(y_reference)
    if labels.shape != (n_rows,):
        raise ValueError(
            f"y_reference must have one label for each reference row, shape ({n_rows},), got "
            f"{labels.shape}."
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


def _embedded(space, Z, reference):
    """Encoded counterfactuals and reference rows as points; see the module."""
    both = np.concatenate([Z, reference])
    columns = []
    for j, feature in enumerate(space.encoding_.features):
        values, weight = both[:, j], np.sqrt(space.weight_[j])
        if feature.kind == "category":
            columns += [np.sqrt(0.5) * weight * column for column in _indicators(values)]
            continue
        gone = np.isnan(values) | ((values < 0) & hasattr(feature, "categories"))
        known = values[len(Z) :][~gone[len(Z) :]]
        filled = np.where(gone, np.median(known) if len(known) else 0.0, values)
        columns.append(weight * filled / space.scale_[j])
        if gone.any():
            columns.append(weight * gone)
    points = np.column_stack(columns)
    return points[: len(Z)], points[len(Z) :]


def _indicators(values):
    """One column for each category; all missing values are one."""
    keys = np.where(np.isnan(values), -np.inf, values)
    return [(keys == key).astype(float) for key in np.unique(keys)]
