"""Gaussian mixtures as arrays: densities, posteriors, and the transport between components."""

import numpy as np
from scipy.linalg import sqrtm
from scipy.special import logsumexp

__all__ = ["log_densities", "posterior", "transport_map"]


def log_densities(z, means, covariances):
    """Find ``log N(z; mu_c, Sigma_c)`` of each row and component.

    Parameters
    ----------
    z : ndarray of float64, shape (n, latent_dim)
        Codes.
    means : ndarray of float64, shape (n_classes, latent_dim)
        Centres.
    covariances : ndarray of float64, shape (n_classes, latent_dim[, latent_dim])
        Variances, or whole covariances.

    Returns
    -------
    ndarray of float64, shape (n, n_classes)
    """
    away = z[:, None] - means
    if covariances.ndim == 2:
        whitened, log_sigma = away / np.sqrt(covariances), 0.5 * np.log(covariances).sum(axis=1)
    else:
        factors = np.linalg.cholesky(covariances)
        whitened = np.einsum("cij,ncj->nci", np.linalg.inv(factors), away)
        log_sigma = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constant = log_sigma + 0.5 * z.shape[1] * np.log(2 * np.pi)
    return -0.5 * np.square(whitened).sum(axis=2) - constant


def posterior(z, means, covariances, weights):
    """Find ``p(c | z) = p(c) N(z; mu_c, Sigma_c) / sum_k p(k) N(z; mu_k, Sigma_k)``.

    Eq. 3 of the paper, with the prior in the denominator as well.

    Parameters
    ----------
    z : ndarray of float64, shape (n, latent_dim)
        Codes.
    means, covariances : ndarray of float64
        See `log_densities`.
    weights : ndarray of float64, shape (n_classes,)
        Priors.

    Returns
    -------
    ndarray of float64, shape (n, n_classes)
    """
    joint = log_densities(z, means, covariances) + np.log(weights)
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def transport_map(source, target):
    """Linear part A of the optimal transport between two Gaussians, ``mu_t + A (z - mu_s)``.

    ``A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2`` for covariances S and T; its cost is the Bures
    distance.

    Parameters
    ----------
    source, target : ndarray of float64, shape (latent_dim[, latent_dim])
        Variances, or whole covariances.

    Returns
    -------
    ndarray of float64, shape (latent_dim, latent_dim)
        Symmetric.
    """
    if source.ndim == 1:
        return np.diag(np.sqrt(target / source))
    root = np.real(sqrtm(source))
    inverse = np.linalg.inv(root)
    A = inverse @ np.real(sqrtm(root @ target @ root)) @ inverse
    return (A + A.T) / 2
