"""Multidimensional scaling of the categories of one feature to one dimension.

On a line, least squares scaling is a combinatorial problem. With the categories in a given order,
the best positions have a closed form, and what is left of the squares depends on the order alone
[1]_; so the best order is found by dynamic programming over subsets [2]_, or by local search where
there are too many. Methods that follow the gradient, such as SMACOF, stay in the order (nearly)
that they start with.

References
----------
.. [1] D. Defays. "A short note on a method of seriation." British Journal of Mathematical and
   Statistical Psychology 31 (1978), 49-53.
.. [2] L. J. Hubert, P. Arabie. "Unidimensional scaling and combinatorial optimization." In:
   Multidimensional Data Analysis, DSWO Press 1986.
"""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

__all__ = ["embed_by_norm", "embed_on_line", "rank_correlation", "stress"]

EXACT = 16
"""Up to so many categories, the best of all orders is found: 2^16 subsets take 8 MiB."""

FEW = 64
"""Up to so many categories, the search starts from random places too."""

N_RANDOM_STARTS = 16
N_PLANE_STARTS = 8

N_STEPS = 300
"""Steps of SMACOF in the plane."""

SIGNIFICANT = 1e-9
"""Relative size of what is no rounding error."""


def embed_on_line(distances, keys=()):
    """Place categories on a line so that their distances fit best, by least squares.

    Minimises ``sum_{i < j} (d_ij - |x_i - x_j|)^2``. In a given order the best positions are
    ``x_i = (sum_{j before i} d_ij - sum_{j after i} d_ij) / n``, and the sum is then
    ``sum d_ij^2 - n sum x_i^2`` [1]_. The best order is found exactly for up to 16
    categories [2]_; beyond, by moving one category at a time from the orders of classical scaling
    and of the spectrum and, up to 64 categories, from 16 random ones (of a fixed seed), which
    gives a local optimum.

    The positions sum to 0. Which end is positive: the one where the first of `keys` is higher; in
    a tie the next, and at last the end that reaches farther out.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, n)
        Symmetric, with a diagonal of 0.
    keys : sequence of ndarray of float64, shape (n,)
        What is known of the categories beside their distances: they decide what these leave
        open. The order in which the categories are given only does where no key does.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        If the distances are not square, finite, symmetric and nonnegative with a diagonal of 0.

    Notes
    -----
    Cost: ``2^n n`` up to 16 categories; about n^2 a sweep and a start beyond.

    References
    ----------
    .. [1] D. Defays. "A short note on a method of seriation." British Journal of Mathematical and
       Statistical Psychology 31 (1978), 49-53.
    .. [2] L. J. Hubert, P. Arabie. "Unidimensional scaling and combinatorial optimization." In:
       Multidimensional Data Analysis, DSWO Press 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.prototype._scaling import embed_on_line
    >>> places = np.array([0.0, 5.0, 1.0])
    >>> embed_on_line(np.abs(places[:, None] - places))
    array([-2.,  3., -1.])
    """
    distances = _checked(distances)
    canonical = _canonical_order(distances, keys)
    D = distances[np.ix_(canonical, canonical)]
    order = _best_order(D) if len(D) <= EXACT else _searched_order(D)
    positions = np.empty(len(D))
    positions[order] = _pulls(D, order) / max(len(D), 1)
    return _uncanonical(_oriented(positions, [key[canonical] for key in keys]), canonical)


def embed_by_norm(distances, keys=()):
    """Place categories in the plane and take norms as positions ([1]_, appendix D.2).

    Least squares scaling to two dimensions, by SMACOF [2]_ from classical scaling and, up to 64
    categories, from 8 random starts (of a fixed seed). The point with
    the largest norm about the centre becomes the origin, and the others' norms are then their
    distances from it: that category is at 0, and all others above. Where several points are as far
    out, `keys` and at last the given order decide. Categories in different directions may get
    nearly the same position.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, n)
        Symmetric, with a diagonal of 0.
    keys : sequence of ndarray of float64, shape (n,)
        As `embed_on_line` takes them.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    ValueError
        If the distances are not square, finite, symmetric and nonnegative with a diagonal of 0.

    Notes
    -----
    Cost: n^3 for the start, n^2 for each of at most 300 steps.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    .. [2] I. Borg, P. Groenen. "Modern multidimensional scaling." Springer 2005.

    Examples
    --------
    >>> import numpy as np
    >>> from skcf.prototype._scaling import embed_by_norm
    >>> places = np.array([0.0, 5.0, 1.0])
    >>> embed_by_norm(np.abs(places[:, None] - places)).round(6)
    array([5., 0., 4.])
    """
    distances = _checked(distances)
    if len(distances) == 0:
        return np.zeros(0)
    canonical = _canonical_order(distances, keys)
    D = distances[np.ix_(canonical, canonical)]
    points = _in_the_plane(D)
    norms = np.linalg.norm(points - points.mean(axis=0), axis=1)
    farthest = np.argmax(norms >= norms.max() * (1 - SIGNIFICANT))
    return _uncanonical(np.linalg.norm(points - points[farthest], axis=1), canonical)


def stress(distances, positions):
    """Kruskal's stress-1 of positions on a line ([1]_; [2]_, section 3.2).

    ``sqrt(sum_{i < j} (d_ij - b |x_i - x_j|)^2 / sum_{i < j} d_ij^2)`` with the factor b that makes
    it least, so that the unit of the positions has no say.

    Range 0 (the distances are those on the line) to 1; 0 where all distances are 0.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, n)
        Symmetric.
    positions : ndarray of float64, shape (n,)
        Places on the line.

    Returns
    -------
    float

    References
    ----------
    .. [1] J. B. Kruskal. "Multidimensional scaling by optimizing goodness of fit to a nonmetric
       hypothesis." Psychometrika 29 (1964), 1-27.
    .. [2] I. Borg, P. Groenen. "Modern multidimensional scaling." Springer 2005.
    """
    given, embedded = _pairs(distances, positions)
    if not given.any():
        return 0.0
    fitted = embedded @ embedded
    factor = given @ embedded / fitted if fitted > 0 else 0.0
    return float(np.linalg.norm(given - factor * embedded) / np.linalg.norm(given))


def rank_correlation(distances, positions):
    """Spearman's rank correlation of given distances and those on the line.

    Range -1 to 1 (the same order of all pairs); differences that are rounding errors are ties.
    1 for less than three categories, which any line holds. 0 where the distances, or those on the
    line, are all equal: the one has no order to keep, or the other none to show.

    Parameters
    ----------
    distances : ndarray of float64, shape (n, n)
        Symmetric.
    positions : ndarray of float64, shape (n,)
        Places on the line.

    Returns
    -------
    float
    """
    if len(positions) < 3:
        return 1.0
    ranks = [rankdata(_without_rounding(pairs)) for pairs in _pairs(distances, positions)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _pairs(distances, positions):
    """Given and embedded distances of all pairs."""
    i, j = np.triu_indices(len(positions), 1)
    return distances[i, j], np.abs(positions[i] - positions[j])


def _without_rounding(values):
    """Whole multiples of the smallest difference that counts."""
    largest = values.max()
    return np.rint(values / (largest * SIGNIFICANT)) if largest > 0 else values


def _checked(distances):
    """Distances as floats, or what is wrong with them."""
    distances = np.asarray(distances, dtype=np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be a square matrix, got shape {distances.shape}.")
    if not np.isfinite(distances).all() or (distances < 0).any():
        raise ValueError("distances must be finite and not negative.")
    if not np.allclose(distances, distances.T, rtol=SIGNIFICANT) or np.diag(distances).any():
        raise ValueError("distances must be symmetric, with a diagonal of 0.")
    return distances


def _canonical_order(distances, keys):
    """Order the categories by what does not depend on the order in which they are given."""
    if len(distances) == 0:
        return np.arange(0)
    profiles = np.sort(distances, axis=1)
    return np.lexsort([*keys[::-1], *profiles.T])


def _uncanonical(values, canonical):
    """Give values back in the order in which the categories came."""
    given = np.empty_like(values)
    given[canonical] = values
    return given


def _oriented(positions, keys):
    """Turn the line so that its positive end is a matter of convention."""
    if not positions.any():
        return positions
    for key in keys:
        tilt = (key - key.mean()) @ positions
        if abs(tilt) > SIGNIFICANT * np.linalg.norm(key) * np.linalg.norm(positions):
            return positions * np.sign(tilt)
    cubes = positions**3
    if abs(cubes.sum()) > SIGNIFICANT * np.abs(cubes).sum():
        return positions * np.sign(cubes.sum())
    return -positions if positions[np.argmax(positions != 0)] > 0 else positions


def _pulls(D, order):
    """Of each category in its order, the distances to those before less those to the ones after."""
    ordered = D[np.ix_(order, order)]
    return np.tril(ordered).sum(axis=1) - np.triu(ordered).sum(axis=1)


def _best_order(D):
    """Find the order with the largest sum of squared pulls: the best of all.

    A category's pull depends on which others come before it, not on their order. So the best
    order of a subset, as the first ones, is the best of a smaller one and a last member.
    """
    n = len(D)
    gains = _squared_pulls(D)
    best, last = np.full(1 << n, -1.0), np.zeros(1 << n, dtype=np.int8)
    best[0] = 0.0
    sizes = np.zeros(1 << n, dtype=np.int8)
    for j in range(n):
        sizes[1 << j : 2 << j] = sizes[: 1 << j] + 1
    for size in range(n):
        subsets = np.flatnonzero(sizes == size)
        for i in range(n):
            before = subsets[(subsets >> i) & 1 == 0]
            after, value = before | 1 << i, best[before] + gains[i, before]
            better = value > best[after]
            best[after[better]], last[after[better]] = value[better], i
    order, subset = np.empty(n, dtype=np.intp), (1 << n) - 1
    for place in reversed(range(n)):
        order[place] = last[subset]
        subset ^= 1 << int(order[place])
    return order


def _squared_pulls(D):
    """Squared pull of each category after each subset of them (bit j: category j is in it)."""
    n = len(D)
    pulls = np.empty((n, 1 << n))
    pulls[:, 0] = -D.sum(axis=1)
    for j in range(n):
        pulls[:, 1 << j : 2 << j] = pulls[:, : 1 << j] + 2 * D[:, j, None]
    return np.square(pulls, out=pulls)


def _searched_order(D):
    """Find the best of the orders that local search ends with."""
    rng = np.random.default_rng(0)
    starts = [np.argsort(_classical(D, 1)[:, 0]), np.argsort(_spectral(D))]
    n_random = N_RANDOM_STARTS if len(D) <= FEW else 0
    starts += [rng.permutation(len(D)) for _ in range(n_random)]
    orders = [_improved(D, order) for order in starts]
    return max(orders, key=lambda order: np.square(_pulls(D, order)).sum())


def _improved(D, order):
    """Move one category at a time to its best place, until none moves."""
    order = _sorted_by_pulls(D, order)
    pulls = _pulls(D, order)
    least = SIGNIFICANT * np.square(D).sum()
    moved = True
    while moved:
        moved = False
        for item in range(len(D)):
            place = int(np.flatnonzero(order == item)[0])
            distances = D[item, order]
            target, gain = _best_place(distances, pulls, place)
            if gain > least:
                order, pulls = _moved(order, pulls, distances, place, target)
                moved = True
    return order


def _moved(order, pulls, distances, place, target):
    """Take a category to another place: the order, and the pulls in the new order."""
    sign = 1 if target > place else -1
    passed = slice(place + 1, target + 1) if sign > 0 else slice(target, place)
    pulls = pulls.copy()
    pulls[place] += 2 * sign * distances[passed].sum()
    pulls[passed] -= 2 * sign * distances[passed]
    return tuple(np.insert(np.delete(a, place), target, a[place]) for a in (order, pulls))


def _sorted_by_pulls(D, order):
    """Sort by the best positions, again and again: what SMACOF does on a line."""
    value = -np.inf
    while True:
        pulls = _pulls(D, order)
        if np.square(pulls).sum() <= value or (np.diff(pulls) >= 0).all():
            return order
        value, order = np.square(pulls).sum(), order[np.argsort(pulls, kind="stable")]


def _best_place(distances, pulls, place):
    """Find where a category adds most to the sum of squared pulls, and how much."""
    gains = np.zeros(len(pulls))
    for side, sign in ((slice(place + 1, None), 1), (slice(None, place), -1)):
        d, theirs = distances[side][::sign], pulls[side][::sign]
        own = pulls[place] + 2 * sign * np.cumsum(d)
        others = np.cumsum(4 * d * (d - sign * theirs))
        gains[side] = (own**2 - pulls[place] ** 2 + others)[::sign]
    return int(np.argmax(gains)), gains.max()


def _classical(D, n_components):
    """Classical scaling: coordinates whose inner products come closest to those of D."""
    n = len(D)
    squares = D**2
    centred = squares - squares.mean(axis=0) - squares.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(-0.5 * (centred + squares.mean()))
    points = np.zeros((n, n_components))
    kept = min(n, n_components)
    leading = vectors[:, ::-1][:, :kept]
    points[:, :kept] = leading * np.sqrt(np.maximum(values[::-1][:kept], 0))
    return points


def _spectral(D):
    """Second eigenvector of the similarities' Laplacian."""
    similarity = D.max() - D
    np.fill_diagonal(similarity, 0.0)
    return np.linalg.eigh(np.diag(similarity.sum(axis=1)) - similarity)[1][:, 1]


def _in_the_plane(D):
    """Best points in the plane that SMACOF finds; from classical scaling in a tie."""
    rng = np.random.default_rng(0)
    n_random = N_PLANE_STARTS if len(D) <= FEW else 0
    starts = [_classical(D, 2)]
    starts += [rng.standard_normal((len(D), 2)) * D.max(initial=0) for _ in range(n_random)]
    found = [_smacof(D, points) for points in starts]
    values = np.array([value for value, _ in found])
    best = np.argmax(values <= values.min() + 1e-6 * np.square(D).sum())
    return found[best][1]


def _smacof(D, points):
    """Least squares scaling by majorisation, where no step makes the sum of squares larger."""
    value, least = np.inf, SIGNIFICANT * np.square(D).sum()
    for _ in range(N_STEPS):
        apart = cdist(points, points)
        previous, value = value, np.square(D - apart).sum()
        if value >= previous - least:
            break
        ratios = np.divide(D, apart, out=np.zeros_like(D), where=apart > 0)
        points = (ratios.sum(axis=1)[:, None] * points - ratios @ points) / len(D)
    return value, points
