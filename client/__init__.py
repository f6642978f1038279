"""A client of a running cluster. It uses the public protocols only and imports no code of the server.

    async with connect("ws://127.0.0.1:8000") as client:
        room = await client.join("lobby")
        await room.send({"text": "hello"})
        async for item in room:
            …

Importing this is cheap: a public name brings in the module that defines it when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agent import Agent, AgentSession
    from .channel import Channel
    from .client import Client, connect
    from .messages import Gap, Message
    from .options import SlowReader
    from .presence import Presence, User
    from .room import Room

__all__ = [
    "Agent",
    "AgentSession",
    "Channel",
    "Client",
    "Gap",
    "Message",
    "Presence",
    "Room",
    "SlowReader",
    "User",
    "connect",
]

_PUBLIC_NAMES = {
    "Agent": ".agent",
    "AgentSession": ".agent",
    "Channel": ".channel",
    "Client": ".client",
    "Gap": ".messages",
    "Message": ".messages",
    "Presence": ".presence",
    "Room": ".room",
    "SlowReader": ".options",
    "User": ".presence",
    "connect": ".client",
}
"""The module that defines each public name. Events are in `tannoy.client.events`, errors in `tannoy.client.errors`."""


def __getattr__(name: str) -> object:
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_PUBLIC_NAMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
