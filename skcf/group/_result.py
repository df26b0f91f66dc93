"""GroupResult: what ``explain`` of the group explainers returns."""

from dataclasses import dataclass, field

import numpy as np

from skcf._result import CounterfactualResult

__all__ = ["GroupResult"]


@dataclass(frozen=True, repr=False, eq=False)
class GroupResult(CounterfactualResult):
    """Counterfactuals with the group that each row was translated to.

    Beside the attributes of `CounterfactualResult`:

    Attributes
    ----------
    origin_group : ndarray of shape (n_samples,)
        The group that the row belongs to, which is ``y``; None where it belongs to none.
    target_group : ndarray of object, shape (n_samples,)
        The group that it was translated to; None where it was not moved.
    magnitude : ndarray of float64, shape (n_samples,)
        Which part of the groups' translation was taken: 1 with ``magnitude="group"``; NaN where
        the row was not moved.
    """

    target_group: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    magnitude: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def origin_group(self) -> np.ndarray:
        """The group that each row belongs to."""
        return self.y
