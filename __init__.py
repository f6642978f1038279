"""Tannoy: a horizontally scaled WebSocket broadcast cluster for Python teams.

This folder is the package `tannoy`; its sub-packages are the folders beside this file. Importing it is cheap: a public
name brings in the module that defines it when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shared.settings import Settings

    __version__: str

__all__ = ["Settings", "__version__"]

_PUBLIC_NAMES = {"Settings": ".shared.settings"}
"""The module that defines each public name."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("tannoy")
    elif name in _PUBLIC_NAMES:
        value = getattr(import_module(_PUBLIC_NAMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
