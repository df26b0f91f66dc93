"""Kernels of distances, and the bandwidth that they take by default."""

import numpy as np

__all__ = ["check_kernel", "kernel_of", "median_distance"]

KERNELS = ("rbf", "imq")


def check_kernel(kernel, bandwidth):
    """Refuse unknown kernels, and bandwidths that are not above zero."""
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {KERNELS}, got {kernel!r}.")
    if bandwidth is not None and not 0 < bandwidth < np.inf:
        raise ValueError(f"bandwidth must be a number above zero or None, got {bandwidth!r}.")


def kernel_of(distances, kernel, bandwidth):
    """Kernel values of Euclidean distances.

    Parameters
    ----------
    distances : ndarray of float64
        Any number of them.
    kernel : {"rbf", "imq"}
        ``exp(-d**2 / (2 h**2))``, or ``(1 + d**2 / h**2)**(-1/2)``.
    bandwidth : float
        h.

    Returns
    -------
    ndarray of float64
    """
    squared = (distances / bandwidth) ** 2
    return np.exp(-squared / 2) if kernel == "rbf" else 1 / np.sqrt(1 + squared)


def median_distance(distances):
    """Median distance of two rows that differ; 1 where all are alike."""
    above = distances[np.triu_indices_from(distances, 1)]
    above = above[above > 0]
    return np.median(above) if len(above) else 1.0
