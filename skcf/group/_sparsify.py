"""Translations of k features.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
"""

import numpy as np

from skcf.group._pairs import pairwise

__all__ = ["SUPPORTS", "check_sparsity", "sparsified", "supports"]

SUPPORTS = ("pair", "shared")


def sparsified(T, k, support="pair", pairs=None):
    """Translations of all pairs, with the k features that change most.

    Parameters
    ----------
    T : ndarray of float64, shape (..., n_groups, n_features)
        Translations of the groups.
    k : int or None
        How many features. None: all.
    support : {"pair", "shared"}, default="pair"
        "pair": the k largest ``|delta_ij|`` of each pair, as published ([1]_, section 3.3), which
        keeps symmetry but not transitivity. "shared": one support for all pairs, which keeps both.
    pairs : Pairs, default=None
        Those that choose a shared support. None: all.

    Returns
    -------
    ndarray of float64, shape (..., n_groups, n_groups, n_features)
        From i to j at [..., i, j].
    """
    deltas = pairwise(T)
    if k is None:
        return deltas
    choosing = deltas if support == "pair" or pairs is None else pairs.deltas(T)[..., None, :, :]
    return np.where(supports(choosing, k, support), deltas, 0.0)


def supports(deltas, k, support="pair"):
    """Where translations are kept: the k largest changes, the first ones of equals.

    Parameters
    ----------
    deltas : ndarray of float64, shape (..., n_pairs, n_features) or (..., g, g, n_features)
        The latter's axes of groups are one of pairs for a shared support.
    k : int
        At least 1, and at most n_features.
    support : {"pair", "shared"}, default="pair"

    Returns
    -------
    ndarray of bool
        Of the shape of deltas, or of one that broadcasts to it.
    """
    check_sparsity(k, deltas.shape[-1], support)
    sizes = np.abs(deltas)
    return _largest(sizes if support == "pair" else sizes.sum(axis=(-3, -2), keepdims=True), k)


def check_sparsity(k, n_features, support):
    """Refuse numbers of features, and supports, that cannot be."""
    if support not in SUPPORTS:
        raise ValueError(f"support must be one of {SUPPORTS}, got {support!r}.")
    if not 1 <= k <= n_features:
        raise ValueError(
            f"n_features_to_change must be from 1 to {n_features}, the number of features; got {k}."
        )


def _largest(sizes, k):
    order = np.argsort(-sizes, axis=-1, kind="stable")[..., :k]
    kept = np.zeros(sizes.shape, dtype=bool)
    np.put_along_axis(kept, order, True, axis=-1)
    return kept
