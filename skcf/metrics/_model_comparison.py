"""Which of several explainers' counterfactuals are further from real rows than the best one's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import false_discovery_control, norm, truncnorm
from sklearn.utils import check_random_state, gen_batches

from skcf._result import CounterfactualResult
from skcf.metrics._kernels import check_kernel, kernel_of, median_distance
from skcf.metrics._points import checked_labels, embedded_together
from skcf.metrics._rows import check_positive, checked_space, read_pairs

__all__ = ["ModelComparisonTest", "model_comparison_test"]

METHODS = ("relpsi", "relmulti")

FEWEST_ROWS = 4
"""The covariance of the estimates takes four different rows at a time."""

CHUNK_PAIRS = 4_000_000
"""Kernel values held at a time: 32 MB."""

ROUNDING = 1e-12
"""Of a variance that is the difference of others."""


@dataclass(frozen=True)
class ModelComparisonTest:
    """What `model_comparison_test` returns.

    Attributes
    ----------
    best : object
        Name of the explainer with the smallest estimate of MMD^2: the reference of the tests.
    mmd2 : dict of float
        The estimate for each explainer, by which `best` was chosen.
    difference, standard_error : dict of float
        For each of the others: by how much its MMD^2 exceeds that of `best`, as tested, and the
        standard error of that.
    pvalue : dict of float
        For each of the others; those of RelMulti are adjusted for the number of tests.
    rejected : dict of bool
        Of which others the test says that they are further from the real rows than `best`.
    n_samples : int
        Rows of each explainer, and real ones, that went into it.
    """

    best: Any
    mmd2: dict
    difference: dict
    standard_error: dict
    pvalue: dict
    rejected: dict
    n_samples: int


def model_comparison_test(
    candidates: Mapping,
    *,
    reference: Any,
    y_reference: Any = None,
    target: Any = None,
    method: Literal["relpsi", "relmulti"] = "relpsi",
    alpha: float = 0.05,
    kernel: Literal["rbf", "imq"] = "imq",
    bandwidth: float | None = None,
    test_size: float = 0.5,
    max_samples: int | None = 1000,
    random_state: Any = 0,
    feature_space: Any = None,
) -> ModelComparisonTest:
    """Test which explainers are further from the real rows than the best of them ([1]_, [2]_).

    The explainer J with the smallest estimate of MMD^2 is taken as the best, and for each other i
    the hypothesis ``MMD^2_i <= MMD^2_J`` is tested against ``MMD^2_i > MMD^2_J``. The estimates
    are complete U-statistics of the kernel ``h((x, r), (x', r')) = k(x, x') + k(r, r') - k(x, r')
    - k(x', r)``, jointly normal where the explainers are not perfect, with a covariance that is
    estimated by Hoeffding's formula. Where all are perfect, the test rejects less than it may.

    relpsi
        All rows serve to choose and to test. The p-value is that of the difference given that J
        was chosen, a truncated normal one ([3]_): each test alone has level `alpha`.
    relmulti
        J is chosen on one part of the rows and tested on the rest, by one-sided normal tests. The
        p-values are adjusted by Benjamini and Yekutieli: of all rejections, a share of at most
        `alpha` is false on average.

    P-values range from 0 to 1, and are small where an explainer is further from the real rows than
    the best. An explainer whose rows are those of the best has 1. As many rows of each explainer
    are drawn as the one with fewest has (and no more than there are real ones). Explainers with
    equally many rows are taken to have explained the same queries in the same order, and stay
    paired; where they have not equally many, answers to the same queries make the test reject
    less. Rows without a counterfactual are left out. Compare the counterfactuals of one class at
    a time, as the paper does: mixed together, those that keep to the class that they left look
    well. Cost: quadratic in the number of rows, in time; bounded memory if `bandwidth` is given,
    whose default takes all distances of the real rows that were drawn.

    Parameters
    ----------
    candidates : dict
        For each explainer, by its name, what its `explain` returned, or rows: counterfactuals.
    reference : array-like or DataFrame
        Real rows, which no explainer has seen.
    y_reference : array-like of shape (n_reference,), default=None
        Their labels: rows of the target are compared. None: all are of the target class.
    target : object, default=None
        The label. Of a result only counterfactuals with this label are compared; those given as
        rows all have it. None: all are compared, and with y_reference the one label that the
        results have.
    method : {"relpsi", "relmulti"}, default="relpsi"
        See above.
    alpha : float, default=0.05
        Level.
    kernel : {"rbf", "imq"}, default="imq"
        Gaussian, or inverse multiquadric as in [2]_; see `mmd2`.
    bandwidth : float, default=None
        None: the median distance between any two different real rows that were drawn.
    test_size : float, default=0.5
        Share of the rows that RelMulti tests on.
    max_samples : int or None, default=1000
        At most so many rows of each are drawn. None: all.
    random_state : int, RandomState instance or None, default=0
        Draws them, and the parts.
    feature_space : FeatureSpace, default=None
        Fitted: scales and weights. None: read off the reference rows.

    Returns
    -------
    ModelComparisonTest

    Raises
    ------
    ValueError
        If there are fewer than two candidates, or fewer than four rows (in each part) of one.

    See Also
    --------
    mmd_test : Whether one explainer's counterfactuals are distributed like real rows.

    References
    ----------
    .. [1] J. N. Lim, M. Yamada, B. Schölkopf, W. Jitkrittum. "Kernel Stein tests for multiple
       model comparison." NeurIPS 2019.
    .. [2] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021, appendix E.
    .. [3] J. D. Lee, D. L. Sun, Y. Sun, J. E. Taylor. "Exact post-selection inference, with
       application to the lasso." Annals of Statistics 44 (2016), 907-927.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.metrics import model_comparison_test
    >>> rng = np.random.default_rng(0)
    >>> near, nearer, far = (rng.normal(shift, size=(200, 2)) for shift in (0.3, 0.3, 2.0))
    >>> test = model_comparison_test(
    ...     {"near": near, "nearer": nearer, "far": far}, reference=rng.normal(size=(200, 2))
    ... )
    >>> test.rejected["far"], test.best in ("near", "nearer")
    (True, True)
    """
    _check_test(candidates, method, alpha, test_size, max_samples)
    check_kernel(kernel, bandwidth)
    random = check_random_state(random_state)
    samples, real = _points(candidates, reference, y_reference, target, feature_space)
    samples, real = _drawn_alike(list(candidates), samples, real, max_samples, random)
    h = median_distance(cdist(real, real)) if bandwidth is None else bandwidth

    def estimate(rows):
        return _estimates(samples[:, rows], real[rows], kernel, h)

    chosen, tested = _parts(len(real), method, test_size)
    estimates = estimate(chosen)
    best = int(np.argmin(estimates[0]))
    if method == "relmulti":
        difference, error = _differences(estimate(tested), best)
        pvalues = _adjusted(_upper_tail(difference, error), best)
    else:
        difference, error = _differences(estimates, best)
        pvalues = _selective(estimates, best)
    others = [i for i in range(len(candidates)) if i != best]
    names = list(candidates)
    return ModelComparisonTest(
        best=names[best],
        mmd2=dict(zip(names, estimates[0].tolist(), strict=True)),
        difference={names[i]: float(difference[i]) for i in others},
        standard_error={names[i]: float(error[i]) for i in others},
        pvalue={names[i]: float(pvalues[i]) for i in others},
        rejected={names[i]: bool(pvalues[i] <= alpha) for i in others},
        n_samples=len(real),
    )


def _check_test(candidates, method, alpha, test_size, max_samples):
    if not isinstance(candidates, Mapping):
        raise TypeError(
            "candidates must be a dict of names and counterfactuals, got "
            f"{type(candidates).__name__}."
        )
    if len(candidates) < 2:
        raise ValueError(f"candidates must hold at least two explainers, got {list(candidates)}.")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    for name, share in {"alpha": alpha, "test_size": test_size}.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} must be between 0 and 1, both excluded, got {share!r}.")
    if max_samples is not None:
        check_positive(max_samples, "max_samples")


def _points(candidates, reference, y_reference, target, feature_space):
    """Counterfactuals of each candidate, and real rows, as points of one embedding."""
    space = checked_space(feature_space, reference)
    pairs = [
        read_pairs(given, None if isinstance(given, CounterfactualResult) else given, space, None)
        for given in candidates.values()
    ]
    points, real = embedded_together(pairs, reference)
    if y_reference is not None:
        labels = checked_labels(y_reference, len(real))
        target = _only_label(pairs) if target is None else target
        real = real[labels == target]
    if target is not None:
        points = [
            rows if p.result is None else rows[p.result.y_cf[p.places] == target]
            for p, rows in zip(pairs, points, strict=True)
        ]
    return points, real


def _only_label(pairs):
    """The label that all counterfactuals of results have."""
    labels = {label for p in pairs if p.result for label in p.result.y_cf[p.places].tolist()}
    if len(labels) != 1:
        raise ValueError(
            "y_reference needs target: the label of the counterfactuals to compare, one class at a "
            f"time; those of the results are {sorted(labels, key=str)}."
        )
    return labels.pop()


def _drawn_alike(names, samples, real, max_samples, random):
    """As many rows of each, in random order.

    Samples of one size are drawn from by the same positions: rows of the same query stay paired,
    and the order of the candidates has no say.
    """
    sizes = {**dict(zip(names, map(len, samples), strict=True)), "reference": len(real)}
    n_rows = min(len(real), *map(len, samples), np.inf if max_samples is None else max_samples)
    if n_rows < FEWEST_ROWS:
        raise ValueError(
            f"At least {FEWEST_ROWS} rows of the target class are needed of each explainer and of "
            f"the reference (max_samples is {max_samples}); got {sizes}."
        )
    of_samples, of_real = random.randint(2**31 - 1, size=2)
    drawn = [
        rows[np.random.RandomState(of_samples).permutation(len(rows))[:n_rows]] for rows in samples
    ]
    order = np.random.RandomState(of_real).permutation(len(real))[:n_rows]
    return np.stack(drawn), real[order]


def _parts(n_rows, method, test_size):
    """Rows to choose on, and rows to test on."""
    if method == "relpsi":
        return slice(None), slice(None)
    n_chosen = n_rows - round(test_size * n_rows)
    if min(n_chosen, n_rows - n_chosen) < FEWEST_ROWS:
        raise ValueError(
            f"RelMulti needs at least {FEWEST_ROWS} rows in each part, got {n_chosen} to choose on "
            f"and {n_rows - n_chosen} to test on."
        )
    return slice(n_chosen), slice(n_chosen, None)


def _estimates(samples, real, kernel, bandwidth):
    """MMD^2 of some samples, and the covariance of these estimates.

    With the means of ``h_i(z1, z2) h_j(z1, z2)``, ``h_i(z1, z2) h_j(z1, z3)`` and
    ``h_i(z1, z2) h_j(z3, z4)`` over different rows, from sums over rows alone.
    """
    n_models, n_rows = samples.shape[:2]
    sums, products = np.empty((n_models, n_rows)), np.zeros((n_models, n_models))
    for batch in gen_batches(n_rows, max(1, CHUNK_PAIRS // (n_models * n_rows))):
        h = np.stack([_h(sample, real, batch, kernel, bandwidth) for sample in samples])
        sums[:, batch] = h.sum(axis=2)
        flat = h.reshape(n_models, -1)
        products += flat @ flat.T
    total, shared = sums.sum(axis=1), sums @ sums.T
    pairs = n_rows * (n_rows - 1)
    triples = pairs * (n_rows - 2)
    one_shared = (shared - products) / triples
    none_shared = (np.outer(total, total) - 4 * shared + 2 * products) / (triples * (n_rows - 3))
    mean = total / pairs
    both_shared = products / pairs - np.outer(mean, mean)
    covariance = 4 * (n_rows - 2) * _positive(one_shared - none_shared) + 2 * both_shared
    return mean, covariance / pairs


def _h(sample, real, batch, kernel, bandwidth):
    """Kernel of the U-statistic, of some rows with all; 0 for a row with itself."""

    def k(first, second):
        return kernel_of(cdist(first[batch], second), kernel, bandwidth)

    h = k(sample, sample) + k(real, real) - k(sample, real) - k(real, sample)
    h[np.arange(len(h)), np.arange(batch.start, batch.stop)] = 0.0
    return h


def _positive(matrix):
    """The nearest matrix without negative eigenvalues: an unbiased estimate may have some."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _differences(estimates, best):
    """How much more each has than the best, with standard errors; 0 where both have one sample."""
    mmd2, covariance = estimates
    own = np.diag(covariance) + covariance[best, best]
    variance = own - 2 * covariance[best]
    return mmd2 - mmd2[best], np.sqrt(np.where(variance > ROUNDING * own, variance, 0.0))


def _upper_tail(difference, error):
    """One-sided p-values of normal estimates; 1 where a difference is 0 for sure."""
    certain = error == 0
    scaled = difference / np.where(certain, 1.0, error)
    return np.where(certain, np.where(difference > 0, 0.0, 1.0), norm.sf(scaled))


def _adjusted(pvalues, best):
    """P-values of all but the best, adjusted for any dependence."""
    others = np.arange(len(pvalues)) != best
    adjusted = np.ones_like(pvalues)
    adjusted[others] = false_discovery_control(pvalues[others], method="by")
    return adjusted


def _selective(estimates, best):
    """P-values given that the best was chosen ([3]_ of `model_comparison_test`, Theorem 5.2).

    With ``D = mmd2_i - mmd2_best`` and what is independent of it held fixed, the best is the best
    wherever D lies between two bounds: a normal truncated to these.
    """
    difference, error = _differences(estimates, best)
    mmd2, covariance = estimates
    shifted = covariance - covariance[best]
    together = np.where(error > 0, shifted - shifted[:, [best]], 0.0)  # of any two differences
    pvalues = np.ones(len(mmd2))
    for i in np.flatnonzero((np.arange(len(mmd2)) != best) & (error > 0)):
        low, high = _bounds(difference, together[i] / error[i] ** 2, difference[i])
        low, at, high = np.array([low, difference[i], high]) / error[i]
        if low < high:
            pvalues[i] = truncnorm.sf(at, low, high)
    return pvalues


def _bounds(difference, slope, at):
    """Between which values of one difference all others stay above zero.

    With the rest held fixed, each difference moves along its slope.
    """
    rest = difference - slope * at
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -rest / slope
    return (
        min(at, np.max(zero, where=slope > 0, initial=-np.inf)),
        max(at, np.min(zero, where=slope < 0, initial=np.inf)),
    )
