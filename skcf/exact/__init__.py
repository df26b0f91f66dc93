"""ExactExplainer: counterfactuals that are proven to be the cheapest."""

from skcf.exact._exact import ExactExplainer, ExactResult

__all__ = ["ExactExplainer", "ExactResult"]
