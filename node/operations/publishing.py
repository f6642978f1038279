"""The publish operations, for clients and back ends.

WebSocket commands and the HTTP API both call these, so what has to hold for every message that enters at a node
(permissions, rates, hooks) is to be added here; what has to hold for those of the SDK too, in `fanout/publishing.py`.
"""

from ...fanout.control.control import Control
from ...fanout.history.publisher import Publisher
from ...fanout.publishing import MessagePublishing
from ...shared.clock import Clock
from ...shared.turns import Turns

OWN_BYTES = 16_384
"""Bytes that each client may have in flight at any time; whatever exceeds them takes turns with that of others."""
TURNS_BYTES = 1_048_576
"""Bytes of what takes turns, in flight at once: Redis is done with them long before they could make others late."""


class Publishing(MessagePublishing):
    """Callers wait for their turn before they publish, where they have to."""

    def __init__(self, publisher: Publisher, control: Control, clock: Clock) -> None:
        super().__init__(publisher, control, clock)
        self.turns = Turns(TURNS_BYTES, is_open=publisher.pipeline.connected.is_set)
        """Of all clients, by the bytes of what exceeds OWN_BYTES."""
