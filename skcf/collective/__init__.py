"""CCEExplainer: collective counterfactuals for a whole population."""

from skcf.collective._collective import CCEExplainer
from skcf.collective._frontier import CrowdingFrontier
from skcf.collective._path_result import PathResult
from skcf.collective._result import CollectiveResult

__all__ = ["CCEExplainer", "CollectiveResult", "CrowdingFrontier", "PathResult"]
