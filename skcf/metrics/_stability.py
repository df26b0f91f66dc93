"""How far the counterfactuals of people who are almost alike lie apart."""

import warnings
from dataclasses import replace
from numbers import Real
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skcf._exceptions import InvalidCounterfactualWarning
from skcf.base import BaseCounterfactual
from skcf.metrics._proximity import NORMS, proximity
from skcf.metrics._rows import average_of, check_average, check_positive, checked_space
from skcf.space import FeatureSpace
from skcf.space._containers import Table, checked_container
from skcf.space._features import NumericFeature

__all__ = ["stability"]


def stability(
    explainer: Any,
    X: Any,
    *,
    noise: float = 0.01,
    n_repeats: int = 5,
    norm: Literal["l1", "l2", "linf"] = "l2",
    feature_space: Any = None,
    random_state: Any = 0,
    average: Literal["median", "mean"] | None = "median",
) -> Any:
    """How far the counterfactual moves when the row does, as a multiple of that.

    ``median_i ||cf(x_i) - cf(x_i + e)|| / ||e||`` over rows x_i with a little noise e: a local
    Lipschitz constant of the explainer (after [1]_, where the largest ratio near x is taken). A
    row's own value is the median over its `n_repeats` draws of e. Distances are those of
    `proximity`.

    The noise makes another *person*, not a change of this one: features that may not change are
    perturbed too, and directions and implications, which bind changes, do not bind it. Numbers
    are perturbed; one-hot groups, linked columns, categories, missing values, and numbers of
    weight 0, which have no part in a distance, stay as they are. Whole numbers stay whole, and
    values stay in their permitted ranges (one that is outside comes no further out). Where
    rounding leaves nothing of e, it does not count: with whole numbers alone, take more noise.

    Range 0 to infinity, the less the better: 0 where neighbours get the same counterfactual, 1
    where it moves as far as they do; large where it jumps. An explainer that sends everybody to
    one place is perfectly stable: read it with `proximity`. Rows without a counterfactual, before
    or after the noise, and rows whose label the noise changes, have no value. Cost: the explainer
    explains ``1 + n_repeats`` rows for each row, in one call.

    Parameters
    ----------
    explainer : object
        Fitted: has ``explain`` and ``feature_space_``, as every explainer of skcf. A Pipeline
        has not: give its last step, and rows as that takes them.
    X : array-like or DataFrame of shape (n_samples, n_columns)
        Rows, as the explainer takes them.
    noise : float, default=0.01
        Standard deviation of each feature's noise, in units of its scale in the feature space.
    n_repeats : int, default=5
        Number of neighbours of each row.
    norm : {"l1", "l2", "linf"}, default="l2"
        How the features' differences add up; see `proximity`.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights, of the noise and of the distances; a column is perturbed where
        it is a number there and to the explainer. None: the explainer's own. Give one to compare
        explainers: they are then asked about the same people.
    random_state : int, RandomState instance or None, default=0
        Draws the noise.
    average : {"median", "mean"} or None, default="median"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)
        NaN where there is no value.

    Raises
    ------
    TypeError
        If `explainer` has no ``explain`` or no ``feature_space_``.
    ValueError
        If no feature is a number, or a parameter is out of range.

    See Also
    --------
    robustness : The same for small changes of the model.

    References
    ----------
    .. [1] D. Alvarez-Melis, T. S. Jaakkola. "On the robustness of interpretability methods."
       ICML Workshop on Human Interpretability in Machine Learning, 2018.

    Examples
    --------
    Everybody goes to the nearest training row beyond 3, which is the same for all:

    >>> import numpy as np
    >>> from skcf import NearestExplainer
    >>> from skcf.metrics import stability
    >>> def accepts(X):
    ...     return X[:, 0] > 3
    >>> X = np.linspace(0, 5, 21)[:, None]
    >>> nearest = NearestExplainer(accepts, target_class=True, refine=False).fit(X)
    >>> stability(nearest, X[:5])
    0.0
    """
    check_average(average)
    _check_options(noise, n_repeats, norm)
    own = _space_of(explainer)
    space = own if feature_space is None else checked_space(feature_space, X)
    numbers = _numbers(own, space)
    origin = replace(own._tabulate(X), index=None)
    rows = np.tile(np.arange(origin.n_rows), n_repeats)
    moved = _moved(own, space, numbers, origin, rows, noise, check_random_state(random_state))
    length = _distances(origin.take(rows), moved, space, norm)
    kept = np.flatnonzero(length > 0)
    ratios = np.full(len(rows), np.nan)
    if len(kept):
        apart = _apart(explainer, origin, rows[kept], moved.take(kept), space, norm)
        ratios[kept] = apart / length[kept]
    return _averaged(ratios.reshape(n_repeats, -1), average)


def _check_options(noise, n_repeats, norm):
    if not isinstance(noise, Real) or isinstance(noise, bool) or not 0 < noise < np.inf:
        raise ValueError(f"noise must be a number above zero, got {noise!r}.")
    check_positive(n_repeats, "n_repeats")
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {NORMS}, got {norm!r}.")


def _space_of(explainer):
    """The explainer's feature space."""
    if isinstance(explainer, BaseCounterfactual):
        check_is_fitted(explainer)
    space = getattr(explainer, "feature_space_", None)
    if not callable(getattr(explainer, "explain", None)) or not isinstance(space, FeatureSpace):
        raise TypeError(
            "stability asks a fitted explainer, an object with explain and feature_space_ (of a "
            f"Pipeline, its last step); got {explainer!r}."
        )
    return space


def _numbers(own, space):
    """Features that are plain numbers to the explainer, and what they are in the other space."""
    there = _plain(space)
    pairs = [(j, there[at]) for at, j in _plain(own).items() if at in there]
    pairs = [(j, k) for j, k in pairs if space.weight_[k] > 0]
    if not pairs:
        raise ValueError(
            "stability perturbs numbers, but no feature is a number of positive weight: "
            f"{own.feature_kinds_}."
        )
    return pairs


def _plain(space):
    """Which feature each column is that is a number by itself."""
    features = enumerate(space.encoding_.features)
    return {f.positions[0]: j for j, f in features if isinstance(f, NumericFeature)}


def _moved(own, space, numbers, origin, rows, noise, random):
    """Write the rows at some positions with noise in their numbers."""
    Z = own._encode(origin)[rows]
    # of all features, so that what one explainer takes for a category changes no other column
    draws = noise * space.scale_ * random.standard_normal((len(rows), len(space.scale_)))
    table = origin.take(rows)
    columns = list(table.columns)
    for j, k in numbers:
        feature = own.encoding_.features[j]
        values = _person(own, space, (j, k), Z[:, j], draws[:, k])
        written = feature.decode(values, table.backend, feature.pools(origin), rows)
        columns[feature.positions[0]] = written[0]
    return replace(table, columns=columns)


def _person(own, space, pair, values, change):
    """Change numbers to others that a row of either space may hold."""
    sides = list(zip((own.constraints_, space.constraints_), pair, strict=True))
    # a value that is out of its range already may stay
    low = np.fmin(values, max(constraints.low[j] for constraints, j in sides))
    high = np.fmax(values, min(constraints.high[j] for constraints, j in sides))
    changed = values + change
    if any(constraints.integer[j] for constraints, j in sides):
        changed, low, high = np.rint(changed), np.ceil(low), np.floor(high)
    changed = own.encoding_.features[pair[0]].snap(np.clip(changed, low, high))
    return np.where((low <= changed) & (changed <= high), changed, values)


def _apart(explainer, origin, rows, moved, space, norm):
    """Distances between the counterfactuals of rows and of their neighbours; NaN without one."""
    concat = origin.backend.concat
    columns = [concat(*pair) for pair in zip(origin.columns, moved.columns, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InvalidCounterfactualWarning)
        result = explainer.explain(replace(origin, columns=columns).container())
    neighbours = origin.n_rows + np.arange(len(rows))
    found, own = np.asarray(result.status) == "found", np.asarray(result.y)
    both = found[rows] & found[neighbours] & (own[rows] == own[neighbours])
    distances = np.full(len(rows), np.nan)
    if both.any():
        after = Table.of(checked_container(result.X_cf))
        pair = after.take(rows[both]), after.take(neighbours[both])
        distances[both] = _distances(*pair, space, norm)
    return distances


def _distances(before, after, space, norm):
    """Distance of each pair of rows."""
    pair = before.container(), after.container()
    return proximity(*pair, norm=norm, feature_space=space, average=None)


def _averaged(ratios, average):
    """Median of each row's ratios, and their average; ratios of shape (n_repeats, n_rows)."""
    has = ~np.isnan(ratios).all(axis=0)
    values = np.full(ratios.shape[1], np.nan)
    if has.any():
        values[has] = np.nanmedian(ratios[:, has], axis=0)
    return values if average is None else average_of(values[has], average)
