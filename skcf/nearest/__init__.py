"""The nearest real row of the target class, made as small a change as it can be."""

from skcf.nearest._nearest import NearestExplainer

__all__ = ["NearestExplainer"]
