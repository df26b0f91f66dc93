"""One sparse translation for each pair of groups, consistent over all of them."""

from skcf.group._dbm import DBMExplainer
from skcf.group._integrated_gradients import GroupIntegratedGradients
from skcf.group._result import GroupResult
from skcf.group._tgt import TGTExplainer

__all__ = ["DBMExplainer", "GroupIntegratedGradients", "GroupResult", "TGTExplainer"]
