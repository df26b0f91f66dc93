"""PrototypeExplainer that writes down when the counterfactual of each row was found."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skcf import PrototypeExplainer
from skcf.prototype._problem import Pairs

__all__ = ["Log", "WatchedExplainer", "WatchedPairs"]


@dataclass
class Log:
    """What happened to each row: how often it was looked at, the least elastic net, and when.

    FISTA looks once after each gradient step. The sequential solver looks before the first one,
    after each, and once in the end, on the way back.
    """

    steps: np.ndarray
    cost: np.ndarray
    best: np.ndarray
    pending: tuple[Any, Any] = (None, None)

    @classmethod
    def of(cls, n_rows):
        """Nothing so far."""
        return cls(np.zeros(n_rows, int), np.full(n_rows, np.inf), np.zeros(n_rows, int))

    def gradient_steps(self, solver):
        """Until the counterfactual that is kept, shape (n_rows,); the path has none."""
        if solver == "path":
            return np.zeros(len(self.best), int)
        if solver == "sequential":
            return np.minimum(self.best, self.steps - 1) - 1
        return self.best


@dataclass(frozen=True)
class WatchedPairs(Pairs):
    """Pairs that write down at which look the counterfactuals were found; rows may be repeated."""

    log: Log = field(default=None)

    def valid(self, found):
        """Asked once a step."""
        self.log.steps[self.rows] += 1
        is_valid = super().valid(found)
        self.log.pending = found, is_valid
        return is_valid

    def elastic_net(self, found):
        """Asked after it, about the same rows; or about others, in the end."""
        value = super().elastic_net(found)
        asked, is_valid = self.log.pending
        if found is asked:
            better = is_valid & (value < self.log.cost[self.rows])
            rows = self.rows[better]
            np.minimum.at(self.log.cost, rows, value[better])
            self.log.best[rows] = self.log.steps[rows]
        return value


class WatchedExplainer(PrototypeExplainer):
    """Explainer that counts the steps of each row; for one prototype a row."""

    def watched(self, X):
        """What `explain` returns, the log, and CPU seconds."""
        self.log = Log.of(len(X))
        start = time.process_time()
        result = self.explain(X)
        return result, self.log, time.process_time() - start

    def _problem(self, *given):
        return WatchedPairs(**vars(super()._problem(*given)), log=self.log)
