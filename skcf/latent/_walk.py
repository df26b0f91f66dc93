"""Algorithm 2, batched: from the code of a row towards an endpoint, until the label flips.

All steps of all rows are decoded and asked about together: once on a coarse grid, and once more
within the section in which the label flips first. A grid that is fine enough to end up within a
small tolerance at once would take hundreds of steps, and a coarse one jumps over it.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import expit

__all__ = ["Criterion", "Paths", "follow"]

BLOCK_ELEMENTS = 2**22
"""Values of the candidates that are asked about at a time: 32 MiB."""

MOST_ROUNDS = 12
"""Of sections, where the score is to be within a tolerance."""


@dataclass
class Paths:
    """Ways of rows through the latent space; all arrays have one entry for each.

    The columns at step alpha are ``D(z, z_u) + (1 - alpha) residual + alpha end_residual``, with
    the codes as far between their ends. With ``residual = x - D(z_q, z_u)`` the path begins at the
    row itself.

    Attributes
    ----------
    Z : ndarray of float64, shape (n, n_features)
        Encoded rows.
    rows, target : ndarray of int, shape (n,)
        Which of the oracle's rows each is, and the class that it is to have.
    z, z_u, residual : ndarray of float64
        Codes of the beginning, and what is added to the columns.
    end, end_u, end_residual : ndarray of float64
        The same of the endpoint.
    """

    Z: np.ndarray
    rows: np.ndarray
    target: np.ndarray
    z: np.ndarray
    z_u: np.ndarray
    residual: np.ndarray
    end: np.ndarray
    end_u: np.ndarray
    end_residual: np.ndarray

    def __len__(self):
        return len(self.Z)

    def take(self, at):
        """Some of them."""
        return replace(self, **{f.name: getattr(self, f.name)[at] for f in fields(self)})

    def candidates(self, codes, constraints, alpha):
        """Encoded rows at steps, allowed: one step a path."""
        a = alpha[:, None]
        columns = codes.decode(self.z + a * (self.end - self.z), self.codes_u(a))
        columns += self.residual + a * (self.end_residual - self.residual)
        return constraints.project(codes.heads.rows(columns, self.Z), self.Z)

    def codes_u(self, a):
        """Residual codes at steps."""
        return self.z_u + a * (self.end_u - self.z_u)


@dataclass
class Criterion:
    """When a walk has arrived.

    Attributes
    ----------
    min_margin : float
        Margin on the logit scale that a counterfactual is to have.
    target_score : float
        Score of the target class that it is to have, T.
    tol : float or None
        How far beyond T its score may be.
    """

    min_margin: float
    target_score: float
    tol: float | None

    def least(self, has_scores):
        """The margin that is asked for; where there are no scores, any that is positive."""
        if not has_scores:
            return 0.5
        tiny = np.finfo(float).tiny  # a margin of zero is a tie, which may go either way
        score = np.clip(self.target_score, 0.0, 1 - 1e-15)
        return max(self.min_margin, tiny, np.log(score / (1 - score)) if score > 0 else -np.inf)

    def is_too_far(self, margin):
        """Which scores are not within the tolerance of T."""
        if self.tol is None:
            return np.zeros(len(margin), dtype=bool)
        return np.abs(expit(margin) - self.target_score) >= self.tol


def follow(paths, codes, oracle, criterion, n_alphas, alpha_max):
    """Walk along paths up to where they first arrive.

    Parameters
    ----------
    paths : Paths
        Where to walk.
    codes : Codes
        Decodes.
    oracle : Oracle
        Answers what the classifier says.
    criterion : Criterion
        When a walk has arrived.
    n_alphas : int
        Sections of the path, and again of the one in which the label flips.
    alpha_max : float
        Where the path ends; 1 is the endpoint.

    Returns
    -------
    found : ndarray of float64, shape (n, n_features)
        Encoded rows: where the path first arrives; where it never does, the step with the best
        margin.
    alpha, margin : ndarray of float64, shape (n,)
        The step, and its margin.
    """
    found, alpha, margin = np.empty(paths.Z.shape), np.empty(len(paths)), np.empty(len(paths))
    width = max(paths.Z.shape[1], codes.layout.n_columns)
    size = max(1, BLOCK_ELEMENTS // (n_alphas * width))
    for first in range(0, len(paths), size):
        b = slice(first, first + size)
        search = _Search(paths.take(b), codes, oracle, criterion)
        found[b], alpha[b], margin[b] = search.first_crossing(n_alphas, alpha_max)
    return found, alpha, margin


class _Search:
    """What all rounds of a block of paths share."""

    def __init__(self, paths, codes, oracle, criterion):
        self.paths, self.codes, self.oracle, self.criterion = paths, codes, oracle, criterion
        self.constraints = oracle.space.constraints_
        self.least = criterion.least(oracle.has_scores)

    def first_crossing(self, n_alphas, alpha_max):
        """Look along the whole path, and then into the section of the first crossing."""
        n = len(self.paths)
        everyone = np.arange(n)
        high, found, margin = self._round(everyone, np.zeros(n), np.full(n, alpha_max), n_alphas)
        low = high - alpha_max / n_alphas
        look = np.flatnonzero(margin >= self.least)
        for _ in range(1 if self.criterion.tol is None else MOST_ROUNDS):
            if not len(look):
                break
            step = (high[look] - low[look]) / n_alphas
            ends = low[look], high[look] - step, n_alphas - 1
            alpha, rows, better = self._round(look, *ends)
            inside = better >= self.least
            high[look[inside]], margin[look[inside]] = alpha[inside], better[inside]
            found[look[inside]] = rows[inside]
            low[look] = high[look] - step
            look = look[self.criterion.is_too_far(margin[look])]
        return found, high, margin

    def _round(self, look, low, high, n_steps):
        """Take equal steps between two ends, the upper one included.

        Returns
        -------
        alpha, found, margin : ndarray
            Of the first step that is far enough inside; else of the one with the best margin.
        """
        share = np.arange(1, n_steps + 1) / n_steps
        alpha = low[:, None] + (high - low)[:, None] * share
        of = np.repeat(look, n_steps)
        paths = self.paths.take(of)
        candidates = paths.candidates(self.codes, self.constraints, alpha.ravel())
        margin = self.oracle.margin(candidates, paths.rows, paths.target).reshape(alpha.shape)
        inside = margin >= self.least
        best = np.where(inside.any(axis=1), inside.argmax(axis=1), margin.argmax(axis=1))
        at = np.arange(len(look)), best
        return alpha[at], candidates.reshape(*alpha.shape, -1)[at], margin[at]
