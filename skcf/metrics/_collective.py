"""What the counterfactuals of many people do to each other: effort, crowding, congestion."""

from numbers import Real
from typing import Any, Literal

import numpy as np

from skcf._distinct import distinct_rows
from skcf.metrics._places import occupations
from skcf.metrics._points import read_comparison
from skcf.metrics._rows import check_average, check_positive, encode, read_pairs
from skcf.space._cost import METRICS
from skcf.transport._divergences import TARGETS

__all__ = [
    "busiest_share",
    "congestion_utility",
    "crowding_divergence",
    "effective_targets",
    "transport_cost",
]

ROUNDING = 1e-9  # of a share times a number of targets


def transport_cost(
    X: Any,
    X_cf: Any = None,
    *,
    metric: Literal["cityblock", "euclidean", "sqeuclidean"] = "sqeuclidean",
    power: float = 1,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "sum", "median"] | None = "mean",
) -> Any:
    """What moving everybody costs ([1]_, first display, before the penalty).

    ``(E c(x, x')**q)**(1/q)`` over the rows that have a counterfactual, with c the cost of
    `FeatureSpace.cost` in this metric, which is infinite for a move that the constraints forbid,
    and q the power. `proximity` is the distance alone, whatever is allowed; with metric
    "cityblock" ("euclidean") and power 1 the two are equal for norm "l1" ("l2") as long as all
    moves are allowed.

    `CCEExplainer` counts in mean costs of its population: its ``transport_cost_`` is this cost
    over ``cost_scale_``, of the plan, which may split people, and so is the mean of the ``effort``
    of its advice (for a power of 1).

    Range 0 to infinity, the less the better; infinite where one move is forbidden (see
    `constraint_violations` for which). Rows without a counterfactual are left out: nobody who
    stays behind costs anything, so read it beside `coverage`. Cost: linear in the number of
    values.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    metric : {"cityblock", "euclidean", "sqeuclidean"}, default="sqeuclidean"
        How the features' differences add up; the default is that of `CCEExplainer`.
    power : float, default=1
        The poster's q, at least 1: the more, the more the longest moves count.
    feature_space : FeatureSpace, default=None
        Fitted: scales, weights and constraints. None: read off X.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "sum", "median"} or None, default="mean"
        "mean": of those who move, as above. "sum": ``(sum c**q)**(1/q)``, what all of them pay
        together. "median" and None, one value a row: of c itself.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    References
    ----------
    .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
       Balancing Individual Goals and Collective Dynamics" (poster, 2025).

    Examples
    --------
    >>> from skcf import FeatureSpace
    >>> from skcf.metrics import transport_cost
    >>> space = FeatureSpace().fit([[0.0, 0.0], [1.0, 1.0]])
    >>> X, X_cf = [[0.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]]
    >>> transport_cost(X, X_cf, feature_space=space)  # 25 and 1
    13.0
    >>> transport_cost(X, X_cf, feature_space=space, metric="euclidean", average="sum")
    6.0
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
    if not 1 <= power < np.inf:
        raise ValueError(f"power must be a finite number of at least 1, got {power!r}.")
    if average not in ("mean", "sum", "median", None):
        raise ValueError(f"average must be 'mean', 'sum', 'median' or None, got {average!r}.")
    pairs = read_pairs(X, X_cf, feature_space, status)
    Z, Z_cf = pairs.codes
    costs = pairs.space.costs_.between(Z_cf, Z, metric)
    if average in ("median", None) or not len(costs):
        return pairs.averaged(costs, average if average is None else "median")
    return _power_mean(costs, power) * (len(costs) ** (1 / power) if average == "sum" else 1)


def crowding_divergence(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    divergence: Literal["chi2", "kl"] = "chi2",
    n_cells: int | None = None,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Divergence of where people land from where the real rows are ([1]_, first display).

    ``chi2(T#P- || P+) = sum_j (q_j - b_j)**2 / b_j``, with b_j the share of the target class's
    real rows at its distinct row j, and q_j the share of the counterfactuals there; or
    ``sum_j q_j log(q_j / b_j)`` (kl). A counterfactual that is no real row stands at the one that
    it is nearest to, Euclidean on the scaled space. It is what `CCEExplainer` calls crowding,
    without its penalty; real rows that the feature space does not admit are no targets there, and
    are best left out of `reference` too.

    Range 0 (people land as the real rows are spread) to ``1 / min_j b_j - 1`` (chi2) or
    ``-log min_j b_j`` (kl), all at the rarest row; the less the better. Single rows make much of
    chance: n people who are drawn from m equally frequent rows have a chi2 of ``(m - 1) / n`` on
    average. So compare explainers on the same people, or in cells (`n_cells`), which can only
    lower it. Rows without a counterfactual are left out; NaN if none has one. With several
    targets, the mean over them, each weighted by its number of counterfactuals. Cost: sorting
    all rows, and a nearest-neighbour search for counterfactuals that are no real rows.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame
        Real rows.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels. None: all are of the target class.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    divergence : {"chi2", "kl"}, default="chi2"
        The divergence.
    n_cells : int, default=None
        Compare the shares in so many k-means cells of each target's real rows. None: at each
        distinct row.
    random_state : int, RandomState instance or None, default=0
        Of k-means.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    See Also
    --------
    congestion_utility : What crowding costs each person.

    References
    ----------
    .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
       Balancing Individual Goals and Collective Dynamics" (poster, 2025).

    Examples
    --------
    >>> from skcf.metrics import crowding_divergence
    >>> X, reference = [[0.0]] * 4, [[5.0], [6.0], [7.0], [8.0]]
    >>> crowding_divergence(X, reference, reference=reference)
    0.0
    >>> crowding_divergence(X, [[5.0]] * 4, reference=reference)
    3.0
    >>> crowding_divergence(X, [[5.0]] * 4, reference=reference, n_cells=2)
    1.0
    """
    if divergence not in TARGETS:
        raise ValueError(f"divergence must be one of {tuple(TARGETS)}, got {divergence!r}.")
    _check_cells(n_cells)
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    measure: Any = TARGETS[divergence](1.0)
    total = 0.0
    for there in occupations(compared, n_cells, random_state):
        q, b = there.people / len(there.at), there.real() / len(there.rows)
        total += len(there.at) * measure.value(q, b)
    return total / len(compared.points) if len(compared.points) else float("nan")


def effective_targets(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any = None,
    y_reference: Any = None,
    target: Any = None,
    normalize: bool = False,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Effective number of distinct targets: to how many spots people are sent.

    The inverse Simpson index ``1 / sum_j q_j**2`` [1]_, with q_j the share of the counterfactuals
    at spot j: k spots with equally many people each count as k. Spots are the distinct
    counterfactuals. Where each of them differs a little from the others, that says nothing: with
    `reference`, spots are the real rows of the target class that they stand nearest to.

    Range 1 (all at one spot) to the number of people, the more the better (with `normalize`, up
    to 1). Rows without a counterfactual are left out; NaN if none has one. Cost: sorting the
    rows, and with `reference` a nearest-neighbour search.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame, default=None
        Real rows. None: the spots are the counterfactuals themselves.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels. None: all are of the target class.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    normalize : bool, default=False
        Whether to divide by the number of people who have a counterfactual.
    feature_space : FeatureSpace, default=None
        Fitted. None: read off the reference rows, else off X.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    References
    ----------
    .. [1] M. O. Hill. "Diversity and evenness: a unifying notation and its consequences." Ecology
       54 (1973), 427-432.

    Examples
    --------
    >>> from skcf.metrics import effective_targets
    >>> X = [[0.0]] * 4
    >>> effective_targets(X, [[5.0], [5.0], [6.0], [6.0]])
    2.0
    >>> effective_targets(X, [[5.0], [5.0], [5.0], [6.0]], normalize=True)
    0.4
    """
    people = _people(X, X_cf, feature_space, status, reference, y_reference, target)
    if not people.any():
        return float("nan")
    number = people.sum() ** 2 / np.sum(people.astype(float) ** 2)
    return float(number / people.sum() if normalize else number)


def busiest_share(
    X: Any,
    X_cf: Any = None,
    *,
    share: float = 0.01,
    reference: Any = None,
    y_reference: Any = None,
    target: Any = None,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Share of the people who are sent to the busiest 1 % of the targets.

    ``sum of the k largest q_j`` with ``k = ceil(share * m)``, so at least one of the m targets,
    and q_j the share of the counterfactuals at target j. With `reference`, the targets are the
    distinct real rows of the target class (of all targets that occur), at the nearest of which
    each counterfactual stands. Without, they are the distinct counterfactuals, whose number is
    the explainer's own doing: then it tells how uneven the spots are, not how few.

    Range k / m (all alike; more if there are fewer people than targets) to 1 (all of them), the
    less the better. Rows without a counterfactual are left out; NaN if none has one. Cost:
    sorting the rows, and with `reference` a nearest-neighbour search.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    share : float, default=0.01
        Share of the targets, above 0 and up to 1.
    reference : array-like or DataFrame, default=None
        Real rows. None: the targets are the counterfactuals themselves.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels. None: all are of the target class.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    feature_space : FeatureSpace, default=None
        Fitted. None: read off the reference rows, else off X.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    Examples
    --------
    >>> from skcf.metrics import busiest_share
    >>> X, X_cf = [[0.0]] * 4, [[5.0], [5.0], [5.0], [6.0]]
    >>> busiest_share(X, X_cf)
    0.75
    >>> busiest_share(X, X_cf, reference=[[5.0], [6.0], [7.0], [8.0]], share=0.5)
    1.0
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share!r}.")
    people = _people(X, X_cf, feature_space, status, reference, y_reference, target)
    if not people.any():
        return float("nan")
    k = max(int(np.ceil(share * len(people) - ROUNDING)), 1)
    return float(np.sort(people)[-k:].sum() / people.sum())


def congestion_utility(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    resource: Any = None,
    mover_share: float | None = None,
    n_cells: int | None = None,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Utility that people find where they go, once everybody has moved (congestion model of [1]_).

    The resource S(x) at a place is shared by those who stand there, with density U(x), so that
    each gets ``S(x) / U(x)``; at equilibrium U is proportional to S and all get the same, which
    counts as 1. Places are the distinct real rows of the target class, or cells of them; the
    movers join the people who are there already::

        S_j = b_j,   U_j = (1 - s) b_j + s q_j,   u_j = S_j / U_j

    with b_j and q_j the shares of the real rows and of the counterfactuals at place j, and s the
    movers' share of all who are there afterwards. So the real rows are at equilibrium before
    the moves, unless `resource` says otherwise. A counterfactual that is no real row stands at
    the one that it is nearest to, Euclidean on the scaled space.

    Range of the mean over the movers above 0 to 1, the latter (for s below 1) only where they
    spread as the real rows do; the more the better. (One person's, and means with a `resource`,
    may exceed 1.) Close to it the mean is about ``1 - s (1 - s) chi2(q | b)``, with the divergence
    of `crowding_divergence`, and single rows make as much of chance as there: compare explainers
    on the same people, or in cells. Rows without a counterfactual are left out. Cost: sorting all
    rows, and a nearest-neighbour search for counterfactuals that are no real rows.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame
        Real rows.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels. None: all are of the target class.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
        Each target is a population of its own.
    resource : array-like of shape (n_reference,), default=None
        Resource at each real row, of which only the proportions within a target count. None: as
        much at each.
    mover_share : float, default=None
        s, above 0 and up to 1. 1: nobody is there yet, and the mean is the share of the resource
        that is found. None: as many as there are counterfactuals and real rows.
    n_cells : int, default=None
        Take so many k-means cells of each target's real rows for places. None: each distinct row.
    random_state : int, RandomState instance or None, default=0
        Of k-means.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    See Also
    --------
    crowding_divergence : How far they are from the equilibrium.

    References
    ----------
    .. [1] A.-R. Ehyaei, A. Shirali, S. Samadi. "Collective Counterfactual Explanations:
       Balancing Individual Goals and Collective Dynamics" (poster, 2025).

    Examples
    --------
    >>> from skcf.metrics import congestion_utility
    >>> X, reference = [[0.0]] * 4, [[5.0], [6.0], [7.0], [8.0]]
    >>> congestion_utility(X, reference, reference=reference)
    1.0
    >>> congestion_utility(X, [[5.0]] * 4, reference=reference)  # 1/4 of all, shared by 5/8
    0.4
    """
    check_average(average)
    _check_cells(n_cells)
    if mover_share is not None and not (isinstance(mover_share, Real) and 0 < mover_share <= 1):
        raise ValueError(f"mover_share must be above 0 and at most 1, got {mover_share!r}.")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    resource = _checked_resource(resource, len(compared.reference))
    values = np.empty(len(compared.points))
    for there in occupations(compared, n_cells, random_state):
        values[there.at] = _utility(there, resource, mover_share)[there.place]
    return compared.pairs.averaged(values, average)


def _power_mean(values, power):
    """The mean's root, scaled first: a power of a large number overflows."""
    largest = values.max()
    if not 0 < largest < np.inf:
        return float(largest)
    return float(largest * np.mean((values / largest) ** power) ** (1 / power))


def _check_cells(n_cells):
    if n_cells is not None:
        check_positive(n_cells, "n_cells")


def _people(X, X_cf, feature_space, status, reference, y_reference, target):
    """Number of counterfactuals at each target."""
    if reference is not None:
        compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
        numbers = [there.people for there in occupations(compared)]
        return np.concatenate(numbers) if numbers else np.zeros(0, dtype=int)
    if y_reference is not None or target is not None:
        raise ValueError("y_reference and target need reference: the rows that the labels are of.")
    pairs = read_pairs(X, X_cf, feature_space, status)
    # categories that the space does not know are told apart
    unseen: list[dict] = [{} for _ in pairs.space.scale_]
    Z_cf = encode(pairs.space, pairs.after.take(pairs.places), unseen=unseen)
    pairs.space.encoding_.check_finite(Z_cf)
    return np.bincount(distinct_rows(Z_cf)[1]) if len(Z_cf) else np.zeros(0, dtype=int)


def _checked_resource(resource, n_rows):
    if resource is None:
        return np.ones(n_rows)
    resource = np.asarray(resource, dtype=np.float64)
    if resource.shape != (n_rows,):
        raise ValueError(
            f"resource must have one number for each reference row, shape ({n_rows},), got "
            f"{resource.shape}."
        )
    if not np.all((resource >= 0) & (resource < np.inf)):
        raise ValueError("resource must be finite, and nowhere below zero.")
    return resource


def _utility(there, resource, mover_share):
    """Utility at each place in terms of the equilibrium's; infinite where nobody stands."""
    total = resource[there.rows].sum()
    if not total > 0:
        raise ValueError("A target has no resource at any of its reference rows.")
    n_people, n_real = len(there.at), len(there.rows)
    s = n_people / (n_people + n_real) if mover_share is None else mover_share
    density = (1 - s) * there.real() / n_real + s * there.people / n_people
    supply = there.real(resource) / total
    return np.divide(supply, density, out=np.full(len(density), np.inf), where=density > 0)
