"""CollectiveResult: what CCEExplainer's ``explain`` returns."""

from dataclasses import dataclass, field

import numpy as np

from skcf._result import CounterfactualResult

__all__ = ["CollectiveResult"]


@dataclass(frozen=True, repr=False, eq=False)
class CollectiveResult(CounterfactualResult):
    """Counterfactuals with the effort and the price of each.

    Beside the attributes of `CounterfactualResult`:

    Attributes
    ----------
    effort : ndarray of float64, shape (n_samples,)
        What the move costs, in the plan's unit: mean costs of the population. NaN where there
        is no move.
    price : ndarray of float64, shape (n_samples,)
        Price of crowding at the target, in the same unit: how much one more person there adds to
        the crowding penalty. Negative where there is room. Effort and price add up to what
        is smallest for each row.
    target_index : ndarray of int, shape (n_samples,)
        The row of ``targets_`` that the counterfactual is led to; -1 for none.
    occupied_index : ndarray of int, shape (n_samples,)
        The row of ``targets_`` that the counterfactual stands nearest to: `target_index`, unless
        it was refined or is a barycentre.
    """

    effort: np.ndarray = field(default_factory=lambda: np.empty(0))
    price: np.ndarray = field(default_factory=lambda: np.empty(0))
    target_index: np.ndarray = field(default_factory=lambda: np.empty(0))
    occupied_index: np.ndarray = field(default_factory=lambda: np.empty(0))

    def summary(self) -> dict[str, float]:
        """Sum the result up in a few numbers.

        Returns
        -------
        dict
            Those of `CounterfactualResult`, and over the rows that got a counterfactual
            ``mean_effort``, and ``mean_price`` over those led to a target (NaN if none).
        """
        found = self.status == "found"
        led = found & ~np.isnan(self.price)
        return {
            **super().summary(),
            "mean_effort": float(self.effort[found].mean()) if found.any() else float("nan"),
            "mean_price": float(self.price[led].mean()) if led.any() else float("nan"),
        }

    def _measures(self):
        """What the HTML table shows of each row beside its values, as {heading: numbers}."""
        return {**super()._measures(), "effort": self.effort, "price": self.price}
