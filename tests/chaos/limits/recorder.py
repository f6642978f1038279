"""Adds to the history what clients of agents and members of rooms see of their sessions."""

from typing import Any

from tests.chaos.harness.connection import Connection, ConnectionRegistry
from tests.chaos.harness.history import Attempt, End, Ended, Event, History, MessageReceived, UnexpectedFrame, Welcomed


class Recorder(ConnectionRegistry):
    """The open connections of a run of limits; numbers its sessions."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.snapshots_requested = 0
        """How often a member of a room missed an event and requested a snapshot."""
        self.attempts = 0

    @property
    def sockets(self) -> "list[Socket]":
        return [each for each in self.connections if isinstance(each, Socket)]

    def next_session(self) -> int:
        self.attempts += 1
        return self.attempts


class Socket(Connection):
    """One session. A subclass gets the frames that are not recorded here in `on_other_frame`."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        node: str,
        port: int,
        path: str,
        agent: str | None = None,
        room: str | None = None,
        session_name: str | None = None,
        user: str = "",
    ) -> None:
        self.recorder = recorder
        self.number = recorder.next_session()
        self.node, self.agent, self.room, self.user = node, agent, room, user
        recorder.history.add(Attempt(recorder.history.now(), self.number, agent, room, node, session_name, user))
        super().__init__(recorder, port=port, path=path)

    def on_other_frame(self, at: float, frame: dict[str, Any]) -> None:
        """For each frame except `welcome`, `bye`, `ping` and `message`."""

    def record(self, event: Event) -> None:
        self.recorder.history.add(event)

    def on_welcome(self, at: float, frame: dict[str, Any]) -> None:
        self.record(Welcomed(at, self.number, self.session_id))

    def on_frame(self, at: float, frame: dict[str, Any]) -> None:
        if frame["type"] != "message":
            self.on_other_frame(at, frame)
            return
        if not self.is_live:
            self.record(UnexpectedFrame(at, self.number, "a message before welcome"))
        self.record(MessageReceived(at, self.number, frame["content"]["n"]))

    def on_unexpected(self, at: float, what: str) -> None:
        self.record(UnexpectedFrame(at, self.number, what))

    def on_end(self, at: float, end: End, code: int | None, retry_after: float | None) -> None:
        self.record(Ended(at, self.number, end, code, retry_after))
