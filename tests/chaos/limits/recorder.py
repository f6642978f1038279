"""Writes down what the clients of agents and the members of rooms see of their sessions."""

from typing import Any

from tests.chaos.harness.connection import Connection, Switchboard
from tests.chaos.harness.history import Attempt, End, Ended, Event, Heard, History, Spoke, Welcomed


class Recorder(Switchboard):
    """Hands out the numbers of sessions, and holds those that live."""

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self.asked_anew = 0
        """How often a member of a room had missed an event, and asked who is there."""
        self.attempts = 0

    @property
    def sockets(self) -> "list[Socket]":
        return [each for each in self.connections if isinstance(each, Socket)]

    def next_session(self) -> int:
        self.attempts += 1
        return self.attempts


class Socket(Connection):
    """One session. What a subclass wants to know of further frames comes to `told`."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        node: str,
        port: int,
        path: str,
        agent: str | None = None,
        room: str | None = None,
        called: str | None = None,
        user: str = "",
    ) -> None:
        self.recorder = recorder
        self.number = recorder.next_session()
        self.node, self.agent, self.room, self.user = node, agent, room, user
        recorder.history.add(Attempt(recorder.history.now(), self.number, agent, room, node, called, user))
        super().__init__(recorder, port=port, path=path)

    def told(self, at: float, frame: dict[str, Any]) -> None:
        """For a subclass: a frame that is neither welcome, bye, ping nor message."""

    def record(self, event: Event) -> None:
        self.recorder.history.add(event)

    def welcomed(self, at: float, frame: dict[str, Any]) -> None:
        self.record(Welcomed(at, self.number, self.session_id))

    def took(self, at: float, frame: dict[str, Any]) -> None:
        if frame["type"] != "message":
            self.told(at, frame)
            return
        if not self.is_live:
            self.record(Spoke(at, self.number, "a message before welcome"))
        self.record(Heard(at, self.number, frame["content"]["n"]))

    def out_of_turn(self, at: float, what: str) -> None:
        self.record(Spoke(at, self.number, what))

    def ended(self, at: float, end: End, code: int | None, retry_after: float | None) -> None:
        self.record(Ended(at, self.number, end, code, retry_after))
