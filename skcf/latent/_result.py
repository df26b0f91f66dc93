"""What the explainers of the latent space return."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skcf._result import CounterfactualResult

__all__ = ["GDLResult", "GMMLatentResult", "LatentPath", "LatentResult"]


@dataclass(frozen=True, repr=False, eq=False)
class LatentResult(CounterfactualResult):
    """Counterfactuals with their codes.

    Beside the attributes of `CounterfactualResult`:

    Attributes
    ----------
    latent : ndarray of float64, shape (n_samples, latent_dim)
        Code z of the row; NaN where none was needed.
    latent_cf : ndarray of float64, shape (n_samples, latent_dim)
        Code from which the counterfactual was decoded.
    """

    latent: np.ndarray = field(default_factory=lambda: np.empty(0))
    latent_cf: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, repr=False, eq=False)
class GDLResult(LatentResult):
    """Counterfactuals of a descent in the latent space.

    Beside the attributes of `CounterfactualResult`, and ``latent`` and ``latent_cf``, codes z of
    the row and of the counterfactual:

    Attributes
    ----------
    n_steps : ndarray of int, shape (n_samples,)
        Steps of the descent.
    """

    n_steps: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, repr=False, eq=False)
class GMMLatentResult(LatentResult):
    """Counterfactuals with where they are on the way through the latent space.

    Beside the attributes of `CounterfactualResult`, and ``latent`` and ``latent_cf``, codes z of
    the row and of the counterfactual:

    Attributes
    ----------
    alpha : ndarray of float64, shape (n_samples,)
        How far it is to the endpoint, 1 being there; NaN where the way to it did not arrive, and
        the counterfactual is on the way to a real row, or where none was needed.
    """

    alpha: np.ndarray = field(default_factory=lambda: np.empty(0))

    def summary(self) -> dict[str, float]:
        """Sum the result up in a few numbers.

        Returns
        -------
        dict
            Those of `CounterfactualResult`, and over the rows that got a counterfactual:
            ``mean_alpha`` of those that arrived (NaN if none did), and ``share_by_latent``, how
            many these are.
        """
        alpha = self.alpha[self.status == "found"]
        arrived = alpha[~np.isnan(alpha)]
        return {
            **super().summary(),
            "mean_alpha": float(arrived.mean()) if len(arrived) else float("nan"),
            "share_by_latent": len(arrived) / len(alpha) if len(alpha) else float("nan"),
        }


@dataclass(frozen=True, repr=False, eq=False)
class LatentPath:
    """Rows on their way through the latent space (Figure 3 of the paper).

    Attributes
    ----------
    X : ndarray or DataFrame of shape (n_samples * n_steps, n_columns)
        All steps of the first row, then those of the second, and so on; the index repeats.
    score : ndarray of float64, shape (n_samples * n_steps,)
        What the classifier says: the logistic function of the target's lead, which of two classes
        is its probability. 0 and 1 where it gives labels alone.
    alpha : ndarray of float64, shape (n_samples * n_steps,)
        How far each is, from 0 to 1, the endpoint.
    row, step : ndarray of int, shape (n_samples * n_steps,)
        Position of the row, and number of the step.
    y_target : ndarray of shape (n_samples * n_steps,)
        The class that it leads to.
    latent : ndarray of float64, shape (n_samples * n_steps, latent_dim)
        Codes.
    """

    X: Any
    score: np.ndarray
    alpha: np.ndarray
    row: np.ndarray
    step: np.ndarray
    y_target: np.ndarray
    latent: np.ndarray

    def __repr__(self):
        """Say how many rows and steps there are."""
        n_steps = int(self.step.max(initial=-1)) + 1
        n_rows = len(self.step) // max(n_steps, 1)
        return f"<{type(self).__name__} of {n_rows} rows in {n_steps} steps>"
