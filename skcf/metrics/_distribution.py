"""Whether the counterfactuals together are distributed like real rows of the target class."""

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils import check_random_state, gen_batches

from skcf.metrics._kernels import check_kernel, kernel_of, median_distance
from skcf.metrics._points import read_comparison
from skcf.metrics._rows import check_positive

__all__ = ["MMDTest", "energy_distance", "mmd2", "mmd_test", "sliced_wasserstein"]

CHUNK_PAIRS = 4_000_000
"""Distances held at a time: 32 MB."""


class MMDTest(NamedTuple):
    """What `mmd_test` returns.

    Attributes
    ----------
    statistic : float
        The unbiased estimate of MMD^2.
    pvalue : float
        Share of the permutations that reach it.
    """

    statistic: float
    pvalue: float


def mmd2(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    kernel: Literal["rbf", "imq"] = "rbf",
    bandwidth: float | None = None,
    max_samples: int | None = 2000,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Squared maximum mean discrepancy between counterfactuals and real rows ([1]_, Eq. 3).

    The unbiased estimate ``mean_{i != j} k(x'_i, x'_j) + mean_{i != j} k(r_i, r_j)
    - 2 mean_{i, j} k(x'_i, r_j)``, with d the Euclidean distance on the scaled space, h the
    bandwidth and ``k = exp(-d**2 / (2 h**2))`` (rbf) or ``k = (1 + d**2 / h**2)**(-1/2)`` (imq).

    At most 2, 0 on average where both are drawn alike, so that it may be below; the less the
    better. Rows without a counterfactual are left out; NaN where a target has fewer than two
    counterfactuals. With several targets, the mean over them, each weighted by its number of
    counterfactuals. Cost: quadratic in the number of rows, in time and memory.

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
    kernel : {"rbf", "imq"}, default="rbf"
        Gaussian, or inverse multiquadric.
    bandwidth : float, default=None
        None: the median distance between any two different ones of both samples.
    max_samples : int or None, default=2000
        Each sample is drawn from down to this size. None: it is taken whole.
    random_state : int, RandomState instance or None, default=0
        Draws them.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a target has fewer than two reference rows.

    See Also
    --------
    mmd_test : The same with a p-value.

    References
    ----------
    .. [1] A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf, A. Smola. "A kernel two-sample
       test." Journal of Machine Learning Research 13 (2012), 723-773.

    Examples
    --------
    >>> from skcf.metrics import mmd2
    >>> reference = [[0.0], [1.0], [2.0], [3.0]]
    >>> X = [[9.0], [9.0]]
    >>> near = mmd2(X, [[1.0], [2.0]], reference=reference)
    >>> far = mmd2(X, [[7.0], [8.0]], reference=reference)
    >>> near < 0 < far
    True
    """
    random = check_random_state(random_state)
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    return float(_statistics(compared, kernel, bandwidth, max_samples, random, 0)[0])


def mmd_test(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    kernel: Literal["rbf", "imq"] = "rbf",
    bandwidth: float | None = None,
    n_permutations: int = 200,
    max_samples: int | None = 2000,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
) -> MMDTest:
    """Test whether counterfactuals and real rows have one distribution, by `mmd2`.

    The p-value is ``(1 + #{b : MMD2_b >= MMD2}) / (1 + B)`` over B permutations that deal the
    rows out to the two samples anew, those of each target among themselves [1]_. It is uniform
    where both are independent draws of one distribution. Counterfactuals that are real rows, or
    that crowd on a few of them, are not independent draws: the p-value then says so.

    Range of the p-value 1 / (1 + B) to 1; small where they differ. NaN where `mmd2` is. Cost: that
    of `mmd2`, and a product of the kernel matrix with a matrix of B columns.

    Parameters
    ----------
    X, X_cf, reference, y_reference, target, kernel, bandwidth, max_samples, feature_space, status
        As `mmd2` takes them.
    n_permutations : int, default=200
        B.
    random_state : int, RandomState instance or None, default=0
        Draws the samples and the permutations.

    Returns
    -------
    MMDTest
        With ``statistic`` and ``pvalue``.

    Raises
    ------
    ValueError
        If a target has fewer than two reference rows.

    References
    ----------
    .. [1] A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf, A. Smola. "A kernel two-sample
       test." Journal of Machine Learning Research 13 (2012), 723-773.

    Examples
    --------
    >>> from skcf.metrics import mmd_test
    >>> reference = [[float(i)] for i in range(30)]
    >>> X = [[0.0]] * 10
    >>> X_cf = [[25.0 + i] for i in range(10)]
    >>> mmd_test(X, X_cf, reference=reference).pvalue < 0.05
    True
    """
    check_positive(n_permutations, "n_permutations")
    random = check_random_state(random_state)
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    values = _statistics(compared, kernel, bandwidth, max_samples, random, n_permutations)
    if np.isnan(values[0]):
        return MMDTest(float("nan"), float("nan"))
    rounding = 1e-12  # the same rows dealt out alike, summed in another order
    reached = np.sum(values[1:] >= values[0] - rounding)
    return MMDTest(float(values[0]), float((1 + reached) / (1 + n_permutations)))


def energy_distance(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Energy distance between counterfactuals and real rows ([1]_).

    ``sqrt(2 E|x' - r| - E|x' - x''| - E|r - r'|)`` over the rows as they are, each with itself
    among the pairs, Euclidean on the scaled space; `scipy.stats.energy_distance` in any dimension.

    Range 0 (only for equal distributions) to infinity, the less the better. Rows without a
    counterfactual are left out; NaN if none has one. With several targets, the mean over them,
    each weighted by its number of counterfactuals. Cost: quadratic in the number of rows in time,
    in chunks of bounded memory.

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
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    References
    ----------
    .. [1] G. J. Székely, M. L. Rizzo. "Energy statistics: a class of statistics based on
       distances." Journal of Statistical Planning and Inference 143 (2013), 1249-1272.

    Examples
    --------
    >>> from skcf.metrics import energy_distance
    >>> energy_distance([[5.0], [5.0]], [[0.0], [1.0]], reference=[[1.0], [0.0]])
    0.0
    >>> energy_distance([[5.0], [5.0]], [[0.0], [0.0]], reference=[[0.0], [1.0]])
    0.7071067811865476
    """
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)

    def energy(points, real):
        between = 2 * _mean_distance(points, real)
        within = _mean_distance(points, points) + _mean_distance(real, real)
        return np.sqrt(max(between - within, 0.0))

    return _weighted(compared, energy)


def sliced_wasserstein(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    p: float = 2,
    n_projections: int = 200,
    random_state: int | None = 0,
    feature_space: Any = None,
    status: Any = None,
) -> float:
    """Sliced Wasserstein distance between counterfactuals and real rows ([1]_), by POT.

    ``(E_theta W_p(theta' x', theta' r)**p)**(1/p)``: the transport cost between both in a random
    direction of the scaled space, averaged over directions.

    Range 0 to infinity, the less the better. Rows without a counterfactual are left out; NaN if
    none has one. With several targets, the mean over them, each weighted by its number of
    counterfactuals. Cost: a sort of both for each direction. It needs POT.

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
    p : float, default=2
        Power of the distance, at least 1.
    n_projections : int, default=200
        Number of directions.
    random_state : int or None, default=0
        Draws them.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.

    Returns
    -------
    float

    References
    ----------
    .. [1] N. Bonneel, J. Rabin, G. Peyré, H. Pfister. "Sliced and Radon Wasserstein barycenters of
       measures." Journal of Mathematical Imaging and Vision 51 (2015), 22-45.

    Examples
    --------
    >>> from skcf.metrics import sliced_wasserstein
    >>> reference = [[0.0], [1.0]]
    >>> round(sliced_wasserstein([[5.0], [5.0]], [[2.0], [3.0]], reference=reference), 6)
    2.0
    """
    check_positive(n_projections, "n_projections")
    if not p >= 1:
        raise ValueError(f"p must be at least 1, got {p!r}.")
    from ot import sliced_wasserstein_distance

    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    return _weighted(
        compared,
        lambda points, real: sliced_wasserstein_distance(
            points, real, n_projections=n_projections, p=p, seed=random_state
        ),
    )


def _weighted(compared, distance):
    """Mean of a distance over the targets, by their numbers of counterfactuals."""
    parts = [(len(at), distance(compared.points[at], real)) for at, real in compared.by_target()]
    return _mean_of(parts) if parts else float("nan")


def _mean_of(parts):
    """Mean of values that come with weights."""
    total = sum(weight for weight, _ in parts)
    return float(sum(weight * value for weight, value in parts) / total)


def _mean_distance(points, others):
    """Mean Euclidean distance of all pairs; exact differences, since much cancels out later."""
    batches = gen_batches(len(points), max(1, CHUNK_PAIRS // len(others)))
    total = sum(cdist(points[batch], others).sum() for batch in batches)
    return float(total) / (len(points) * len(others))


def _statistics(compared, kernel, bandwidth, max_samples, random, n_permutations):
    """MMD^2 of the samples, then of the permuted ones; the mean over the targets."""
    check_kernel(kernel, bandwidth)
    if max_samples is not None:
        check_positive(max_samples, "max_samples")
    parts, weights = [], []
    for at, real in compared.by_target():
        points = _drawn(compared.points[at], max_samples, random)
        real = _drawn(real, max_samples, random)
        weights.append(len(at))
        parts.append(_of_one_target(points, real, kernel, bandwidth, random, n_permutations))
    if not parts:
        return np.full(1 + n_permutations, np.nan)
    return np.average(parts, axis=0, weights=weights)


def _drawn(rows, max_samples, random):
    """So many of the rows, drawn without replacement."""
    if max_samples is None or len(rows) <= max_samples:
        return rows
    return rows[np.sort(random.choice(len(rows), max_samples, replace=False))]


def _of_one_target(points, real, kernel, bandwidth, random, n_permutations):
    """MMD^2 of two samples as they are, then dealt out anew."""
    if len(real) < 2:
        raise ValueError(
            f"The target class has {len(real)} reference row(s), where at least two are needed."
        )
    n_points, n_rows = len(points), len(points) + len(real)
    if n_points < 2:
        return np.full(1 + n_permutations, np.nan)
    gram = _gram(np.concatenate([points, real]), kernel, bandwidth)
    orders = [random.permutation(n_rows) for _ in range(n_permutations)]
    first = np.zeros((n_rows, 1 + n_permutations))
    first[:n_points, 0] = 1
    for b, order in enumerate(orders):
        first[order[:n_points], 1 + b] = 1
    return _unbiased(gram, first)


def _gram(rows, kernel, bandwidth):
    """Kernel values of all pairs, 0 on the diagonal: no row is paired with itself."""
    distances = cdist(rows, rows)
    h = median_distance(distances) if bandwidth is None else bandwidth
    gram = kernel_of(distances, kernel, h)
    np.fill_diagonal(gram, 0.0)
    return gram


def _unbiased(gram, first):
    """MMD^2 for each way to deal the rows out; `first` marks those of the first sample."""
    n, m = first[:, 0].sum(), (1 - first[:, 0]).sum()
    product = gram @ first
    within = np.sum(first * product, axis=0)
    between = product.sum(axis=0) - within
    rest = gram.sum() - within - 2 * between
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * between / (n * m)
