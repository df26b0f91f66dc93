"""What counterfactuals change, feature by feature: how often, by how much, from what to what."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcf._values import differing, text_of
from skcf.inspection._values import numbers_of

__all__ = ["FeatureChanges", "changes_by_feature"]

NONE = "none of them"
"""What a one-hot group without a one stands for."""

UNSEEN = "unseen"
"""A category that the feature space does not know."""


@dataclass(frozen=True)
class FeatureChanges:
    """The changes of one feature.

    Parameters
    ----------
    name : str
        What the feature is called.
    share : float
        Share of the counterfactuals that change it.
    sizes : ndarray of float64, or None
        By how much it changes where it does, in the units of its column; those with a missing
        value left out. None for categories.
    scale : float
        The difference that counts as 1; NaN for categories.
    switches : list of (str, str, float)
        For categories: what becomes of what, and the share that this has of the feature's
        changes; the commonest first.
    """

    name: str
    share: float
    sizes: np.ndarray | None = None
    scale: float = np.nan
    switches: list = field(default_factory=list)


def changes_by_feature(before, after, space=None):
    """Sum the changes up for each feature.

    Parameters
    ----------
    before, after : Table
        Rows, and the counterfactuals found for them; at least one.
    space : FeatureSpace, default=None
        Fitted; knows the scales, which columns hold categories, and which are one feature. None:
        each column is a feature, on the scale of its range in `before` and `after`.

    Returns
    -------
    list of FeatureChanges
        In the order of the columns.

    Raises
    ------
    ValueError
        If the space has other columns.
    """
    differ = differing(before, after)
    if space is None:
        return [_of_column(before, after, differ, j) for j in range(len(before.columns))]
    check_is_fitted(space)
    if space.n_features_in_ != len(before.columns):
        raise ValueError(
            f"feature_space was fitted on {space.n_features_in_} columns, but the result has "
            f"{len(before.columns)}."
        )
    return [
        _of_group(before, after, differ, feature)
        if len(feature.positions) > 1
        else _of_column(before, after, differ, feature.positions[0], feature, scale)
        for feature, scale in zip(space.encoding_.features, space.scale_, strict=True)
    ]


def _of_column(before, after, differ, j, feature=None, scale=None):
    """The changes of a feature that is one column."""
    rows = np.flatnonzero(differ[:, j])
    share, name = len(rows) / before.n_rows, _column_name(before, j)
    is_category = feature is not None and feature.n_categories
    numbers = [None if is_category else numbers_of(table, j) for table in (before, after)]
    if any(column is None for column in numbers):
        texts = [_texts(table, j, rows) for table in (before, after)]
        return FeatureChanges(name, share, switches=_commonest(*texts))
    sizes = (numbers[1] - numbers[0])[rows]
    scale = _extent(np.concatenate(numbers)) if scale is None else float(scale)
    return FeatureChanges(name, share, sizes[np.isfinite(sizes)], scale)


def _of_group(before, after, differ, feature):
    """The changes of a feature that is a group of one-hot columns."""
    rows = np.flatnonzero(differ[:, feature.positions].any(axis=1))
    labels = _group_labels(before, feature)
    texts = []
    for table in (before, after):
        codes = feature.encode(table)[rows]
        texts.append(["missing" if c != c else labels.get(c, UNSEEN) for c in codes.tolist()])
    name = "|".join(_column_name(before, j) for j in feature.positions)
    name = name if before.names is None else str(feature.name)
    return FeatureChanges(name, len(rows) / before.n_rows, switches=_commonest(*texts))


def _group_labels(table, feature):
    """What the codes of a one-hot group stand for: the name of the column that has the one."""
    names = [_column_name(table, j) for j in feature.positions]
    shorter = [name.removeprefix(str(feature.name)).lstrip("_-=: ") or name for name in names]
    members = np.array(feature.categories).reshape(-1, len(names))
    hot = members > members.min(axis=0, initial=np.inf)
    return {
        float(code): shorter[row.argmax()] if row.any() else NONE for code, row in enumerate(hot)
    }


def _commonest(old, new):
    """Pairs of texts and their shares, the commonest first."""
    counts = Counter(zip(old, new, strict=True))
    return [(*pair, count / len(old)) for pair, count in counts.most_common()]


def _texts(table, j, rows):
    values = table.backend.to_objects(table.columns[j])
    return [text_of(values[i]) for i in rows]


def _extent(numbers):
    """Range of the finite numbers; 1 where they are all the same."""
    finite = numbers[np.isfinite(numbers)]
    return float(np.ptp(finite)) or 1.0 if len(finite) else 1.0


def _column_name(table, j):
    return f"x{j}" if table.names is None else str(table.names[j])
