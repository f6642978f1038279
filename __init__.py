"""Tannoy: a horizontally scaled WebSocket broadcast cluster for Python teams.

This folder is the package `tannoy`; its sub-packages are the folders beside this file. Importing it is cheap: a public
name brings in the module that defines it when it is first used.
"""

from importlib import import_module

TYPE_CHECKING = False  # what type checkers take for that of `typing`, whose import would take longer than this one
if TYPE_CHECKING:
    from .embedding.application import Tannoy
    from .node.hooks.errors import Forbidden
    from .node.hooks.hooks import ChannelRequest, ClientMessage, LiveSession, SessionEnd
    from .node.hooks.identity import Identity
    from .sdk.async_publisher import AsyncPublisher
    from .sdk.errors import (
        InvalidName,
        InvalidSettings,
        ManyFailed,
        MessageTooLarge,
        PublisherMisused,
        PublishError,
        PublishRefused,
        PublishUnavailable,
        StreamBroken,
        Unauthorized,
    )
    from .sdk.messages import MessageFields
    from .sdk.publisher import Publisher
    from .shared.publication import Position
    from .shared.settings import Settings

    __version__: str

__all__ = [
    "AsyncPublisher",
    "ChannelRequest",
    "ClientMessage",
    "Forbidden",
    "Identity",
    "InvalidName",
    "InvalidSettings",
    "LiveSession",
    "ManyFailed",
    "MessageFields",
    "MessageTooLarge",
    "Position",
    "PublishError",
    "PublishRefused",
    "PublishUnavailable",
    "Publisher",
    "PublisherMisused",
    "SessionEnd",
    "Settings",
    "StreamBroken",
    "Tannoy",
    "Unauthorized",
    "__version__",
]

_PUBLIC_NAMES = {
    "AsyncPublisher": ".sdk.async_publisher",
    "ChannelRequest": ".node.hooks.hooks",
    "ClientMessage": ".node.hooks.hooks",
    "Forbidden": ".node.hooks.errors",
    "Identity": ".node.hooks.identity",
    "InvalidName": ".sdk.errors",
    "InvalidSettings": ".sdk.errors",
    "LiveSession": ".node.hooks.hooks",
    "ManyFailed": ".sdk.errors",
    "MessageFields": ".sdk.messages",
    "MessageTooLarge": ".sdk.errors",
    "Position": ".shared.publication",
    "PublishError": ".sdk.errors",
    "PublishRefused": ".sdk.errors",
    "PublishUnavailable": ".sdk.errors",
    "Publisher": ".sdk.publisher",
    "PublisherMisused": ".sdk.errors",
    "SessionEnd": ".node.hooks.hooks",
    "Settings": ".shared.settings",
    "StreamBroken": ".sdk.errors",
    "Tannoy": ".embedding.application",
    "Unauthorized": ".sdk.errors",
}
"""The module that defines each public name."""


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("tannoy")
    elif name in _PUBLIC_NAMES:
        if name == "Settings":
            from .shared.extras import SETTINGS_PACKAGES, require_extra

            require_extra("server", SETTINGS_PACKAGES, importer="tannoy.Settings")
        value = getattr(import_module(_PUBLIC_NAMES[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
