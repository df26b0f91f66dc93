"""Counterfactual explanations as scikit-learn estimators.

The public names are loaded on first use (PEP 562): importing ``skcf`` takes
neither torch, skorch, ot nor matplotlib with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from skcf._version import __version__

if TYPE_CHECKING:
    from skcf._exceptions import InvalidCounterfactualWarning
    from skcf._result import CounterfactualResult
    from skcf.base import BaseCounterfactual
    from skcf.collective import CCEExplainer, CollectiveResult
    from skcf.exact import ExactExplainer
    from skcf.group import DBMExplainer, TGTExplainer
    from skcf.latent import GDLExplainer, GMMLatentExplainer
    from skcf.nearest import NearestExplainer
    from skcf.prototype import PrototypeExplainer
    from skcf.space import FeatureSpace

_HOME = {
    "BaseCounterfactual": "skcf.base",
    "CCEExplainer": "skcf.collective",
    "CollectiveResult": "skcf.collective",
    "CounterfactualResult": "skcf._result",
    "DBMExplainer": "skcf.group",
    "ExactExplainer": "skcf.exact",
    "FeatureSpace": "skcf.space",
    "GDLExplainer": "skcf.latent",
    "GMMLatentExplainer": "skcf.latent",
    "InvalidCounterfactualWarning": "skcf._exceptions",
    "NearestExplainer": "skcf.nearest",
    "PrototypeExplainer": "skcf.prototype",
    "TGTExplainer": "skcf.group",
}
_SUBMODULES = (
    "base",
    "collective",
    "datasets",
    "exact",
    "group",
    "inspection",
    "latent",
    "metrics",
    "nearest",
    "prototype",
    "space",
    "transport",
)

__all__ = [
    "BaseCounterfactual",
    "CCEExplainer",
    "CollectiveResult",
    "CounterfactualResult",
    "DBMExplainer",
    "ExactExplainer",
    "FeatureSpace",
    "GDLExplainer",
    "GMMLatentExplainer",
    "InvalidCounterfactualWarning",
    "NearestExplainer",
    "PrototypeExplainer",
    "TGTExplainer",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _SUBMODULES:
        return import_module(f"skcf.{name}")
    raise AttributeError(f"module 'skcf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
