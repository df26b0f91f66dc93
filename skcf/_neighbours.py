"""Nearest points, and the radius that holds a share of them."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

__all__ = ["holding", "nearest_both_ways", "nearest_distances"]

FEW = 2**20
"""Distances that are computed, all of them, sooner than a search is set up: 8 MiB."""

ROUNDING = 1e-9  # of a share times a number of points


def nearest_distances(points, others, apart=False):
    """Distance of each point to the nearest of the others.

    Parameters
    ----------
    points, others : ndarray of float64, shapes (n_points, n) and (n_others, n)
    apart : bool, default=False
        Whether both have the same rows, which may have been moved: a point's own like, the one at
        its place, is none of its neighbours then.

    Returns
    -------
    ndarray of float64, shape (n_points,)
        Infinite for a point that has no neighbour.
    """
    if len(points) * len(others) <= FEW:
        distances = cdist(points, others)
        if apart:
            np.fill_diagonal(distances, np.inf)
        return distances.min(axis=1)
    k = min(1 + apart, len(others))
    distances, places = NearestNeighbors(n_neighbors=k).fit(others).kneighbors(points)
    if apart:
        distances = np.where(places == np.arange(len(points))[:, None], np.inf, distances)
    return distances.min(axis=1)


def nearest_both_ways(points, others):
    """Distance of each point to the nearest of the others, and of each of these to the points.

    Parameters
    ----------
    points, others : ndarray of float64, shapes (n_points, n) and (n_others, n)

    Returns
    -------
    tuple of ndarray of float64, shapes (n_points,) and (n_others,)
    """
    if len(points) * len(others) <= FEW:
        distances = cdist(points, others)
        return distances.min(axis=1), distances.min(axis=0)
    return nearest_distances(points, others), nearest_distances(others, points)


def holding(distances, level):
    """Find the smallest radius that holds such a share of the distances."""
    held = int(np.ceil(level * len(distances) - ROUNDING))
    return float(np.sort(distances)[max(held, 1) - 1])
