"""Whether translations between groups agree with each other, and use the same features."""

from typing import Any, Literal

import numpy as np
from sklearn.utils import check_array

from skcf.metrics._rows import average_of, check_average

__all__ = [
    "checked_translations",
    "group_similarity",
    "pairwise_translations",
    "symmetry_violation",
    "transitivity_violation",
]

ORDERS = {"l1": 1, "l2": 2, "linf": np.inf}


def group_similarity(
    translations: Any,
    others: Any,
    *,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """How much of an explanation uses features that another one uses too ([1]_, Eq. 10).

    ``sum_f |e1_f| 1[e2_f != 0] / ||e1||_1``. It asks whether the sparser one, e1, picks from the
    features of the other, e2: it is not symmetric in the two.

    Range 0 (no feature in common) to 1 (no feature beyond those of e2); the more, the steadier is
    the choice of features. NaN where e1 moves nothing. Of several groups, the average over all
    ordered pairs of different groups, those without a value left out. Cost: linear in the number
    of values, quadratic in the number of groups.

    Parameters
    ----------
    translations : array-like of shape (n_features,), (n_groups, n_features) or \
(n_groups, n_groups, n_features)
        The sparser explanation, e1: one translation, or those of all groups, as
        `group_correctness` takes them.
    others : array-like of the shape of translations
        The explanation that it is compared with, e2.
    average : {"mean", "median"} or None, default="mean"
        None: a matrix, NaN on its diagonal. Without effect on one translation.

    Returns
    -------
    float, or ndarray of float64 of shape (n_groups, n_groups)

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.metrics import group_similarity
    >>> group_similarity([3.0, 0.0, -1.0], [2.0, 5.0, 0.0])
    0.75
    >>> group_similarity([2.0, 5.0, 0.0], [3.0, 0.0, -1.0])
    0.2857142857142857
    """
    check_average(average)
    first, second = checked_translations(translations), checked_translations(others)
    if first.shape != second.shape:
        raise ValueError(
            f"translations and others must have one shape, got {first.shape} and {second.shape}."
        )
    if first.ndim == 1:
        return float(_shared(first, second))
    values = _shared(pairwise_translations(first), pairwise_translations(second))
    np.fill_diagonal(values, np.nan)
    return values if average is None else average_of(values[~np.isnan(values)], average)


def symmetry_violation(
    translations: Any,
    *,
    norm: Literal["l1", "l2", "linf"] = "l1",
    relative: bool = True,
) -> float:
    """How far going to another group and back leads away ([1]_, section 3.2: symmetry).

    ``sum_{i < j} ||d_ij + d_ji|| / sum_{i < j} (||d_ij|| + ||d_ji||)`` over all pairs of different
    groups, with d_ij the translation from group i to group j.

    Range 0 (there and back is no move) to 1 (back is on in the same direction), the less the
    better; 0 where nothing moves, and for translations that are made of one for each group.
    Cost: linear in the number of values.

    Parameters
    ----------
    translations : array-like of shape (n_groups, n_groups, n_features) or (n_groups, n_features)
        Translations of all pairs, or one for each group, as `group_correctness` takes them.
    norm : {"l1", "l2", "linf"}, default="l1"
        Norm of a translation, in the units of its features as they come.
    relative : bool, default=True
        Whether to divide by the lengths of the translations. False: the mean of
        ``||d_ij + d_ji||`` over the pairs, from 0 to infinity.

    Returns
    -------
    float

    See Also
    --------
    transitivity_violation : The same for ways over a third group.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> from skcf.metrics import symmetry_violation
    >>> symmetry_violation([[[0.0], [3.0]], [[-1.0], [0.0]]])  # 3 there, 1 back
    0.5
    """
    deltas, length = _measured(translations, norm)
    i, j = np.triu_indices(len(deltas), 1)
    there, back = deltas[i, j], deltas[j, i]
    excess = length(there + back)
    if relative:
        return _ratio(excess.sum(), (length(there) + length(back)).sum())
    return _ratio(excess.sum(), len(i))


def transitivity_violation(
    translations: Any,
    *,
    norm: Literal["l1", "l2", "linf"] = "l1",
    relative: bool = True,
) -> float:
    """How far going over a third group leads away from going straight ([1]_, section 3.2).

    ``sum ||d_ij + d_jk - d_ik|| / sum (||d_ij|| + ||d_jk|| + ||d_ik||)`` over all ordered triples
    of different groups, with d_ij the translation from group i to group j.

    Range 0 (all ways lead to the same place) to 1, the less the better; 0 where nothing moves or
    there are fewer than three groups, and, but for rounding, for translations that are made of
    one for each group. Cost: cubic in the number of groups; memory quadratic.

    Parameters
    ----------
    translations : array-like of shape (n_groups, n_groups, n_features) or (n_groups, n_features)
        Translations of all pairs, or one for each group, as `group_correctness` takes them.
    norm : {"l1", "l2", "linf"}, default="l1"
        Norm of a translation, in the units of its features as they come.
    relative : bool, default=True
        Whether to divide by the lengths of the translations. False: the mean of
        ``||d_ij + d_jk - d_ik||`` over the triples, from 0 to infinity.

    Returns
    -------
    float

    See Also
    --------
    symmetry_violation : The same for ways there and back.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.metrics import transitivity_violation
    >>> means = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 3.0]])
    >>> transitivity_violation(means)
    0.0
    >>> pairs = means - means[:, np.newaxis]
    >>> largest = abs(pairs) == abs(pairs).max(axis=2, keepdims=True)
    >>> round(transitivity_violation(pairs * largest), 3)  # largest changes alone: 3 of 2 + 2 + 3
    0.429
    """
    deltas, length = _measured(translations, norm)
    n_groups = len(deltas)
    apart = ~np.eye(n_groups, dtype=bool)
    total = scale = 0.0
    for j in range(n_groups):
        others = apart[j][:, None] & apart[j] & apart
        first, second = deltas[:, j, None], deltas[None, j]
        total += length(first + second - deltas)[others].sum()
        scale += (length(first) + length(second) + length(deltas))[others].sum()
    n_triples = n_groups * (n_groups - 1) * (n_groups - 2)
    return _ratio(total, scale if relative else n_triples)


def checked_translations(translations):
    """Refuse what is no translation, one for each group, or one for each pair of groups."""
    values = np.asarray(translations)
    if values.ndim not in (1, 2, 3) or (values.ndim == 3 and len(values) != values.shape[1]):
        raise ValueError(
            "translations must have shape (n_groups, n_features), or (n_groups, n_groups, "
            f"n_features) for all pairs; got {values.shape}."
        )
    flat = check_array(values.reshape(-1, values.shape[-1]), dtype=np.float64)
    return flat.reshape(values.shape)


def pairwise_translations(translations):
    """Translations of all pairs, shape (n_groups, n_groups, n_features); from i to j at [i, j].

    Those of each group are relative to one reference: from i to j is ``t_j - t_i``.
    """
    return translations if translations.ndim == 3 else translations - translations[:, None]


def _measured(translations, norm):
    """Translations of all pairs, and what tells how long each is."""
    if norm not in ORDERS:
        raise ValueError(f"norm must be one of {tuple(ORDERS)}, got {norm!r}.")
    values = checked_translations(translations)
    if values.ndim == 1:
        raise ValueError(
            "translations must be those of all groups, of shape (n_groups, n_features) or "
            f"(n_groups, n_groups, n_features); got {values.shape}."
        )
    return pairwise_translations(values), lambda d: np.linalg.norm(d, ORDERS[norm], axis=-1)


def _shared(first, second):
    """Share of the first ones' lengths in features that the second ones use; NaN of none."""
    length = np.abs(first).sum(axis=-1)
    shared = (np.abs(first) * (second != 0)).sum(axis=-1)
    return np.divide(shared, length, out=np.full_like(length, np.nan), where=length > 0)


def _ratio(part, whole):
    """Part of a whole, and 0 of nothing."""
    return float(part / whole) if whole > 0 else 0.0
