"""Whether training has done what the search relies on: two shares, and warnings."""

import warnings

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

__all__ = ["leakage_score", "warn_of_bad_training"]

MOST_ROWS = 4000
"""That a probe learns from, and is asked about."""

LARGEST_LEAK = 0.5
"""Share of what the majority does not say that z_u may tell."""

LEAST_SWAP_VALIDITY = 0.5


def leakage_score(z_u, labels, seed):
    """Accuracy of a fresh probe that predicts the class from z_u, on rows that it has not seen.

    Parameters
    ----------
    z_u : ndarray of float64, shape (n_rows, residual_dim)
        Residual codes.
    labels : ndarray of int, shape (n_rows,)
        Class codes.
    seed : int
        Of the probe, and of which rows it learns from.

    Returns
    -------
    float
        Between 0 and 1. The majority's share where there is nothing to know.
    """
    random = np.random.RandomState(seed)
    order = random.permutation(len(z_u))[:MOST_ROWS]
    half = len(order) // 2
    learned, asked = order[: len(order) - half], order[len(order) - half :]
    if not half or len(np.unique(labels[learned])) < 2:
        return float(np.mean(labels == np.bincount(labels).argmax()))
    smallest = int(np.clip(len(learned) // 20, 1, 20))
    probe = HistGradientBoostingClassifier(
        max_iter=30, min_samples_leaf=smallest, early_stopping=False, random_state=seed
    )
    return float(probe.fit(z_u[learned], labels[learned]).score(z_u[asked], labels[asked]))


def warn_of_bad_training(leakage, majority, swap_validity, stacklevel):
    """Warn where the centroid of the target does not have the rows that are decoded there.

    That z_u tells the class is why, if it does; where rows follow the code z all the same, it does
    no harm.

    Parameters
    ----------
    leakage, majority : float
        What a probe of z_u gets right, and the share of the largest class.
    swap_validity : float
        Share of rows that are valid at the centroid.
    stacklevel : int
        Where the user called.
    """
    if swap_validity >= LEAST_SWAP_VALIDITY:
        return
    leak = (leakage - majority) / (1 - majority) if majority < 1 else 0.0
    reason = (
        f"a probe of z_u gets {leakage:.0%} of the classes right, so that what is kept of a row "
        "keeps its class. Raise adversary_weight, lower residual_dim, or set surrogate=True."
        if leak > LARGEST_LEAK
        else "raise max_epochs or lr, or set surrogate=True."
    )
    warnings.warn(
        f"Only {swap_validity:.0%} of the rows are in the target class where they are decoded at "
        f"its centroid: {reason}",
        UserWarning,
        stacklevel=stacklevel,
    )
