"""How far a plan's marginals may be from the given masses, and what that costs.

Each divergence knows its penalty, and what the dual problem needs of it. With s the least
price a source can get away with, and g the prices posted at the targets, the dual is

    max over g of  sum_i h(s_i; a_i) - sum_j k(g_j; b_j),   s_i = min_j C_ij + g_j.

A source divergence gives h, the mass p = h'(s) that is served at that price, and -h''; a
target divergence gives k, the mass q = k'(g) that is wanted at that price, and k''.
"""

import numpy as np
from scipy.special import logsumexp, rel_entr, wrightomega

__all__ = [
    "SOURCES",
    "TARGETS",
    "ChiSquareSource",
    "ChiSquareTarget",
    "HardSource",
    "KLSource",
    "KLTarget",
]


class HardSource:
    """All mass is served: p = a (paper 1, Step 1)."""

    name = "hard"

    def __init__(self, penalty=None):
        self.penalty = np.inf

    def scaled(self, factor):
        """The same divergence with its penalty multiplied."""
        return self

    def value(self, p, a):
        """What the plan pays for its source marginal."""
        return 0.0

    def dual(self, s, a):
        """Value h of the prices s."""
        return a * s

    def mass(self, s, a):
        """Mass h' that is served at the prices s."""
        return a

    def curvature(self, s, a):
        """How fast the mass falls with the price: -h''."""
        return np.zeros_like(s)

    def soften(self, s, eps):
        """Source potential after one exact step of the entropic dual, given the soft minimum s."""
        return s


class KLSource:
    """Unserved or extra mass costs ``penalty * KL(p | a)`` (paper 1, Step 2)."""

    name = "kl"

    def __init__(self, penalty):
        self.penalty = penalty

    def scaled(self, factor):
        """The same divergence with its penalty multiplied."""
        return KLSource(self.penalty * factor)

    def value(self, p, a):
        """What the plan pays for its source marginal."""
        return self.penalty * float(np.sum(rel_entr(p, a) - p + a))

    def dual(self, s, a):
        """Value h of the prices s."""
        with np.errstate(over="ignore"):  # prices far below zero: a bound that is of no use
            return -self.penalty * a * np.expm1(-s / self.penalty)

    def mass(self, s, a):
        """Mass h' that is served at the prices s."""
        with np.errstate(over="ignore"):
            return a * np.exp(-s / self.penalty)

    def curvature(self, s, a):
        """How fast the mass falls with the price: -h''."""
        return self.mass(s, a) / self.penalty

    def soften(self, s, eps):
        """Source potential after one exact step of the entropic dual, given the soft minimum s."""
        return s * (self.penalty / (self.penalty + eps))


class ChiSquareSource:
    """Unserved or extra mass costs ``penalty * chi2(p | a)``."""

    name = "chi2"

    def __init__(self, penalty):
        self.penalty = penalty

    def scaled(self, factor):
        """The same divergence with its penalty multiplied."""
        return ChiSquareSource(self.penalty * factor)

    def value(self, p, a):
        """What the plan pays for its source marginal."""
        return self.penalty * float(np.sum((p - a) ** 2 / a))

    def dual(self, s, a):
        """Value h of the prices s; nobody is served above twice the penalty."""
        s = np.minimum(s, 2 * self.penalty)
        return a * (s - s**2 / (4 * self.penalty))

    def mass(self, s, a):
        """Mass h' that is served at the prices s."""
        return a * np.maximum(1 - s / (2 * self.penalty), 0)

    def curvature(self, s, a):
        """How fast the mass falls with the price: -h''."""
        return np.where(s < 2 * self.penalty, a / (2 * self.penalty), 0)

    def soften(self, s, eps):
        """Source potential after one exact step of the entropic dual, given the soft minimum s."""
        twice = 2 * self.penalty
        return twice - eps * wrightomega((twice - s) / eps + np.log(twice / eps)).real


class ChiSquareTarget:
    """Crowding costs ``penalty * chi2(q | b)``, with chi2(q | b) = sum (q - b)^2 / b."""

    name = "chi2"

    def __init__(self, penalty):
        self.penalty = penalty

    def scaled(self, factor):
        """The same divergence with its penalty multiplied."""
        return ChiSquareTarget(self.penalty * factor)

    def value(self, q, b):
        """What the plan pays for its target marginal."""
        return self.penalty * float(np.sum((q - b) ** 2 / b))

    def conjugate(self, g, b):
        """Value k of the prices g, without the constraint q >= 0, which the plan keeps itself."""
        return b * (g + g**2 / (4 * self.penalty))

    def mass(self, g, b):
        """Mass k' that is wanted at the prices g."""
        return b * (1 + g / (2 * self.penalty))

    def curvature(self, g, b):
        """How fast the mass rises with the price."""
        return b / (2 * self.penalty)

    def price(self, q, b):
        """Marginal cost of crowding at the mass q: the inverse of `mass`."""
        return 2 * self.penalty * (q / b - 1)

    def level(self, g, b, total):
        """How much to add to all prices, so that so much mass in total is wanted."""
        return (total - self.mass(g, b).sum()) * 2 * self.penalty / b.sum()

    def clip(self, g):
        """Prices that no optimum exceeds downwards."""
        return np.maximum(g, -2 * self.penalty)

    def soften(self, t, eps):
        """Prices after one exact step of the entropic dual, given the soft maximum t."""
        twice = 2 * self.penalty
        return eps * wrightomega((t + twice) / eps + np.log(twice / eps)).real - twice


class KLTarget:
    """Crowding costs ``penalty * KL(q | b)``."""

    name = "kl"

    def __init__(self, penalty):
        self.penalty = penalty

    def scaled(self, factor):
        """The same divergence with its penalty multiplied."""
        return KLTarget(self.penalty * factor)

    def value(self, q, b):
        """What the plan pays for its target marginal."""
        return self.penalty * float(np.sum(rel_entr(q, b) - q + b))

    def conjugate(self, g, b):
        """Value k of the prices g."""
        with np.errstate(over="ignore"):  # a step that overshoots is taken back
            return self.penalty * b * np.expm1(g / self.penalty)

    def mass(self, g, b):
        """Mass k' that is wanted at the prices g."""
        with np.errstate(over="ignore"):
            return b * np.exp(g / self.penalty)

    def curvature(self, g, b):
        """How fast the mass rises with the price."""
        return self.mass(g, b) / self.penalty

    def price(self, q, b):
        """Marginal cost of crowding at the mass q: the inverse of `mass`."""
        with np.errstate(divide="ignore"):
            return self.penalty * np.log(q / b)

    def level(self, g, b, total):
        """How much to add to all prices, so that so much mass in total is wanted."""
        return self.penalty * (np.log(total) - logsumexp(g / self.penalty, b=b))

    def clip(self, g):
        """Prices down to where a target is all but empty; an empty one would have -inf."""
        return np.maximum(g, -30 * self.penalty)

    def soften(self, t, eps):
        """Prices after one exact step of the entropic dual, given the soft maximum t."""
        return t * (self.penalty / (self.penalty + eps))


SOURCES = {"hard": HardSource, "kl": KLSource, "chi2": ChiSquareSource}
TARGETS = {"chi2": ChiSquareTarget, "kl": KLTarget}
