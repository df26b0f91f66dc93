"""One sparse translation for each pair of groups, consistent over all of them."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skcf.group._integrated_gradients import GroupIntegratedGradients

_HOME: dict[str, str] = {
    "GroupIntegratedGradients": "skcf.group._integrated_gradients",
}

__all__ = ["GroupIntegratedGradients"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skcf.group' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
