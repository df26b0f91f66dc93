"""The smooth terms of the loss of paper 5, with their gradients in coordinates."""

import numpy as np

__all__ = [
    "AutoencoderLoss",
    "EncodedPrototypeLoss",
    "PredictionLoss",
    "PrototypeLoss",
    "lead_and_slope",
]


class PredictionLoss:
    """``c * max(-lead, -kappa)`` ([1]_, Eq. 2, times its weight).

    The lead is the probability of the target less the greatest of the others, or the same of
    scores on the logit scale, which do not saturate.

    Parameters
    ----------
    pairs : Pairs
        Rows and the classes that they are to get.
    c : ndarray of float64, shape (n_pairs,)
        Weight of the loss.
    kappa : float
        Lead beyond which there is nothing more to gain.
    probabilities : bool
        Whether the lead is one of probabilities.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    asks = True  # the classifier, about the rows that coordinates stand for

    def __init__(self, pairs, c, kappa, probabilities):
        self.pairs, self.c, self.kappa = pairs, c, kappa
        self.probabilities = probabilities

    def value(self, U, Z):
        """Its value for coordinates, and the rows that they stand for."""
        lead = self.pairs.oracle.margin(Z, self.pairs.rows, self.pairs.code, self.probabilities)
        return self.c * np.maximum(-lead, -self.kappa)

    def grad(self, U, Z):
        """Its gradient by the coordinates."""
        lead, slope = lead_and_slope(self.pairs, Z, self.probabilities)
        return -(self.c * (lead < self.kappa))[:, None] * slope


def lead_and_slope(pairs, Z, probabilities):
    """By how much the target leads, and how that changes with the coordinates.

    Parameters
    ----------
    pairs : Pairs
        Rows and the classes that they are to get.
    Z : ndarray of float64, shape (n_pairs, n_features)
        Encoded rows to be asked about.
    probabilities : bool
        Whether the lead is one of probabilities, rather than of scores.

    Returns
    -------
    lead : ndarray of float64, shape (n_pairs,)
    slope : ndarray of float64, shape (n_pairs, n_features)
        By finite differences where the classifier has no gradients; along the axes of categories,
        between the next ones on both sides.
    """
    asked, oracle = (Z, pairs.rows, pairs.code), pairs.oracle
    categorical = pairs.space.constraints_.categorical
    ask = oracle.margin_and_swaps if categorical else oracle.margin_and_grad
    answer = ask(*asked, probabilities)
    if answer is None:
        answer = (
            oracle.margin(*asked, probabilities),
            oracle.central_differences(*asked, probabilities=probabilities),
            oracle.category_differences(*asked, probabilities) if categorical else {},
        )
    slope = answer[1] * pairs.space.scale_
    for j in categorical:
        slope[:, j] = slope_along(pairs.axes.axis(j), answer[2][j], Z[:, j])
    return answer[0], slope


def slope_along(position, change, code):
    """Slope along an axis of categories: between the next ones on both sides.

    Parameters
    ----------
    position : ndarray of float64, shape (n_categories,)
        Where the categories stand.
    change : ndarray of float64, shape (n, n_categories)
        Change of the lead with each category, instead of the row's.
    code : ndarray of float64, shape (n,)
        The row's.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 for codes without a place.
    """
    slope, placed = np.zeros(len(code)), np.flatnonzero(code >= 0)
    if len(position) < 2 or not len(placed):
        return slope
    order = np.argsort(position, kind="stable")
    rank = np.argsort(order, kind="stable")[code[placed].astype(np.intp)]
    below, above = order[np.maximum(rank - 1, 0)], order[np.minimum(rank + 1, len(order) - 1)]
    rise = change[placed, above] - change[placed, below]
    slope[placed] = rise / (position[above] - position[below])
    return slope


class PrototypeLoss:
    """``theta * ||u - prototype||**2`` ([1]_, Eq. 10).

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    asks = False

    def __init__(self, pairs, theta):
        self.pairs, self.theta = pairs, theta

    def _gap(self, U):
        """From the prototype; 0 for what has no place on one of both sides."""
        return np.nan_to_num(U - self.pairs.prototype)

    def value(self, U, Z):
        """Its value for coordinates."""
        return self.theta * np.sum(self._gap(U) ** 2, axis=1)

    def grad(self, U, Z):
        """Its gradient by the coordinates."""
        return 2 * self.theta * self._gap(U)


class EncodedPrototypeLoss:
    """``theta * ||ENC(x) - prototype||**2`` ([1]_, Eq. 9).

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    asks = False

    def __init__(self, pairs, theta, encoder):
        self.pairs, self.theta, self.encoder = pairs, theta, encoder

    def value(self, U, Z):
        """Its value for coordinates."""
        gap = self.encoder.values(U * self.pairs.space.scale_) - self.pairs.prototype
        return self.theta * np.sum(gap**2, axis=1)

    def grad(self, U, Z):
        """Its gradient by the coordinates."""
        scale, prototype = self.pairs.space.scale_, self.pairs.prototype
        _, back = self.encoder.residual_pullback(U * scale, lambda out, b: out - prototype[b])
        return 2 * self.theta * back * scale


class AutoencoderLoss:
    """``gamma * ||u - AE(u)||**2`` ([1]_, Eq. 4), in the units of the coordinates.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """

    asks = False

    def __init__(self, pairs, gamma, autoencoder):
        self.pairs, self.gamma, self.autoencoder = pairs, gamma, autoencoder

    def value(self, U, Z):
        """Its value for coordinates."""
        scale = self.pairs.space.scale_
        residual = self._residual(U, self.autoencoder.values(U * scale))
        return self.gamma * np.sum(residual**2, axis=1)

    def _residual(self, U, values):
        """What is not reconstructed; what is missing is as good as reconstructed."""
        return np.nan_to_num(U - values / self.pairs.space.scale_)

    def grad(self, U, Z):
        """Its gradient by the coordinates."""
        scale = self.pairs.space.scale_
        weighted, back = self.autoencoder.residual_pullback(
            U * scale, lambda values, b: self._residual(U[b], values) / scale
        )
        return 2 * self.gamma * (weighted - back) * scale
