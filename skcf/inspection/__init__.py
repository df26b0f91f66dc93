"""Displays: counterfactuals as pictures, in scikit-learn's Display convention."""

from skcf.inspection._counterfactual_display import CounterfactualDisplay

__all__ = ["CounterfactualDisplay"]
