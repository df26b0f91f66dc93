"""What the columns are, what may change, and what it costs."""

from skcf.space._feature_space import FeatureSpace

__all__ = ["FeatureSpace"]
