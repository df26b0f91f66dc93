"""Search in a latent space that is a Gaussian mixture (paper 2)."""

from importlib import import_module
from typing import TYPE_CHECKING

from skcf.latent._gdl import GDLExplainer
from skcf.latent._gmm_latent import GMMLatentExplainer
from skcf.latent._result import GDLResult, GMMLatentResult, LatentPath

if TYPE_CHECKING:
    from skcf.latent._modules import LatentModule
    from skcf.latent._net import GMMLatentNet

__all__ = [
    "GDLExplainer",
    "GDLResult",
    "GMMLatentExplainer",
    "GMMLatentNet",
    "GMMLatentResult",
    "LatentModule",
    "LatentPath",
]

_HOME = {"GMMLatentNet": "skcf.latent._net", "LatentModule": "skcf.latent._modules"}


def __getattr__(name: str) -> object:
    if name in _HOME:  # these take torch with them
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skcf.latent' has no attribute {name!r}")
