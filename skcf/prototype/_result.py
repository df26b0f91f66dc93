"""PrototypeResult: what PrototypeExplainer's ``explain`` returns."""

from dataclasses import dataclass, field

import numpy as np

from skcf._result import CounterfactualResult

__all__ = ["PrototypeResult"]


@dataclass(frozen=True, repr=False, eq=False)
class PrototypeResult(CounterfactualResult):
    """Counterfactuals with their elastic net and the prototype of each.

    Beside the attributes of `CounterfactualResult`:

    Attributes
    ----------
    elastic_net : ndarray of float64, shape (n_samples,)
        ``beta * L1 + L2**2`` of the changes in the explainer's coordinates; NaN where no
        counterfactual was found or needed.
    prototype_index : ndarray of int, shape (n_samples,)
        The row of the training data that the counterfactual was guided to; -1 where there is
        none, or where an encoder's prototype is a mean of rows.
    c : ndarray of float64, shape (n_samples,)
        Weight of the prediction loss that gave it; 0 without that loss, NaN where none was found.
    """

    elastic_net: np.ndarray = field(default_factory=lambda: np.empty(0))
    prototype_index: np.ndarray = field(default_factory=lambda: np.empty(0))
    c: np.ndarray = field(default_factory=lambda: np.empty(0))

    def summary(self) -> dict[str, float]:
        """Sum the result up in a few numbers.

        Returns
        -------
        dict
            Those of `CounterfactualResult`, and ``mean_elastic_net`` over the rows that got a
            counterfactual (NaN if none did).
        """
        found = self.status == "found"
        mean = float(self.elastic_net[found].mean()) if found.any() else float("nan")
        return {**super().summary(), "mean_elastic_net": mean}
