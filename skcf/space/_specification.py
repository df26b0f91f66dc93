"""What the user says about the columns, turned into features and constraints.

Every name or position that a parameter gives is looked up here, and every contradiction
is an error that says what was expected and what came.
"""

import numbers

import numpy as np

from skcf.space._constraints import Constraints, representable
from skcf.space._containers import CATEGORY, CONTINUOUS, INTEGER, OBJECT, is_missing_scalar
from skcf.space._features import CategoricalFeature, NumericFeature
from skcf.space._implications import Implication, Implications, check_acyclic
from skcf.space._linked import LinkedFeature

__all__ = ["Columns", "build_constraints", "build_features", "build_scale", "build_weights"]


class Columns:
    """Column labels, and how to find a column by what a parameter calls it.

    Parameters
    ----------
    labels : sequence of hashable, or None
        Column labels; None for arrays.
    n_columns : int
        Number of columns.
    """

    def __init__(self, labels, n_columns):
        self.n_columns = n_columns
        self.labels = list(range(n_columns)) if labels is None else list(labels)
        self.named = all(isinstance(label, str) for label in self.labels)

    def position(self, key, parameter):
        """Position of the column that a parameter calls by name or by position."""
        if isinstance(key, str):
            return self._position_of_name(key, parameter)
        if isinstance(key, numbers.Integral) and not isinstance(key, bool | np.bool_):
            if not -self.n_columns <= key < self.n_columns:
                raise ValueError(
                    f"{parameter} names column {key}, but X has {self.n_columns} columns."
                )
            return int(key) % self.n_columns
        raise TypeError(f"{parameter} takes column names or positions, got {key!r}.")

    def _position_of_name(self, name, parameter):
        if name in self.labels:
            return self.labels.index(name)
        if not self.named:
            raise ValueError(
                f"{parameter} names the column {name!r}, but X has no column names: fit on a "
                f"DataFrame, or give positions (0 to {self.n_columns - 1})."
            )
        raise ValueError(
            f"{parameter} names the column {name!r}, which X does not have. X has {self.labels}."
        )

    def positions(self, spec, parameter):
        """Positions that a mask, a list of names or a list of positions stands for."""
        if spec is None:
            return []
        if isinstance(spec, str):
            raise TypeError(f"{parameter} takes a list of columns, got the text {spec!r}.")
        spec = list(spec)
        if spec and all(isinstance(key, bool | np.bool_) for key in spec):
            if len(spec) != self.n_columns:
                raise ValueError(
                    f"{parameter} is a mask of {len(spec)} columns, but X has {self.n_columns}."
                )
            return np.flatnonzero(spec).tolist()
        return [self.position(key, parameter) for key in spec]

    def by_position(self, mapping, parameter):
        """A dict's entries by position."""
        entries = {self.position(key, parameter): value for key, value in (mapping or {}).items()}
        if len(entries) != len(mapping or {}):
            raise ValueError(f"{parameter} gives the same column twice: {list(mapping)}.")
        return entries


def build_features(space, table, columns, sample_weight=None):
    """Make the features: kinds read off the data, then what the parameters say.

    Parameters
    ----------
    space : FeatureSpace
        The parameters.
    table : Table
        The rows seen in fit.
    columns : Columns
        The columns' labels.
    sample_weight : ndarray of float64, shape (n_rows,), optional
        How often each row counts; above zero.

    Returns
    -------
    list of NumericFeature and CategoricalFeature
        In the order of their first columns.
    """
    groups = _groups(space.onehot_groups, columns, "onehot_groups")
    linked = _linked_groups(space.linked_features, groups, columns)
    ordinal = columns.by_position(space.ordinal_features, "ordinal_features")
    whole = set(columns.positions(space.integer_features, "integer_features"))
    categorical = _categorical_positions(space.categorical_features, columns)
    grouped = {j for group in groups for j in group}
    _refuse_clash("ordinal_features", set(ordinal) & grouped, columns)
    _refuse_clash("integer_features", whole & grouped.union(ordinal, categorical or ()), columns)
    single = {
        j: _single_feature(j, table, columns, ordinal, whole, categorical, sample_weight)
        for j in range(columns.n_columns)
        if j not in grouped
    }
    categories = {j for j, f in single.items() if f.kind not in (INTEGER, CONTINUOUS)}
    _refuse_clash("integer_features", whole & categories, columns)
    features = [_group_feature(group, table, columns, sample_weight) for group in groups]
    for group in linked:
        members = [single.pop(j) for j in group]
        features.append(LinkedFeature(members).fit(table, sample_weight=sample_weight))
    features += single.values()
    _name_apart(features, columns)
    return sorted(features, key=lambda feature: min(feature.positions))


def _refuse_clash(parameter, positions, columns):
    if positions:
        raise ValueError(
            f"{parameter} names {[columns.labels[j] for j in sorted(positions)]}, which are "
            "categorical already."
        )


def _name_apart(features, columns):
    """Call a group by all its columns where its short name is also another feature's."""
    names = [feature.name for feature in features]
    for feature in features:
        if len(feature.positions) > 1 and names.count(feature.name) > 1:
            feature.name = "|".join(str(columns.labels[j]) for j in feature.positions)


def _groups(spec, columns, parameter):
    groups = [columns.positions(group, parameter) for group in spec or ()]
    members = [j for group in groups for j in group]
    if len(members) != len(set(members)):
        raise ValueError(f"{parameter} names a column twice: {spec}.")
    return groups


def _linked_groups(spec, onehot, columns):
    """Groups of at least two columns, of which none is in a one-hot group."""
    groups = _groups(spec, columns, "linked_features")
    for group in groups:
        labels = [columns.labels[j] for j in group]
        if len(group) < 2:
            raise ValueError(
                f"linked_features takes groups of at least two columns, got the group {labels}."
            )
        clash = [columns.labels[j] for j in group if any(j in members for members in onehot)]
        if clash:
            raise ValueError(f"linked_features names {clash}, which are in onehot_groups already.")
    return groups


def _categorical_positions(spec, columns):
    """Positions named as categorical; None where the dtypes decide."""
    if isinstance(spec, str) and spec == "from_dtype":
        return None
    return set(columns.positions(spec, "categorical_features"))


def _group_feature(group, table, columns, sample_weight):
    labels = [columns.labels[j] for j in group]
    feature = CategoricalFeature(group, _group_label(labels))
    feature.fit(table, sample_weight=sample_weight)
    values = np.array(feature.categories).reshape(-1, len(group))
    hot = (values > values.min(axis=0, initial=np.inf)).sum(axis=1)
    if np.any(hot > 1) or any(len(np.unique(column)) > 2 for column in values.T):
        raise ValueError(
            f"onehot_groups names {labels}, but they are not one-hot: {len(values)} different "
            f"rows in {len(group)} columns."
        )
    return feature


def _group_label(labels):
    """The one-hot columns' common beginning, as in 'color' for color_red and color_blue."""
    texts = [str(label) for label in labels]
    alike = [len(set(letters)) == 1 for letters in zip(*texts, strict=False)]
    common = texts[0][: [*alike, False].index(False)].rstrip("_-=: ")
    return common or "|".join(texts)


def _single_feature(j, table, columns, ordinal, whole, categorical, sample_weight):
    column, label, backend = table.columns[j], columns.labels[j], table.backend
    kind = backend.kind(column)
    if j in ordinal:
        order = _listed_categories(ordinal[j], f"ordinal_features[{label!r}]")
        return CategoricalFeature([j], label, ordered=True).fit(table, order, sample_weight)
    if kind == CATEGORY or (categorical is not None and j in categorical):
        ordered = backend.is_ordered(column)
        declared = backend.declared_categories(column) if ordered else None
        return CategoricalFeature([j], label, ordered).fit(table, declared, sample_weight)
    if kind == OBJECT:
        return _object_feature(j, table, label, j in whole, sample_weight)
    if kind not in (INTEGER, CONTINUOUS):
        raise TypeError(
            f"Column {label!r} has dtype {column.dtype}, which is neither a number nor a category: "
            "turn it into a number (days since a date, say), or name it in categorical_features."
        )
    return NumericFeature(j, label, column.dtype, kind == INTEGER or j in whole).fit(table)


def _listed_categories(spec, parameter):
    if isinstance(spec, str) or not np.iterable(spec):
        raise ValueError(f"{parameter} must be a list of categories, got {spec!r}.")
    return list(spec)


def _object_feature(j, table, label, whole, sample_weight):
    """An object column: text in a DataFrame is categories; in an array only numbers will do."""
    backend, column = table.backend, table.columns[j]
    values = [v for v in backend.to_objects(column) if not is_missing_scalar(v)]
    if backend.name != "array" and all(isinstance(value, str | bool) for value in values):
        return CategoricalFeature([j], label).fit(table, sample_weight=sample_weight)
    whole = whole or (
        len(values) > 0 and all(isinstance(value, numbers.Integral) for value in values)
    )
    return NumericFeature(j, label, column.dtype, whole).fit(table)


def build_constraints(space, features, columns):
    """Turn the parameters that constrain changes into `Constraints`.

    Parameters
    ----------
    space : FeatureSpace
        The parameters.
    features : list of NumericFeature and CategoricalFeature
        The features.
    columns : Columns
        The columns' labels.

    Returns
    -------
    Constraints
    """
    owner = {j: i for i, feature in enumerate(features) for j in feature.positions}
    frozen = np.zeros(len(features), dtype=bool)
    for j in columns.positions(space.immutable_features, "immutable_features"):
        frozen[owner[j]] = True
    direction = _directions(space.change_direction, features, owner, columns)
    bounds, gaps = {}, {}
    permitted = {
        i: np.ones(feature.n_categories, dtype=bool)
        for i, feature in enumerate(features)
        if feature.kind not in (INTEGER, CONTINUOUS)
    }
    ranges = columns.by_position(space.permitted_range, "permitted_range")
    restricted = {owner[j] for j in ranges} & set(permitted)
    for j, spec in ranges.items():
        feature = features[owner[j]]
        if owner[j] not in permitted:
            bounds[owner[j]] = _numeric_bounds(spec, feature)
        elif isinstance(feature, LinkedFeature):
            inside = _permitted_tuples(spec, feature, j)
            permitted[owner[j]] &= inside[: feature.n_categories]
            kept = feature.gap_codes[inside[feature.n_categories :]]
            gaps[owner[j]] = np.intersect1d(gaps.get(owner[j], kept), kept)
        elif len(feature.positions) > 1:
            low, high = _checked_bounds(spec, feature)
            members = np.array(feature.categories).reshape(-1, len(feature.positions))
            member = members[:, feature.positions.index(j)]
            permitted[owner[j]] &= (low <= member) & (member <= high)
        else:
            permitted[owner[j]] = _permitted_categories(spec, feature)
    for i, mask in permitted.items():
        if len(mask) and not mask.any():
            raise ValueError(f"permitted_range leaves no category of {features[i].name!r}.")
    implications = _implications(space.implications, features, owner, columns)
    return Constraints(
        features, frozen, direction, bounds, permitted, restricted, implications, gaps
    )


def _implications(spec, features, owner, columns):
    """The implications, and the heights of the categories that they speak of."""
    rules, by_column = [], {}
    for j, needs in columns.by_position(spec, "implications").items():
        for key, amount in _needs(needs, columns.labels[j]):
            k = columns.position(key, "implications")
            for position in (j, k):
                _check_rises(position, by_column, features[owner[position]], owner, columns)
            if owner[j] == owner[k]:
                raise ValueError(
                    f"implications names {columns.labels[j]!r} and {columns.labels[k]!r}, which "
                    "are one feature."
                )
            rules.append(Implication(owner[j], owner[k], amount))
    check_acyclic(rules, [feature.name for feature in features])
    heights = {i: _heights(features[i], j) for i, j in by_column.items()}
    linked = {i for i in by_column if isinstance(features[i], LinkedFeature)}
    return Implications(rules, {i: h for i, h in heights.items() if h is not None}, linked)


def _needs(spec, label):
    """What a rise of one column needs: columns, and how much of each."""
    needs = []
    for entry in spec if isinstance(spec, list) else [spec]:
        key, amount = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, 1)
        is_number = isinstance(amount, numbers.Real) and not isinstance(amount, bool | np.bool_)
        if isinstance(key, tuple) or not is_number or not 0 < amount < np.inf:
            raise ValueError(
                f"implications[{label!r}] must be a column, a pair (column, amount) with an amount "
                f"above 0, or a list of these, got {entry!r}."
            )
        needs.append((key, float(amount)))
    return needs


def _check_rises(position, by_column, feature, owner, columns):
    """Refuse columns that cannot rise; a linked feature rises by one of its columns."""
    label = columns.labels[position]
    if isinstance(feature, LinkedFeature):
        _followed(feature, position, "implications")
    elif feature.kind == CATEGORY:
        raise ValueError(
            f"implications names {label!r}, whose categories have no order: declare it in "
            "ordinal_features."
        )
    other = by_column.setdefault(owner[position], position)
    if other != position:
        raise ValueError(
            f"implications names both {columns.labels[other]!r} and {label!r}, which are linked: "
            "name one of them."
        )


def _heights(feature, position):
    """Where the categories stand: their steps, or what a linked column says; None for numbers."""
    if feature.kind in (INTEGER, CONTINUOUS):
        return None
    if isinstance(feature, LinkedFeature) and feature.member(position).kind != CATEGORY:
        return feature.places(position)[: feature.n_categories]
    return np.arange(feature.n_categories, dtype=np.float64)


def _directions(change_direction, features, owner, columns):
    """Direction of each feature; that of a linked one by any of its columns."""
    direction = np.zeros(len(features), dtype=int)
    for j, sign in columns.by_position(change_direction, "change_direction").items():
        feature, i = features[owner[j]], owner[j]
        way = _checked_sign(sign, columns.labels[j])
        if isinstance(feature, LinkedFeature):
            way *= _followed(feature, j, "change_direction")
        elif feature.kind == CATEGORY:
            raise ValueError(
                f"change_direction names {feature.name!r}, whose categories have no order: declare "
                "it in ordinal_features."
            )
        if direction[i] == -way:
            raise ValueError(
                f"change_direction gives the linked columns of {feature.name!r} directions that "
                "contradict each other: in the pairs seen in fit, one cannot go with the other."
            )
        direction[i] = way
    return direction


def _followed(feature, position, parameter):
    """+1 or -1: which way the order of a linked feature goes by one of its columns."""
    sign = feature.sign(position)
    if not sign:
        raise ValueError(
            f"{parameter} names {feature.member(position).name!r}, linked as {feature.name!r}, "
            f"{feature.why_unordered(position)}."
        )
    return sign


def _checked_sign(sign, label):
    if isinstance(sign, bool | np.bool_) or sign not in (-1, 1):
        raise ValueError(
            f"change_direction[{label!r}] must be +1 (may only rise) or -1 (may only fall), got "
            f"{sign!r}."
        )
    return sign


def _checked_bounds(spec, feature):
    parameter = f"permitted_range[{feature.name!r}]"
    try:
        low, high = (float(bound) for bound in spec)
    except (TypeError, ValueError):
        raise ValueError(
            f"{parameter} must be (low, high), got {spec!r}; a side without a bound is -inf or inf."
        ) from None
    if not low <= high:
        raise ValueError(f"{parameter} must have low <= high, got low={low:g} and high={high:g}.")
    return low, high


def _numeric_bounds(spec, feature):
    low, high = _checked_bounds(spec, feature)
    lowest, highest = representable(feature, low, high)
    if feature.integer:
        lowest, highest = np.ceil(lowest), np.floor(highest)
    if lowest > highest:
        number = "whole number" if feature.integer else "number"
        raise ValueError(
            f"permitted_range[{feature.name!r}] = {spec!r} holds no {number} of the column's "
            f"dtype, {feature.dtype}."
        )
    return low, high


def _permitted_tuples(spec, feature, position):
    """The tuples of a linked feature that a range of one of its columns permits, as a mask.

    A missing value is in every range.
    """
    member, places = feature.member(position), feature.places(position)
    if member.kind in (INTEGER, CONTINUOUS):
        low, high = _checked_bounds(spec, member)
        return ~((places < low) | (places > high))
    listed = np.append(_permitted_categories(spec, member), True)
    return listed[np.where(np.isnan(places), -1, places).astype(np.intp)]


def _permitted_categories(spec, feature):
    """A list of categories, or a (low, high) tuple of an ordinal feature, as a mask."""
    parameter = f"permitted_range[{feature.name!r}]"
    listed = _listed_categories(spec, parameter)
    unknown = [value for value in listed if value not in feature.categories]
    if unknown:
        raise ValueError(
            f"{parameter} names {unknown}, which fit did not see. Its categories are "
            f"{feature.categories}."
        )
    codes = [feature.categories.index(value) for value in listed]
    if feature.ordered and isinstance(spec, tuple) and len(spec) == 2:
        if codes[0] > codes[1]:
            raise ValueError(f"{parameter} must have low <= high in the order, got {spec!r}.")
        codes = list(range(codes[0], codes[1] + 1))
    return np.isin(np.arange(feature.n_categories), codes)


def build_weights(feature_weights, features, columns):
    """Weight of each feature, from a dict by column or an array in column order."""
    weight = np.ones(len(features))
    if feature_weights is None:
        return weight
    given = _weights_by_position(feature_weights, columns)
    for i, feature in enumerate(features):
        values = {given[j] for j in feature.positions if j in given}
        if len(values) > 1:
            group = "linked columns" if isinstance(feature, LinkedFeature) else "one-hot group"
            raise ValueError(
                f"feature_weights gives the {group} {feature.name!r} different weights: "
                f"{sorted(values)}."
            )
        if values:
            weight[i] = values.pop()
        if not (np.isfinite(weight[i]) and weight[i] >= 0):
            raise ValueError(
                f"feature_weights[{feature.name!r}] must be finite and at least 0, got {weight[i]}."
            )
    return weight


def _weights_by_position(feature_weights, columns):
    if isinstance(feature_weights, dict):
        given = columns.by_position(feature_weights, "feature_weights")
    else:
        given = dict(enumerate(feature_weights))
        if len(given) != columns.n_columns:
            raise ValueError(
                f"feature_weights has {len(given)} weights, but X has {columns.n_columns} columns."
            )
    try:
        return {j: float(weight) for j, weight in given.items()}
    except (TypeError, ValueError):
        raise ValueError(
            f"feature_weights must be numbers, one a column, got {feature_weights!r}."
        ) from None


def build_scale(scale, features, Z, sample_weight=None):
    """The difference of each feature that counts as 1.

    Categories count 0 or 1, ordinal ones by the share of the order that they cross.
    A statistic that is zero (the MAD of a column that is mostly one value) gives way to
    the standard deviation, and that of a constant column to 1. A row counts as often as its
    weight says, which is above zero.
    """
    scales = np.ones(Z.shape[1])
    for j, feature in enumerate(features):
        if feature.kind not in (INTEGER, CONTINUOUS):
            scales[j] = max(feature.n_categories - 1, 1) if feature.ordered else 1.0
            continue
        placed = ~np.isnan(Z[:, j])
        values = Z[placed, j]
        weights = None if sample_weight is None else sample_weight[placed]
        if len(values):
            scales[j] = _spread(values, weights, scale)
    return scales


def _spread(values, weights, scale):
    if np.ptp(values) == 0:  # the standard deviation of a constant is a rounding error, not 0
        return 1.0
    spread = _SPREADS[scale](values, weights)
    return spread if spread > 0 else _std(values, weights)


def _range(values, weights):
    """The same however often a row counts."""
    return np.ptp(values)


def _std(values, weights):
    if weights is None:
        return values.std()
    values, weights = _in_order(values, weights)
    shares = weights / weights.sum()
    return np.sqrt(np.sum(shares * (values - np.sum(shares * values)) ** 2))


def _mad(values, weights):
    return _median(np.abs(values - _median(values, weights)), weights)


def _median(values, weights):
    """The median, each value counted as often as its weight says.

    Up to it, and from it on, stands half the weight; where half ends between two values, it
    is their mean.
    """
    if weights is None:
        return np.median(values)
    values, weights = _in_order(values, weights)
    cumulated = np.cumsum(weights)
    half = cumulated[-1] / 2
    rounding = len(weights) * np.finfo(np.float64).eps * half  # what a sum of fractions is off by
    first = np.searchsorted(cumulated, half - rounding, side="left")
    last = np.searchsorted(cumulated, half + rounding, side="right")
    return values[first : last + 1].mean()


def _in_order(values, weights):
    """By value, then by weight: sums round, and the order of the rows has no say in it."""
    order = np.lexsort((weights, values))
    return values[order], weights[order]


_SPREADS = {"range": _range, "std": _std, "mad": _mad}
