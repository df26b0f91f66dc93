"""ExactExplainer: counterfactuals that are proven to be the cheapest."""

from skcf.exact._exact import ExactExplainer

__all__ = ["ExactExplainer"]
