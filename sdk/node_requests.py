"""Requests to all nodes, and a link on which they are answered: how one session or one user is reached."""

import asyncio
import secrets
from functools import partial

from ..fanout.backend import RedisBackend
from ..fanout.control.control import Control
from ..fanout.control.requests import Request
from ..fanout.history.publisher import Publisher
from ..fanout.pubsub.link_state import Batch
from ..shared.clock import Clock
from ..shared.keyspace import Keyspace
from ..shared.sessions import SessionInfo

ANSWER_MAX_BYTES = 65_536
"""The largest answer of a node: it says how many of its sessions got a message."""


class NodeRequests:
    """Needs `run` running. Is the LinkListener of its link, on which nothing but answers comes.

    It is not subscribed to the channel of all nodes: it is asked nothing, and is not counted as a node.
    """

    def __init__(
        self,
        backend: RedisBackend,
        keyspace: Keyspace,
        publisher: Publisher,
        *,
        name: str,
        secret: bytes,
        clock: Clock,
        response_timeout: float,
    ) -> None:
        incarnation = secrets.token_hex(8)
        self._link = backend.link(
            name=f"tannoy-sdk-answers-{name}",
            echo_channel=partial(keyspace.echo, incarnation),
            clock=clock,
            listener=self,
            reader=publisher.pipeline,
            payload_max_bytes=ANSWER_MAX_BYTES,
        )
        self.control = Control(
            keyspace,
            publisher,
            incarnation=incarnation,
            secret=secret,
            clock=clock,
            answer_request=_answer_nothing,
            is_listening=self._link.live.is_set,
            response_timeout=response_timeout,
        )

    async def run(self) -> None:
        """Keep the link for ever."""
        _, own_channel = self.control.channels
        self._link.subscribe(own_channel)
        await self._link.run()

    @property
    def listening(self) -> asyncio.Event:
        """Set while the answers of nodes would come."""
        return self._link.live

    # ---- LinkListener

    def deliver_batch(self, batch: Batch) -> None:
        for channel, payload in batch:
            self.control.handle_message(channel, payload)

    def on_subscribed(self, channels: list[bytes]) -> None:
        """The link is live only when it is subscribed."""

    def on_live(self) -> None:
        """What was missed meanwhile is answers, whose requests have failed."""


def _answer_nothing(request: Request) -> tuple[int, tuple[SessionInfo, ...]]:
    return 0, ()  # it has no sessions
