"""The pairs of rows and prototypes that are solved for, and what solvers may ask of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Pairs", "elastic_net"]


@dataclass(frozen=True)
class Pairs:
    """Rows to be explained, each with a prototype that its counterfactual is guided to.

    Solvers move in coordinates: numbers and ordinal categories over their scales, other categories
    at their place on an axis. What is judged is always a row: coordinates are snapped to it, and
    it is projected on the constraints, before the classifier is asked.

    Attributes
    ----------
    axes : CategoricalAxes
        Coordinates and encoded rows, there and back.
    oracle : Oracle
        Answers what the classifier says.
    Z : ndarray of float64, shape (n_pairs, n_features)
        Encoded rows.
    rows : ndarray of int, shape (n_pairs,)
        Which of the oracle's rows each of them is.
    code : ndarray of int, shape (n_pairs,)
        Class codes that they are to get.
    prototype : ndarray of float64, shape (n_pairs, n_dimensions)
        Where they are guided to: in coordinates, or what an encoder makes of rows.
    min_margin : float
        Margin, on the logit scale, that counts as valid.
    beta : float
        Weight of the L1 norm.
    """

    axes: Any
    oracle: Any
    Z: np.ndarray
    rows: np.ndarray
    code: np.ndarray
    prototype: np.ndarray
    min_margin: float
    beta: float

    def __len__(self):
        """Number of pairs."""
        return len(self.Z)

    def take(self, at):
        """Some of the pairs, in this order; they may occur several times."""
        fields = {name: getattr(self, name)[at] for name in ("Z", "rows", "code", "prototype")}
        return replace(self, **fields)

    @property
    def space(self):
        """The constraints and the weights."""
        return self.oracle.space

    @cached_property
    def start(self):
        """Coordinates of the rows; NaN for what has no place."""
        return self.axes.place(self.Z)

    def hardened(self, U, start):
        """The allowed rows that coordinates stand for, encoded."""
        return self.space.constraints_.project(self.axes.snap(U, self.Z, start), self.Z)

    def valid(self, found):
        """Tell which encoded rows are as far inside of their class as they are to be."""
        margin = self.oracle.margin(found, self.rows, self.code)
        # labels alone tell of no distance
        least = self.min_margin if self.oracle.has_scores else 0.0
        return (margin >= least) & (margin > 0)

    def elastic_net(self, found):
        """Weighted ``beta * L1 + L2**2`` of the changes, in coordinates, shape (n_pairs,)."""
        return elastic_net(self.axes.place(found), self.start, self.beta, self.space.weight_)


def elastic_net(U, start, beta, weight):
    """``sum_j w_j (beta |u_j - u0_j| + (u_j - u0_j)**2)`` ([1]_, Eq. 3, with weights).

    Something that gets a value, or another one that has no place, counts as a step of 1.

    References
    ----------
    .. [1] A. Van Looveren, J. Klaise. "Interpretable counterfactual explanations guided by
       prototypes." ECML PKDD 2021.
    """
    step = np.abs(U - start)
    step = np.where(np.isnan(step), (np.isnan(U) != np.isnan(start)).astype(float), step)
    return (step * (beta + step)) @ weight
