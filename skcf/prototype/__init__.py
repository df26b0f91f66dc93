"""Counterfactuals that are guided by prototypes of the classes."""

from skcf.prototype._prototype import PrototypeExplainer
from skcf.prototype._result import PrototypeResult

__all__ = ["PrototypeExplainer", "PrototypeResult"]
