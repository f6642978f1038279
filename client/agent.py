"""One session of an agent: it receives what is said to the agent on any node."""

from dataclasses import dataclass
from typing import Any

from .channel import Channel
from .channel_state import ChannelState
from .event_queue import EventQueue, EventReaders
from .events import Event
from .reconnector import Reconnector


@dataclass(frozen=True, slots=True)
class AgentSession:
    """One of an agent's sessions, on whichever node. `connected_at` is RFC 3339."""

    session_id: str
    user_id: str
    username: str
    node: str
    connected_at: str


class Agent(Channel):
    """`async for message in agent`, `agent.send(…)`: to and from all sessions of the agent, over its own connection."""

    __slots__ = ("_events",)

    def __init__(self, link: Reconnector, state: ChannelState, events: EventReaders) -> None:
        super().__init__(link, state)
        self._events = events

    def events(self) -> EventQueue[Event]:
        """What happens to this connection from now on, gaps, and the private messages to its user."""
        return self._events.open()

    async def sessions(self, *, timeout: float | None = None) -> list[AgentSession]:
        """The agent's sessions on all nodes. Raises as `send` does."""
        answer = await self._call(self._command("presence"), timeout)
        return [_parse_session(each) for each in answer["sessions"]]

    async def close(self) -> None:
        """Close the connection. The iteration ends behind what was received."""
        await self._link.close()


def _parse_session(fields: dict[str, Any]) -> AgentSession:
    return AgentSession(
        fields["session_id"], fields["user_id"], fields["username"], fields["node"], fields["connected_at"]
    )
