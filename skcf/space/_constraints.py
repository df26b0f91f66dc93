"""What may change: immutable features, directions, ranges, whole numbers, categories.

The rule of one feature, given the value of the reference row, is a set of allowed
values: an interval (of whole numbers) for numeric features, a list for categories.
`Constraints.project` finds the nearest allowed value, and everything else follows from
it: a move is feasible exactly where projecting it changes nothing. Implications are the only
rules that bind several features; they are looked at after the features by themselves.
"""

import numpy as np

from skcf.space._features import FOREIGN, UNSEEN
from skcf.space._implications import Implications, Leeway

__all__ = ["Constraints", "representable", "same"]


class Constraints:
    """Constraints of all features on encoded rows.

    Parameters
    ----------
    features : list of NumericFeature and CategoricalFeature
        One for each encoded column.
    frozen : ndarray of bool, shape (n_features,)
        Which may not change.
    direction : ndarray of int, shape (n_features,)
        +1: may only rise, -1: may only fall, 0: both.
    bounds : dict of int -> (float, float)
        Permitted range of numeric features, where one is given.
    permitted : dict of int -> ndarray of bool, shape (n_categories,)
        Permitted categories of every categorical feature.
    restricted : set of int
        Categorical features with a permitted range; an unseen category is not in it.
    implications : Implications, optional
        Rises that need others; by default, there are none.
    permitted_gaps : dict of int -> ndarray of float64, optional
        Codes of the tuples with gaps that restricted linked features may keep.

    Attributes
    ----------
    anchored : ndarray of bool, shape (n_features,)
        Linked features whose rise needs another one: if known in part, or not seen, they stay.
    """

    def __init__(
        self,
        features,
        frozen,
        direction,
        bounds,
        permitted,
        restricted,
        implications=None,
        permitted_gaps=None,
    ):
        self.permitted_gaps = permitted_gaps or {}
        self.implications = Implications() if implications is None else implications
        self.features = features
        self.frozen = frozen
        self.direction = direction
        self.permitted = permitted
        self.restricted = restricted
        self.integer = np.array([feature.integer for feature in features])
        self.nominal = np.array([feature.kind == "category" for feature in features])
        self.categorical = sorted(permitted)
        self.numeric = np.array([j for j in range(len(features)) if j not in permitted], dtype=int)
        self._is_number = np.isin(np.arange(len(features)), self.numeric)
        self._last = np.array([getattr(f, "n_categories", 0) - 1 for f in features])
        self._is_plain = np.array([self._may_have_any(j) for j in range(len(features))])
        self.anchored = np.zeros(len(features), dtype=bool)
        for rule in self.implications.rules:
            self.anchored[rule.first] = rule.first in self.implications.linked
        self._narrow = [j for j in self.numeric if features[j].float_type is not np.float64]
        self._is_free = self._is_number.all() and not (
            self.integer.any()
            or frozen.any()
            or np.any(direction)
            or self._narrow
            or bounds
            or self.implications
        )
        self.low, self.high = np.full((2, len(features)), np.nan)
        for j in self.numeric:
            self.low[j], self.high[j] = representable(
                features[j], *bounds.get(j, (-np.inf, np.inf))
            )

    def _may_have_any(self, j):
        """Whether nothing binds a nominal feature, nor has it tuples with gaps."""
        is_bound = j in self.restricted or j in self.permitted_gaps
        if not self.nominal[j] or is_bound or len(self.features[j].gap_codes):
            return False
        return self._last[j] >= 0 and bool(np.all(self.permitted[j]))

    def project(self, Z, reference):
        """Find the nearest rows that are allowed for the reference rows.

        Parameters
        ----------
        Z, reference : ndarray of float64, shape (n_rows, n_features)
            Encoded rows, and the encoded rows that they are to replace.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            A new array. A feature without any allowed value keeps the reference's. Where an
            implication lacks a rise of its second feature, that rises as much as is needed, or
            else the first one rises less.
        """
        if self._is_free:  # searches project at every step
            return np.clip(np.where(np.isnan(Z), reference, Z), self.low, self.high)
        projected = self.project_values(np.arange(len(self.frozen)), Z, reference)
        return self._with_implied(projected, reference) if self.implications else projected

    def project_values(self, feature, values, reference):
        """Find the nearest allowed values of single features, implications aside.

        Parameters
        ----------
        feature : ndarray of int, shape (n,)
            Which feature each value is of, in any order and number.
        values, reference : ndarray of float64, shape (n,) or (n_rows, n)
            Values, and those that the reference rows have there.

        Returns
        -------
        ndarray of float64, of the shape of `values`
        """
        projected = np.array(values, dtype=np.float64)
        numbers = self._is_number[feature]
        projected[..., numbers] = self._project_numeric(
            projected[..., numbers], reference[..., numbers], feature[numbers]
        )
        plain = self._is_plain[feature]
        projected[..., plain] = self._project_plain(
            projected[..., plain], reference[..., plain], feature[plain]
        )
        rest = ~(numbers | plain)
        for j in np.unique(feature[rest]) if rest.any() else ():
            project = self._project_nominal if self.nominal[j] else self._project_ordinal
            at = feature == j
            codes = projected[..., at]
            nearest = project(j, codes.ravel(), reference[..., at].ravel())
            projected[..., at] = nearest.reshape(codes.shape)
        return np.where(self.frozen[feature], reference, projected)

    def with_values(self, Z, reference, feature, values):
        """Give each row another value of one feature, or the nearest one that is allowed.

        Parameters
        ----------
        Z, reference : ndarray of float64, shape (n_rows, n_features)
            Encoded rows that are allowed, and those that they are to replace.
        feature : ndarray of int, shape (n_rows,)
            Which feature of each.
        values : ndarray of float64, shape (n_rows,)
            The values.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            As `project` gives them.
        """
        rows, changed = np.arange(len(Z)), np.array(Z, dtype=np.float64)
        changed[rows, feature] = values
        if self.implications:
            return self.project(changed, reference)
        changed[rows, feature] = self.project_values(feature, values, reference[rows, feature])
        return changed

    def _with_implied(self, projected, reference):
        """Repair the rows that lack a rise that another one needs."""
        broken = np.flatnonzero(self.implications.broken(reference, projected))
        if len(broken):
            projected[broken] = Leeway(self, reference[broken]).repair(projected[broken])
        return projected

    def _project_numeric(self, Z, reference, columns):
        """Clip to the interval, then to whole numbers; a value kept is kept as it is."""
        low, high = self._intervals(reference, columns)
        Z = np.where(np.isnan(Z), reference, Z)  # a missing value is never proposed
        nearest = np.clip(Z, low, high)
        whole = self.integer[columns]
        nearest[..., whole] = np.clip(
            np.rint(nearest[..., whole]), np.ceil(low[..., whole]), np.floor(high[..., whole])
        )
        for j in self._narrow:
            at = columns == j
            nearest[..., at] = self.features[j].snap(nearest[..., at])
        inside = (reference >= low) & (reference <= high)
        # strictly: far outside, where both differences round to the same, the bound is nearer
        keep = inside & (np.abs(Z - reference) < np.abs(Z - nearest))
        keep |= self._stuck(reference, low, high, columns)
        return np.where(keep, reference, nearest)

    def _intervals(self, reference, columns):
        """Bounds of some numeric features, given what the reference rows have there."""
        direction = self.direction[columns]
        # fmax and fmin pass over a missing reference
        low = np.where(direction > 0, np.fmax(self.low[columns], reference), self.low[columns])
        high = np.where(direction < 0, np.fmin(self.high[columns], reference), self.high[columns])
        return low, high

    def _stuck(self, reference, low, high, columns):
        """Where a numeric feature has no value to move to, or none to compare with."""
        whole = self.integer[columns]
        empty = np.where(whole, np.ceil(low) > np.floor(high), low > high)
        return empty | (np.isnan(reference) & (self.direction[columns] != 0))

    def _project_plain(self, codes, reference, columns):
        """As `_project_nominal`, of all the features at once that may have any category."""
        kept = np.isnan(codes) | (codes == UNSEEN) | (codes == FOREIGN)
        return np.where(kept, reference, np.clip(np.rint(codes), 0, self._last[columns]))

    def _project_nominal(self, j, codes, reference):
        """Take the proposed category, else keep the reference's, else the commonest permitted."""
        proposed = self._proposed(j, codes, reference)
        fallback = np.where(self._is_permitted(j, reference), reference, self._commonest(j))
        return np.where(self._is_permitted(j, proposed), proposed, fallback)

    def _commonest(self, j):
        """The permitted category that most rows of fit have."""
        counts = np.where(self.permitted[j], self.features[j].counts, -1)
        return float(np.argmax(counts)) if len(counts) else np.nan

    def _project_ordinal(self, j, codes, reference):
        """Take the allowed category that is nearest in the order; the lower one in a tie."""
        proposed = self._proposed(j, codes, reference)
        allowed = self._reachable(j, reference)
        steps = np.abs(proposed[:, None] - np.arange(allowed.shape[1]))
        nearest = np.where(allowed, steps, np.inf).argmin(axis=1).astype(np.float64)
        # a value without a place in the order has no neighbour to move to
        nearest = np.where(proposed >= 0, nearest, self._commonest(j))
        keep = ~allowed.any(axis=1) | (~(proposed >= 0) & self._is_permitted(j, reference))
        return np.where(keep, reference, nearest)

    def _proposed(self, j, codes, reference):
        """Whole codes; missing and unseen ones are never proposed but kept from the reference."""
        last = self.features[j].n_categories - 1
        if last < 0:  # a column that was missing throughout
            return reference
        kept = np.isnan(codes) | np.isin(codes, [UNSEEN, FOREIGN, *self.features[j].gap_codes])
        return np.where(kept, reference, np.clip(np.rint(codes), 0, last))

    def _reachable(self, j, reference):
        """Categories of an ordinal feature that a row may have, shape (n_rows, n_categories)."""
        codes = np.arange(self.features[j].n_categories)
        if self.direction[j] == 0:
            free = np.broadcast_to(self.permitted[j], (len(reference), len(codes)))
            return free & ~(reference < 0)[:, None] if self.anchored[j] else free
        ahead = (codes - reference[:, None]) * self.direction[j] >= 0  # False where missing
        return ahead & (reference >= 0)[:, None] & self.permitted[j]

    def interval(self, j, reference):
        """Bounds of one numeric feature for each reference row.

        Parameters
        ----------
        j : int
            The feature.
        reference : ndarray of float64, shape (n_rows,)
            Its values.

        Returns
        -------
        low, high : ndarray of float64, shape (n_rows,)
        """
        if self.frozen[j]:
            return reference, reference
        low, high = self._intervals(reference[:, None], [j])
        return low[:, 0], high[:, 0]

    def levels(self, j, reference):
        """Tell which categories of an ordinal feature each row may have.

        Parameters
        ----------
        j : int
            The feature.
        reference : ndarray of float64, shape (n_rows,)
            Its codes.

        Returns
        -------
        ndarray of bool, shape (n_rows, n_categories)
        """
        if self.frozen[j]:
            return reference[:, None] == np.arange(self.features[j].n_categories)
        return self._reachable(j, reference)

    def _is_permitted(self, j, codes):
        """Missing values may stay; unseen ones may where the categories are not restricted.

        Tuples with gaps may where their values are in range.
        """
        seen = codes >= 0
        permitted = self.permitted[j]
        listed = permitted[np.where(seen, codes, 0).astype(np.intp)] if len(permitted) else seen
        kept = np.isnan(codes) | (j not in self.restricted)
        return np.where(seen, listed, kept | np.isin(codes, self.permitted_gaps.get(j, ())))

    def intervals(self, reference):
        """Find the numbers that the features of some rows may have, implications aside.

        Parameters
        ----------
        reference : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.

        Returns
        -------
        low, high : ndarray of float64, shape (n_rows, n_features)
            NaN for categorical features.
        """
        low, high = np.full((2, *reference.shape), np.nan)
        bounds = self._intervals(reference[:, self.numeric], self.numeric)
        low[:, self.numeric], high[:, self.numeric] = bounds
        return low, high

    def reachable(self, j, reference):
        """Tell which categories one feature may have, its own included, implications aside.

        Parameters
        ----------
        j : int
            A categorical feature.
        reference : ndarray of float64, shape (n_rows,)
            Its values.

        Returns
        -------
        ndarray of bool, shape (n_rows, n_categories)
        """
        codes = np.arange(self.features[j].n_categories)
        if self.frozen[j]:
            return codes == reference[:, None]
        return self._reachable(j, reference)

    def may_stay(self, j, reference):
        """Tell which values of a categorical feature are permitted, missing and unseen included."""
        return self._is_permitted(j, reference)

    def blocked(self, reference):
        """Tell which values of the reference rows are not allowed and cannot be left.

        Parameters
        ----------
        reference : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.

        Returns
        -------
        ndarray of bool, shape (n_rows, n_features)
        """
        outside = self._outside(reference)
        columns = self.numeric
        stuck = np.zeros(reference.shape, dtype=bool)
        numbers = reference[:, columns]
        stuck[:, columns] = self._stuck(numbers, *self._intervals(numbers, columns), columns)
        for j in self.categorical:
            if not self.nominal[j]:
                stuck[:, j] = ~self._reachable(j, reference[:, j]).any(axis=1)
        blocked_alone = outside & (self.frozen | stuck)
        if not self.implications:
            return blocked_alone
        return blocked_alone | self._unaffordable(reference, outside)

    def _unaffordable(self, reference, outside):
        """Tell which values have to rise into their range while what that needs cannot."""
        unaffordable = np.zeros(reference.shape, dtype=bool)
        rows = np.flatnonzero(outside[:, self.implications.order].any(axis=1))
        if len(rows):
            unaffordable[rows] = Leeway(self, reference[rows]).unaffordable()
        return unaffordable

    def _outside(self, Z):
        """Tell which values are out of bounds whatever row they replace, shape of Z."""
        outside = (self.low > Z) | (self.high < Z)
        for j in self.categorical:
            outside[:, j] = ~self._is_permitted(j, Z[:, j])
        return outside

    def admissible(self, Z):
        """Tell which rows hold no value that is out of bounds whatever row they replace.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.

        Returns
        -------
        ndarray of bool, shape (n_rows,)
        """
        return ~self._outside(Z).any(axis=1)

    def forbids(self, j, x, y):
        """Tell which moves of one feature are forbidden, both values being in bounds.

        The rule of `feasible` for all pairs at once: together with `blocked`,
        `admissible` and the implications it says the same.

        Parameters
        ----------
        j : int
            The feature.
        x, y : ndarray of float64
            Values to move from and to; they broadcast against each other.

        Returns
        -------
        ndarray of bool, or None
            None where no move is forbidden.
        """
        if self.frozen[j]:
            return ~same(x, y)
        direction = self.direction[j]
        placed_x, placed_y = ~np.isnan(x), ~np.isnan(y)
        if j in self.permitted:
            placed_x, placed_y = placed_x & (x >= 0), placed_y & (y >= 0)
        rules = [(y - x) * direction < 0] if direction else []
        stays = ~placed_x if direction else x < 0 if self.anchored[j] else np.False_
        if not placed_y.all() or stays.any():
            rules.append((~placed_y | stays) & ~same(x, y))
        if self.integer[j] and np.any(y != np.rint(y)):
            rules.append(placed_y & (y != np.rint(y)) & ~same(x, y))
        return np.logical_or.reduce(np.broadcast_arrays(*rules)) if rules else None

    def feasible(self, Z, reference):
        """Tell which rows are allowed for their reference rows: those that `project` keeps.

        Parameters
        ----------
        Z, reference : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.

        Returns
        -------
        ndarray of bool, shape (n_rows,)
        """
        unmoved = same(self.project(Z, reference), Z)
        return unmoved.all(axis=1) & ~self.blocked(reference).any(axis=1)


def same(Z, other):
    """Elementwise equality of encoded rows, where two missing values are equal."""
    return (other == Z) | (np.isnan(Z) & np.isnan(other))


def representable(feature, low, high):
    """Move the bounds of a numeric feature inwards to numbers that its column can hold."""
    smallest, largest = feature.dtype_limits()
    low, high = max(low, smallest), min(high, largest)
    number = feature.float_type
    inner_low, inner_high = number(low), number(high)
    if float(inner_low) < low:  # as floats: numpy would compare in the narrow type
        inner_low = np.nextafter(inner_low, number(np.inf))
    if float(inner_high) > high:
        inner_high = np.nextafter(inner_high, number(-np.inf))
    return float(inner_low), float(inner_high)
