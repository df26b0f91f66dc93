"""One sparse translation for each pair of groups, consistent over all of them."""

from importlib import import_module

_HOME: dict[str, str] = {}

__all__: list[str] = []


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'skcf.group' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
