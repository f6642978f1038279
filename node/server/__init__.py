"""uvicorn with the fast transport, and the supervisor of several nodes.

`Protocol` is the WebSocket class for `uvicorn --ws tannoy.node.server:Protocol` (`embedded_protocol.py`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .embedded_protocol import Protocol

__all__ = ["Protocol"]


def __getattr__(name: str) -> object:
    if name != "Protocol":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .embedded_protocol import Protocol  # only uvicorn asks for it: that it is loaded says which carrier runs

    return Protocol
