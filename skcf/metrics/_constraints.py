"""Which constraints the counterfactuals break."""

from typing import Any, Literal

import numpy as np

from skcf.metrics._rows import check_average, read_pairs
from skcf.space._constraints import same
from skcf.space._features import FOREIGN
from skcf.space._linked import LinkedFeature

__all__ = ["constraint_violations"]

KINDS = (
    "immutable",
    "direction",
    "range",
    "integer",
    "category",
    "linked",
    "implication",
    "missing",
)


def constraint_violations(
    X: Any,
    X_cf: Any = None,
    *,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> dict[str, Any]:
    """Share of the counterfactuals that break the constraints, by kind of constraint.

    A counterfactual breaks a kind where any of its features does:

    - immutable: a feature changed that may not;
    - direction: it moved the other way, or moved where no direction can be told (a missing
      value, a category without a place in the order);
    - range: its value is not in the permitted range, or not in that of its dtype;
    - integer: a value that changed is no whole number where whole ones are asked for;
    - category: a category, or a pattern of a one-hot group, that the feature space does not know
      and the row itself does not have;
    - linked: the same of the tuples of linked columns;
    - implication: it lacks a rise that another one needs, or moves linked columns whose rise
      is not known;
    - missing: a value is missing that the row itself does not miss.

    Range 0 to 1 each, the less the better. ``"any"`` is the share that breaks any of them. Rows
    without a counterfactual are left out. Cost: linear in the number of values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    feature_space : FeatureSpace, default=None
        Fitted: the constraints. None: read off X, which knows kinds and categories alone.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: 1.0 for each row that breaks the kind, 0.0 for the others.

    Returns
    -------
    dict of {str: float, or ndarray of float64 of shape (n_samples,)}
        One entry for each kind, in the order above, and "any".

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import constraint_violations
    >>> X, X_cf = [[20.0, 1.0], [30.0, 0.0]], [[25.0, 0.0], [28.0, 1.0]]
    >>> space = FeatureSpace(change_direction={0: +1}, immutable_features=[1]).fit(X)
    >>> broken = constraint_violations(X, X_cf, feature_space=space)
    >>> {kind: share for kind, share in broken.items() if share}
    {'immutable': 1.0, 'direction': 0.5, 'any': 1.0}
    """
    check_average(average)
    pairs = read_pairs(X, X_cf, feature_space, status)
    Z, Z_cf = pairs.codes
    broken = _broken(pairs.space.constraints_, Z, Z_cf)
    broken["any"] = np.logical_or.reduce(list(broken.values()))
    return {kind: pairs.averaged(rows.astype(float), average) for kind, rows in broken.items()}


def _broken(constraints, Z, Z_cf):
    """Which rows break each kind of constraint."""
    changed = ~same(Z, Z_cf)
    broken = dict.fromkeys(KINDS, np.zeros(len(Z), dtype=bool))
    broken["immutable"] = (changed & constraints.frozen).any(axis=1)
    gone = np.isnan(Z_cf) & ~np.isnan(Z)
    broken["missing"] = gone.any(axis=1)
    for j in range(Z.shape[1]):
        moved = changed[:, j] & ~gone[:, j]
        rule = _number_rules if j in constraints.numeric else _category_rules
        for kind, rows in rule(constraints, j, Z[:, j], Z_cf[:, j], moved).items():
            broken[kind] = broken[kind] | rows
        backward = _backward(constraints, j, Z[:, j], Z_cf[:, j], moved)
        broken["direction"] = broken["direction"] | backward
    implied = constraints.implications.broken(Z, Z_cf)
    uncertain = (changed & constraints.anchored & (Z < 0)).any(axis=1)
    broken["implication"] = implied | uncertain
    return broken


def _backward(constraints, j, x, y, moved):
    """Where a feature moves against its direction, or from where it has none."""
    direction = constraints.direction[j]
    if not direction:
        return np.zeros(len(x), dtype=bool)
    nowhere = np.isnan(x) | ((x < 0) if j in constraints.permitted else False)
    return moved & (nowhere | ((y - x) * direction < 0))


def _number_rules(constraints, j, x, y, moved):
    """Rules of one numeric feature."""
    outside = (y < constraints.low[j]) | (y > constraints.high[j])
    fraction = moved & (y != np.rint(y)) if constraints.integer[j] else np.zeros_like(moved)
    return {"range": outside, "integer": fraction}


def _category_rules(constraints, j, x, y, moved):
    """Rules of one categorical feature: one column, a one-hot group or linked columns."""
    linked = isinstance(constraints.features[j], LinkedFeature)
    unknown = (y == FOREIGN) | (moved & (y < 0))  # tuples with gaps are never proposed
    outside = ~constraints.may_stay(j, y) & ~unknown & ~np.isnan(y)
    restricted = np.isnan(y) & ~constraints.may_stay(j, y)
    return {"linked" if linked else "category": unknown, "range": outside | restricted}
