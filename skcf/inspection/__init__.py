"""Displays: counterfactuals as pictures, in scikit-learn's Display convention."""

from skcf.inspection._actionability_display import ActionabilityDisplay
from skcf.inspection._comparison_display import ComparisonDisplay
from skcf.inspection._counterfactual_display import CounterfactualDisplay
from skcf.inspection._frontier_display import CrowdingFrontierDisplay
from skcf.inspection._group_translation_display import GroupTranslationDisplay
from skcf.inspection._image_row_display import ImageRowDisplay
from skcf.inspection._latent_display import LatentDisplay
from skcf.inspection._plan_display import PlanDisplay

__all__ = [
    "ActionabilityDisplay",
    "ComparisonDisplay",
    "CounterfactualDisplay",
    "CrowdingFrontierDisplay",
    "GroupTranslationDisplay",
    "ImageRowDisplay",
    "LatentDisplay",
    "PlanDisplay",
]
