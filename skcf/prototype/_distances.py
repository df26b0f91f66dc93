"""How far apart the categories of a feature are: MVDM by labels, ABDM by the other features.

Neither takes the categories' names or codes into account: two categories are close where the rows
that have them are alike.
"""

import numpy as np
from scipy.sparse import csr_array

__all__ = ["abdm", "mvdm"]


def mvdm(codes, labels, n_categories, n_classes, alpha=1.0, sample_weight=None):
    """Modified value distance metric of the categories of one feature ([1]_, Eq. 17; [2]_).

    ``d(v1, v2) = sum_i |p(i | v1) - p(i | v2)|^alpha`` over the classes i, with p(i | v) the share
    of class i in the rows of category v. No root is taken, as in the paper: it is a metric for
    alpha up to 1.

    Range 0 (the same shares of all classes) to 2 (no class in common) for alpha of 1 and above.
    A category without a row gets the shares of all rows together: it stands in the middle, since
    nothing is known of it. Cost: linear in the rows, n_categories^2 n_classes for the distances.

    Parameters
    ----------
    codes : ndarray of float64, shape (n_rows,)
        Category codes. Rows with NaN or a negative code (missing, unseen, known in part) do not
        count.
    labels : ndarray of int, shape (n_rows,)
        Class codes.
    n_categories, n_classes : int
        How many there are of each, seen or not.
    alpha : float, default=1.0
        Power of the differences, above 0. The larger, the less do small differences count.
    sample_weight : ndarray of float64, shape (n_rows,), optional
        How often each row counts. By default, once.

    Returns
    -------
    ndarray of float64, shape (n_categories, n_categories)
        Symmetric, with a diagonal of 0.

    Raises
    ------
    ValueError
        If alpha is not above 0.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    .. [2] S. Cost, S. Salzberg. "A weighted nearest neighbor algorithm for learning with symbolic
       features." Machine Learning 10 (1993), 57-78.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.prototype._distances import mvdm
    >>> codes = np.array([0.0, 0.0, 1.0, 1.0, 2.0])
    >>> mvdm(codes, np.array([0, 1, 1, 1, 0]), n_categories=3, n_classes=2)
    array([[0., 1., 1.],
           [1., 0., 2.],
           [1., 2., 0.]])
    """
    if not 0 < alpha < np.inf:
        raise ValueError(f"alpha must be a number above 0, got {alpha!r}.")
    seen = codes >= 0
    cells = codes[seen].astype(np.intp) * n_classes + labels[seen]
    weights = None if sample_weight is None else sample_weight[seen]
    counts = np.bincount(cells, weights, n_categories * n_classes).reshape(n_categories, n_classes)
    shares = _shares(counts, counts.sum(axis=0), 0.0)
    distances = np.zeros((n_categories, n_categories))
    for share in shares.T:
        distances += np.abs(share[:, None] - share) ** alpha
    return distances


def abdm(Z, n_categories, features=None, n_bins=10, smoothing=1.0, sample_weight=None):
    """Association-based distance metric of the categories of several features ([1]_, Eq. 18; [2]_).

    ``d(v1, v2) = sum_j Psi(p(x_j | v1), p(x_j | v2))`` over all other features j, with Psi the
    Kullback-Leibler divergence. That is not symmetric, and a distance is; Psi is taken in its
    symmetric form, the sum of both directions: ``Psi(p, q) = sum_x (p(x) - q(x)) log(p(x) / q(x))``
    (Jeffreys' divergence, in nats).

    A value that no row of a category has would make it infinite, so each category gets `smoothing`
    rows more, spread over the values of x_j as all rows are: ``p(x | v) = (n(x, v) + smoothing
    p(x)) / (n(v) + smoothing)``. So rare categories are drawn to the middle, and one without a row
    stands there. Numbers are binned by their quantiles; missing values, and codes of values that
    are no category, are a bin of their own.

    Range 0 (the same distributions) upwards. Cost: the contingency tables of all pairs of features
    come from one sparse product, n_rows n_features^2; then n_categories^2 times the number of all
    values for the distances of a feature.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows. Those where the feature in question is missing do not count for it.
    n_categories : array-like of int, shape (n_features,)
        How many categories each feature has; 0 for a number.
    features : iterable of int, optional
        Categorical features whose distances are wanted. By default, all.
    n_bins : int, default=10
        Bins of a number, at least 2. Equal values share a bin, so there may be fewer.
    smoothing : float, default=1.0
        How many rows are added to each category, above 0.
    sample_weight : ndarray of float64, shape (n_rows,), optional
        How often each row counts. By default, once.

    Returns
    -------
    dict of {int: ndarray of float64, shape (n_categories, n_categories)}
        Each symmetric, with a diagonal of 0. All zeros where there is no other feature.

    Raises
    ------
    ValueError
        If smoothing is not above 0 or n_bins is below 2.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    .. [2] S. Q. Le, T. B. Ho. "An association-based dissimilarity measure for categorical data."
       Pattern Recognition Letters 26 (2005), 2549-2557.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.prototype._distances import abdm
    >>> Z = np.array([[0, 0], [0, 0], [0, 1], [1, 0], [1, 1], [1, 1]], dtype=float)
    >>> abdm(Z, n_categories=[2, 2], smoothing=1e-9)[0].round(3)  # (2/3 - 1/3) log 2, twice
    array([[0.   , 0.462],
           [0.462, 0.   ]])
    """
    if not 0 < smoothing < np.inf:
        raise ValueError(f"smoothing must be a number above 0, got {smoothing!r}.")
    if n_bins < 2:
        raise ValueError(f"n_bins must be at least 2, got {n_bins!r}.")
    weights = np.ones(len(Z)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    present = weights > 0
    Z, weights = Z[present], weights[present]
    levels = [_levels(z, k, n_bins, weights) for z, k in zip(Z.T, n_categories, strict=True)]
    tables = _ContingencyTables(levels, weights)
    wanted = np.flatnonzero(n_categories) if features is None else features
    return {int(j): _jeffreys(tables, j, n_categories[j], smoothing) for j in wanted}


class _ContingencyTables:
    """How often each pair of values comes together, for all pairs of features.

    Parameters
    ----------
    levels : list of ndarray of int, shape (n_rows,)
        Of each feature, which of its values each row has, from 0.
    weights : ndarray of float64, shape (n_rows,)
        How often each row counts.
    """

    def __init__(self, levels, weights):
        n_rows, n_features = len(weights), len(levels)
        sizes = [int(level.max(initial=0)) + 1 for level in levels]
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        columns = np.column_stack(levels) + self.starts[:-1]
        row_ends = np.arange(0, n_rows * n_features + 1, n_features)
        shape = (n_rows, int(self.starts[-1]))
        onehot = csr_array((np.ones(columns.size), columns.ravel(), row_ends), shape=shape)
        weighted = csr_array((np.repeat(weights, n_features), columns.ravel(), row_ends), shape)
        self.counts = (onehot.T @ weighted).tocsr()

    def of(self, feature, n_values):
        """Counts of the first values of a feature with all values of each other feature."""
        start = self.starts[feature]
        stop = min(start + n_values, self.starts[feature + 1])
        rows = np.zeros((n_values, self.counts.shape[1]))
        rows[: stop - start] = self.counts[start:stop].toarray()
        for j, (first, last) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            if j != feature:
                yield rows[:, first:last]


def _jeffreys(tables, feature, n_categories, smoothing):
    """Symmetric Kullback-Leibler divergences of the categories, summed over the other features."""
    distances = np.zeros((n_categories, n_categories))
    for counts in tables.of(feature, n_categories):
        counts = counts[:, counts.any(axis=0)]
        shares = _shares(counts, counts.sum(axis=0), smoothing)
        logs = np.log(shares)
        for row, (share, log) in enumerate(zip(shares, logs, strict=True)):
            distances[row] += ((shares - share) * (logs - log)).sum(axis=1)
    return distances


def _shares(counts, total, smoothing):
    """Distribution of each row of a table, drawn to that of all; that of all for an empty row."""
    mean = total / total.sum() if total.any() else np.full(len(total), 1 / max(len(total), 1))
    n_rows = counts.sum(axis=1, keepdims=True)
    size = n_rows + smoothing
    shares = (counts + smoothing * mean) / np.where(size > 0, size, 1.0)
    return np.where(n_rows > 0, shares, mean)


def _levels(values, n_categories, n_bins, weights):
    """Number the values of a feature from 0: categories by their codes, numbers by their bins."""
    known = values >= 0 if n_categories else ~np.isnan(values)
    levels = np.empty(len(values), dtype=np.intp)
    if n_categories:
        levels[known] = values[known]
        levels[~known] = n_categories
    elif known.any():
        edges = _quantiles(values[known], n_bins, weights[known])
        levels[known] = np.searchsorted(edges, values[known], side="left")
        levels[~known] = len(edges) + 1
    else:
        levels[:] = 0
    return levels


def _quantiles(values, n_bins, weights):
    """Values that part rows into bins of one size, as far as equal values allow; each once.

    The i-th is the smallest value that a share of at least i / n_bins of the rows does not exceed:
    a row of weight 3 counts as three equal rows.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = np.searchsorted(reached, np.arange(1, n_bins) * reached[-1] / n_bins, side="left")
    return np.unique(values[order][at])
