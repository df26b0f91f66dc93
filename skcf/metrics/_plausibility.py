"""Whether the counterfactuals look like real rows of the target class."""

from typing import Any, Literal

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.utils import check_random_state

from skcf.metrics._points import read_comparison
from skcf.metrics._rows import check_average, check_positive

__all__ = [
    "density_quantile",
    "isolation_score",
    "knn_distance",
    "local_outlier_factor",
    "neighbour_share",
]


def knn_distance(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    n_neighbors: int = 5,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Mean distance of the counterfactuals to their nearest real rows of the target class.

    ``(1/k) sum_{i in N_k(x')} ||x' - x_i||``, Euclidean on the scaled space; 1 between two
    categories. A counterfactual that is a real row finds itself, at distance 0.

    Range 0 to infinity, the less the better. Rows without a counterfactual are left out. Where a
    class has fewer rows than neighbours, all of them are. Cost: a nearest-neighbour search.

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
    n_neighbors : int, default=5
        Number of neighbours.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If no reference row has the target label.

    Examples
    --------
    >>> from skcf.metrics import knn_distance
    >>> reference = [[0.0], [2.0], [6.0], [8.0]]
    >>> knn_distance([[0.0]], [[5.0]], reference=reference, n_neighbors=2)
    0.25
    """
    check_average(average)
    check_positive(n_neighbors, "n_neighbors")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)

    def measure(points, real):
        nearest = NearestNeighbors(n_neighbors=min(n_neighbors, len(real))).fit(real)
        return nearest.kneighbors(points)[0].mean(axis=1)

    return compared.pairs.averaged(compared.each(measure), average)


def neighbour_share(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any,
    target: Any = None,
    n_neighbors: int = 5,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Share of the nearest real rows that have the target label, yNN ([1]_).

    ``(1/k) sum_{i in N_k(x')} [y_i is the target]`` with the neighbours taken among real rows of
    all labels, Euclidean on the scaled space.

    Range 0 to 1, the more the better. Rows without a counterfactual are left out. Where there are
    fewer rows than neighbours, all of them are. Cost: a nearest-neighbour search.

    Parameters
    ----------
    X : array-like, DataFrame or CounterfactualResult
        Rows that were explained, or what `explain` returned; see :mod:`skcf.metrics`.
    X_cf : array-like or DataFrame, default=None
        Their counterfactuals; None with a result.
    reference : array-like or DataFrame
        Real rows of all labels.
    y_reference : array-like of shape (n_reference,)
        Their labels, as the classifier predicts them.
    target : object, default=None
        Label that the counterfactuals are to have, one for all or one a row; a result knows it.
    n_neighbors : int, default=5
        Number of neighbours.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If no reference row has the target label.

    References
    ----------
    .. [1] M. Pawelczyk, S. Bielawski, J. van den Heuvel, T. Richter, G. Kasneci. "CARLA: a Python
       library to benchmark algorithmic recourse and counterfactual explanation algorithms."
       NeurIPS Datasets and Benchmarks 2021.

    Examples
    --------
    >>> from skcf.metrics import neighbour_share
    >>> reference, labels = [[0.0], [1.0], [9.0], [10.0]], ["no", "no", "no", "yes"]
    >>> neighbour_share(
    ...     [[0.0]], [[11.0]], reference=reference, y_reference=labels, target="yes", n_neighbors=2
    ... )
    0.5
    """
    check_average(average)
    check_positive(n_neighbors, "n_neighbors")
    if y_reference is None:
        raise ValueError("y_reference must hold the labels of the reference rows, of all classes.")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    k = min(n_neighbors, len(compared.reference))
    if not len(compared.points):
        return compared.pairs.averaged(np.empty(0), average)
    nearest = NearestNeighbors(n_neighbors=k).fit(compared.reference)
    index = nearest.kneighbors(compared.points, return_distance=False)
    values = (compared.labels[index] == compared.target[:, None]).mean(axis=1)
    return compared.pairs.averaged(values, average)


def local_outlier_factor(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    n_neighbors: int = 20,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Local outlier factor of the counterfactuals among distinct rows of the target class [1]_.

    The density of the real rows around a counterfactual's neighbours over that around itself. The
    real rows are taken once each: among many copies of one row the density is infinite, and the
    factor of everything near them without bounds.

    Above 0, about 1 in the midst of real rows, the less the better. Rows without a counterfactual
    are left out. Cost: a nearest-neighbour search in the real rows and one for the counterfactuals.

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
    n_neighbors : int, default=20
        Number of neighbours, or one less than there are distinct rows.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If the target class has fewer than two distinct reference rows.

    References
    ----------
    .. [1] M. M. Breunig, H.-P. Kriegel, R. T. Ng, J. Sander. "LOF: identifying density-based
       local outliers." SIGMOD 2000.

    Examples
    --------
    >>> from skcf.metrics import local_outlier_factor
    >>> reference = [[float(i)] for i in range(50)]
    >>> values = local_outlier_factor(
    ...     [[0.0], [0.0]], [[25.0], [90.0]], reference=reference, n_neighbors=5, average=None
    ... )
    >>> values.round(1)
    array([ 1. , 12.1])
    """
    check_average(average)
    check_positive(n_neighbors, "n_neighbors")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)

    def measure(points, real):
        distinct = _distinct(real)
        k = min(n_neighbors, len(distinct) - 1)
        model = LocalOutlierFactor(n_neighbors=k, novelty=True).fit(distinct)
        return -model.score_samples(points)

    return compared.pairs.averaged(compared.each(measure), average)


def isolation_score(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    n_estimators: int = 100,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Anomaly score of the counterfactuals in an isolation forest of the target class ([1]_).

    ``2**(-E[h(x')] / c(n))`` with the depth h at which random splits isolate a row, and its mean
    c(n) in a random tree. The forest is fitted on the distinct real rows.

    Range 0 to 1, about 0.5 or less in the midst of real rows, the less the better. Rows without a
    counterfactual are left out. Cost: that of scikit-learn's IsolationForest.

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
    n_estimators : int, default=100
        Number of trees.
    random_state : int, RandomState instance or None, default=0
        Draws the splits.
    feature_space : FeatureSpace, default=None
        Fitted: kinds. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If the target class has fewer than two distinct reference rows.

    References
    ----------
    .. [1] F. T. Liu, K. M. Ting, Z.-H. Zhou. "Isolation forest." ICDM 2008.

    Examples
    --------
    >>> from skcf.metrics import isolation_score
    >>> reference = [[float(i)] for i in range(50)]
    >>> within, beyond = isolation_score(
    ...     [[0.0], [0.0]], [[25.0], [90.0]], reference=reference, average=None
    ... )
    >>> bool(within < 0.5 < beyond)
    True
    """
    check_average(average)
    check_positive(n_estimators, "n_estimators")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    random = check_random_state(random_state)

    def measure(points, real):
        forest = IsolationForest(n_estimators=n_estimators, random_state=random).fit(
            _distinct(real)
        )
        return -forest.score_samples(points)

    return compared.pairs.averaged(compared.each(measure), average)


def density_quantile(
    X: Any,
    X_cf: Any = None,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    density: Literal["kde", "gmm"] = "kde",
    n_components: int = 5,
    random_state: Any = 0,
    feature_space: Any = None,
    status: Any = None,
    average: Literal["mean", "median"] | None = "mean",
) -> Any:
    """Share of real rows of the target class that are as improbable as the counterfactual.

    A density is fitted on a random half of the real rows, and the log-density of the
    counterfactual is placed among those of the m rows of the other half:
    ``(1 + #{i : log p(x_i) <= log p(x')}) / (1 + m)``, the p-value of a conformal test [1]_: of
    real rows it is uniform, whatever the density is worth.

    Range 0 to 1: 0.5 on average for real rows, near 0 for what is unlike them, near 1 at the
    mode, so that the more, the more typical. Rows without a counterfactual are left out. Cost:
    the kernel density is quadratic in the number of rows, the mixture linear.

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
    density : {"kde", "gmm"}, default="kde"
        Gaussian kernels, with Scott's bandwidth ``s n**(-1/(d+4))`` of the mean spread s; or a
        mixture of axis-parallel Gaussians.
    n_components : int, default=5
        Number of Gaussians, or as many as there are rows.
    random_state : int, RandomState instance or None, default=0
        Draws the halves and the start of the mixture.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.
    status : array-like of str or bool, default=None
        What became of each row.
    average : {"mean", "median"} or None, default="mean"
        None: one value a row.

    Returns
    -------
    float, or ndarray of float64 of shape (n_samples,)

    Raises
    ------
    ValueError
        If the target class has fewer than four reference rows.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer. "Algorithmic learning in a random world." Springer,
       2005.

    Examples
    --------
    >>> from skcf.metrics import density_quantile
    >>> reference = [[float(i)] for i in range(100)]
    >>> within, beyond = density_quantile(
    ...     [[0.0], [0.0]], [[50.0], [300.0]], reference=reference, average=None
    ... )
    >>> bool(within > 0.3), round(float(beyond), 3)
    (True, 0.02)
    """
    check_average(average)
    if density not in ("kde", "gmm"):
        raise ValueError(f"density must be 'kde' or 'gmm', got {density!r}.")
    check_positive(n_components, "n_components")
    compared = read_comparison(X, X_cf, feature_space, status, reference, y_reference, target)
    random = check_random_state(random_state)

    def measure(points, real):
        learned, held_out = _halves(real, random)
        model = _kernels(learned) if density == "kde" else _mixture(learned, n_components, random)
        log_density = np.sort(model.score_samples(held_out))
        below = np.searchsorted(log_density, model.score_samples(points), side="right")
        return (1 + below) / (1 + len(held_out))

    return compared.pairs.averaged(compared.each(measure), average)


def _distinct(real):
    """Each real row once."""
    distinct = np.unique(real, axis=0)
    if len(distinct) < 2:
        raise ValueError(
            f"The target class has {len(distinct)} distinct reference row(s), where at least two "
            "are needed."
        )
    return distinct


def _halves(real, random):
    """Split real rows at random."""
    if len(real) < 4:
        raise ValueError(
            f"The target class has {len(real)} reference row(s), where at least four are needed."
        )
    order = random.permutation(len(real))
    return real[order[: len(real) // 2]], real[order[len(real) // 2 :]]


def _kernels(rows):
    """Gaussian kernels of Scott's bandwidth; rows that are all alike get the scale's."""
    spread = np.sqrt(rows.var(axis=0).mean())
    bandwidth = (spread if spread > 0 else 1.0) * len(rows) ** (-1 / (rows.shape[1] + 4))
    return KernelDensity(bandwidth=bandwidth).fit(rows)


def _mixture(rows, n_components, random):
    """Axis-parallel Gaussians, none narrower than a hundredth of the scale."""
    n_components = min(n_components, len(np.unique(rows, axis=0)))
    return GaussianMixture(
        n_components, covariance_type="diag", reg_covar=1e-4, max_iter=1000, random_state=random
    ).fit(rows)
