"""Where walks through the latent space lead: one small function for each endpoint."""

import numpy as np
from scipy.spatial import cKDTree

from skcf.latent._gaussians import transport_map

__all__ = ["ENDPOINTS", "Mixture"]


class Mixture:
    """The trained mixture as arrays, with what endpoints need.

    Parameters
    ----------
    means, covariances, weights : ndarray of float64
        Of the components.
    z : ndarray of float64, shape (n_rows, latent_dim)
        Codes of training rows that are well inside of their class.
    labels : ndarray of int, shape (n_rows,)
        Their class codes.
    """

    def __init__(self, means, covariances, weights, z, labels):
        self.means, self.covariances, self.weights = means, covariances, weights
        self.trees = {code: cKDTree(z[labels == code]) for code in np.unique(labels)}


def centroid(z, own, target, mixture):
    """``mu_t``, as in Algorithm 2."""
    return mixture.means[target]


def shift(z, own, target, mixture):
    """``z + mu_t - mu_s``: everybody moves alike."""
    return z + mixture.means[target] - mixture.means[own]


def transport(z, own, target, mixture):
    """``mu_t + A (z - mu_s)``: the optimal transport of one Gaussian to the other.

    The spread within the class is kept, so that people who differ are sent to different places.
    """
    ends = np.empty_like(z)
    for s, t in np.unique(np.column_stack([own, target]), axis=0):
        at = (own == s) & (target == t)
        A = transport_map(mixture.covariances[s], mixture.covariances[t])
        ends[at] = mixture.means[t] + np.einsum("ni,ij->nj", z[at] - mixture.means[s], A)
    return ends


def nearest(z, own, target, mixture):
    """Find the code of the nearest training row of the target class; mu_t where there is none."""
    ends = mixture.means[target]
    for code in np.unique(target):
        at = np.flatnonzero(target == code)
        if code in mixture.trees:
            tree = mixture.trees[code]
            ends[at] = tree.data[tree.query(z[at])[1]]
    return ends


ENDPOINTS = {"centroid": centroid, "shift": shift, "transport": transport, "nearest": nearest}
