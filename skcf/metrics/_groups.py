"""Whether translations lead a group of points to another one ([1]_).

.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_array

from skcf._neighbours import holding, nearest_distances
from skcf.metrics._consistency import checked_translations, pairwise_translations
from skcf.metrics._rows import average_of, check_average
from skcf.space._containers import BACKENDS, Table, backend_of, checked_container

__all__ = ["calibrate_epsilon", "group_correctness", "group_coverage"]

METRICS = ("euclidean", "sqeuclidean")
DIAGONALS = ("drop", "literal", "leave_one_out")


def group_correctness(
    X: Any,
    groups: Any,
    translations: Any,
    *,
    eps: float,
    representation: Any = None,
    metric: Literal["euclidean", "sqeuclidean"] = "euclidean",
    diagonal: Literal["drop", "literal", "leave_one_out"] = "drop",
    labels: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Share of a group's points that a translation leads to the other group ([1]_, Eq. 3).

    ``cr_ij = mean_{x in X_i} 1[min_{x' in X_j} ||r(x + d_ij) - r(x')|| <= eps]``, with r the
    representation and d_ij the translation from group i to group j. The distance is taken as it
    is, as in the published numbers; the paper writes it squared: ``metric="sqeuclidean"``.

    Range 0 to 1, the more the better. Cost: the representation of each group moved to each other
    one, and a nearest-neighbour search for each pair of groups, in chunks of bounded memory.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Numbers, as the representation takes them.
    groups : array-like of shape (n_samples,)
        The group of each row.
    translations : array-like of shape (n_groups, n_features) or (n_groups, n_groups, n_features)
        One for each group, t_i, relative to any reference: ``d_ij = t_j - t_i``. Or one for each
        pair, d_ij at [i, j].
    eps : float
        Radius within which a point counts as one of a group; see `calibrate_epsilon`.
    representation : object, default=None
        r: a fitted transformer, or a function of arrays. None: the features themselves.
    metric : {"euclidean", "sqeuclidean"}, default="euclidean"
        What eps is a limit of: the distance or its square.
    diagonal : {"drop", "literal", "leave_one_out"}, default="drop"
        What becomes of the pairs of a group with itself. "drop": they are left out, since nothing
        is explained there. "literal": the equation as it stands, which is 1 for a translation
        by 0. "leave_one_out": a point does not count as its own neighbour; the published tables
        average these with the others.
    labels : array-like of shape (n_groups,), default=None
        The groups in the order of the translations; rows of other groups are left out. None: the
        distinct values of `groups`, sorted.
    average : {"mean", "median"} or None, default="mean"
        Over the ordered pairs of groups, NaN of none. None: the matrix, from i to j at [i, j],
        NaN where pairs are left out.

    Returns
    -------
    float, or ndarray of float64 of shape (n_groups, n_groups)

    Raises
    ------
    ValueError
        If shapes do not agree, or a group has no rows.

    See Also
    --------
    group_coverage : The share of the other group that is met.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.metrics import group_correctness
    >>> X, groups = [[0.0], [1.0], [10.0], [11.0], [12.0]], [0, 0, 1, 1, 1]
    >>> group_correctness(X, groups, [[0.0], [10.0]], eps=0.5, average=None)
    array([[       nan, 1.        ],
           [0.66666667,        nan]])
    """
    return _over_pairs(
        nearest_distances,
        _Setting(eps, metric, diagonal, average),
        (X, groups, labels, representation),
        translations,
    )


def group_coverage(
    X: Any,
    groups: Any,
    translations: Any,
    *,
    eps: float,
    representation: Any = None,
    metric: Literal["euclidean", "sqeuclidean"] = "euclidean",
    diagonal: Literal["drop", "literal", "leave_one_out"] = "drop",
    labels: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Share of a group's points that the translated points of another one meet ([1]_, Eq. 4).

    ``cv_ij = mean_{x in X_j} 1[min_{x' in X_i} ||r(x) - r(x' + d_ij)|| <= eps]``, with r the
    representation and d_ij the translation from group i to group j. Where r is linear and
    ``d_ij = -d_ji``, it is the correctness of the way back.

    Range 0 to 1, the more the better. Cost: as of `group_correctness`.

    Parameters
    ----------
    X, groups, translations, eps, representation, metric, diagonal, labels, average
        As `group_correctness` takes them.

    Returns
    -------
    float, or ndarray of float64 of shape (n_groups, n_groups)

    Raises
    ------
    ValueError
        If shapes do not agree, or a group has no rows.

    See Also
    --------
    group_correctness : The share of the translated points that arrive.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.metrics import group_coverage
    >>> X, groups = [[0.0], [1.0], [10.0], [11.0], [12.0]], [0, 0, 1, 1, 1]
    >>> group_coverage(X, groups, [[0.0], [10.0]], eps=0.5, average=None)
    array([[       nan, 0.66666667],
           [1.        ,        nan]])
    """
    return _over_pairs(
        lambda moved, there, apart: nearest_distances(there, moved, apart),
        _Setting(eps, metric, diagonal, average),
        (X, groups, labels, representation),
        translations,
    )


def calibrate_epsilon(
    X: Any,
    groups: Any,
    *,
    representation: Any = None,
    level: float = 0.95,
    metric: Literal["euclidean", "sqeuclidean"] = "euclidean",
    labels: Any = None,
) -> float:
    """Smallest radius at which every group is similar to itself ([1]_, section 3).

    The least eps with ``mean_{x in X_i} 1[min_{x' in X_i, x' not x} ||r(x) - r(x')|| <= eps] >=
    level`` for each group i. The paper raises eps until the correctness of no move at all, from
    a group to itself, is between 0.95 and 1. Literally that is 1 for any eps, each point being
    its own neighbour; here it is not.

    Range 0 to infinity. Cost: a nearest-neighbour search in each group.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Numbers, as the representation takes them.
    groups : array-like of shape (n_samples,)
        The group of each row.
    representation : object, default=None
        r: a fitted transformer, or a function of arrays. None: the features themselves.
    level : float, default=0.95
        Share of each group's points that are to have a neighbour, above 0 and up to 1.
    metric : {"euclidean", "sqeuclidean"}, default="euclidean"
        What eps is a limit of: the distance or its square.
    labels : array-like of shape (n_groups,), default=None
        Which groups count. None: all.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a group has fewer than two rows.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.metrics import calibrate_epsilon
    >>> X = [[0.0], [1.0], [3.0], [10.0], [10.5]]
    >>> calibrate_epsilon(X, [0, 0, 0, 1, 1])  # distances 1 1 2, and 0.5 0.5
    2.0
    >>> calibrate_epsilon(X, [0, 0, 0, 1, 1], level=0.6)
    1.0
    """
    if not 0 < level <= 1:
        raise ValueError(f"level must be above 0 and at most 1, got {level!r}.")
    _check_one_of(metric, METRICS, "metric")
    read = _read_groups(X, groups, labels, representation)
    for label, members in zip(read.labels, read.members, strict=True):
        if len(members) < 2:
            raise ValueError(f"Group {label!r} has one row, where at least two are needed.")
    distances = (nearest_distances(r, r, apart=True) for r in read.represented)
    return max(holding(_in_metric(each, metric), level) for each in distances)


@dataclass(frozen=True)
class _Setting:
    """How the pairs of groups are judged, and averaged."""

    eps: float
    metric: str
    diagonal: str
    average: str | None

    def __post_init__(self):
        """Refuse what is not known, before any work."""
        if not 0 <= self.eps < np.inf:
            raise ValueError(f"eps must be a finite number of at least 0, got {self.eps!r}.")
        _check_one_of(self.metric, METRICS, "metric")
        _check_one_of(self.diagonal, DIAGONALS, "diagonal")
        check_average(self.average)

    def share_within(self, distances):
        """Share of some distances that are within the radius."""
        return np.mean(_in_metric(distances, self.metric) <= self.eps)


@dataclass(frozen=True)
class _Groups:
    """The rows of each group, and their representation."""

    labels: list
    members: list
    represented: list
    represent: Callable


def _over_pairs(nearest, setting, data, translations):
    """Share of the points with a neighbour, for each ordered pair of groups, or their average."""
    deltas = checked_translations(translations)
    read = _read_groups(*data, deltas=deltas)
    deltas = pairwise_translations(deltas)
    shares = np.full(deltas.shape[:2], np.nan)
    for i, j in np.ndindex(shares.shape):
        if i == j and setting.diagonal == "drop":
            continue
        moved = read.represent(read.members[i] + deltas[i, j])
        apart = i == j and setting.diagonal == "leave_one_out"
        shares[i, j] = setting.share_within(nearest(moved, read.represented[j], apart))
    if setting.average is None:
        return shares
    return average_of(shares[~np.isnan(shares)], setting.average)


def _in_metric(distances, metric):
    return distances**2 if metric == "sqeuclidean" else distances


def _read_groups(X, groups, labels, representation, deltas=None):
    """Check rows and groups, and that translations are theirs; represent each group."""
    container = checked_container(X)
    rows = check_array(container, dtype=np.float64)
    groups = np.asarray(groups)
    if groups.shape != (len(rows),):
        raise ValueError(
            f"groups must have one label for each row, shape ({len(rows)},), got {groups.shape}."
        )
    labels = np.unique(groups) if labels is None else np.asarray(labels)
    if deltas is not None:
        _check_shapes(deltas, labels, rows.shape[1])
    members = [rows[groups == label] for label in labels]
    for label, own in zip(labels.tolist(), members, strict=True):
        if not len(own):
            raise ValueError(f"No row is in group {label!r}.")
    represent = _reader(representation, container)
    return _Groups(labels.tolist(), members, [represent(own) for own in members], represent)


def _check_shapes(deltas, labels, n_features):
    """Refuse translations of other groups or features than those of the rows."""
    expected = (*[len(labels)] * max(deltas.ndim - 1, 1), n_features)
    if deltas.shape != expected:
        raise ValueError(
            f"translations must have shape {expected} for {n_features} feature(s) and the groups "
            f"{labels.tolist()}, got {deltas.shape}; labels says which groups are meant."
        )


def _reader(representation, container):
    """What represents rows, as float64 arrays of shape (n_rows, n_dimensions)."""
    if representation is None:
        return lambda rows: rows
    function = getattr(representation, "transform", representation)
    if not callable(function):
        raise TypeError(
            "representation must be a fitted transformer, a function or None, got "
            f"{representation!r}."
        )
    backend, names = backend_of(container), getattr(container, "columns", None)
    named = hasattr(representation, "feature_names_in_") and names is not None

    def represent(rows):
        taken = Table(BACKENDS["array"], list(rows.T)).converted(backend, names).container()
        values = check_array(function(taken if named else rows), dtype=np.float64)
        if len(values) != len(rows):
            raise ValueError(
                f"representation gave {len(values)} rows for {len(rows)}: it must give one a row."
            )
        return values

    return represent


def _check_one_of(value, allowed, name):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
