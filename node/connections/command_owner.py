"""What the command loop of a connection needs of it."""

from typing import Protocol

from ...shared.codes import CloseCode, DisconnectRule
from ...shared.protocol.frames import NodeFrame
from ..delivery.outbox import Outbox
from ..protocols.effects import JoinChannel, JoinedChannel
from ..protocols.encoding import Encoding
from ..protocols.session import Session
from .keepalive import Keepalive


class CommandOwner(Protocol):
    """A connection, as its command loop sees it."""

    @property
    def session(self) -> Session: ...
    @property
    def address(self) -> str | None:
        """The client's; None: it has none."""
        ...

    @property
    def encoding(self) -> Encoding: ...
    @property
    def is_open(self) -> bool:
        """Between `welcome` and `bye`."""
        ...

    @property
    def is_busy(self) -> bool:
        """Opening, or joining a channel: commands have to wait."""
        ...

    @property
    def may_serve(self) -> bool:
        """Whether the session may be sent anything: its leases, if it has any, cannot be another's by now."""
        ...

    @property
    def outbox(self) -> Outbox: ...
    @property
    def keepalive(self) -> Keepalive: ...
    def answer(self, node_frame: NodeFrame) -> None:
        """Send the answer to a command."""
        ...

    def close(
        self, code: CloseCode, *, retry_after: float | None = None, rule: DisconnectRule | None = None
    ) -> None: ...
    def start_join(self, effect: JoinChannel) -> None:
        """Join a channel, answer, and then call `resume`."""
        ...

    def refresh_token(self, token: str) -> float:
        """Go on with another token; returns when it expires, in Unix seconds. Raises Refused."""
        ...

    def leave_channel(self, joined: JoinedChannel) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
