"""One channel heard over a link that loses and repeats, beside a log that is trimmed: never a silent hole.

The model is a Redis of a few lines: a counter, an epoch, a log, and a wire that is lost with its connection. Whatever
happens in whatever order, what the cursor passes on rises by one without a repetition, or a reset stands between; and
once all is quiet, the barrier has brought it up to the head.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tannoy.fanout.history import cursor as cursor_module
from tannoy.fanout.history.cursor import Cursor, CursorState
from tannoy.fanout.history.reader import HistoryPage
from tannoy.shared.publication import EncodedMessage, Position, Publication

LOG_MAX = 6
READ_MAX = 3
SETTLED_AFTER = 20
"""Rounds of reading and proving in which a cursor has to come to rest."""


def message(position: Position) -> Publication:
    return Publication(EncodedMessage(b"m", b""), epoch=position.epoch, offset=position.offset)


def reset(position: Position, reason: str) -> Publication:
    return Publication(EncodedMessage(reason.encode(), b""), epoch=position.epoch, offset=position.offset, resets=True)


@dataclass
class Proof:
    """A head that was read, and what has to come over which connection until it proves something."""

    head: Position
    epoch: str
    connection: int
    sent: int


class Server:
    """What the scripts do, and what goes over the link."""

    def __init__(self) -> None:
        self.epochs = 1
        self.offset = 0
        self.log: list[int] = []
        self.trimmed = 0  # the highest offset that has gone
        self.connection = 1
        self.is_connected = True
        self.wire: deque[Publication] = deque()
        self.sent = 0  # on this connection

    @property
    def head(self) -> Position:
        return Position(f"e{self.epochs}", self.offset)

    def publish(self) -> None:
        self.offset += 1
        self.log.append(self.offset)
        self.trim(LOG_MAX)
        if self.is_connected:
            self.wire.append(message(self.head))
            self.sent += 1

    def trim(self, left: int) -> None:
        gone = self.log[: len(self.log) - left]
        self.log = self.log[len(gone) :]
        self.trimmed = max([self.trimmed, *gone])

    def read(self, since: int) -> HistoryPage:
        offsets = [offset for offset in self.log if offset > since][:READ_MAX]
        return HistoryPage(self.head, tuple(message(Position(self.head.epoch, offset)) for offset in offsets))

    def begin_epoch(self, *, forgets: bool) -> None:
        self.epochs += 1
        if forgets:
            self.offset, self.log, self.trimmed = 0, [], 0

    def disconnect(self) -> None:
        self.is_connected = False
        self.wire.clear()

    def connect(self) -> None:
        self.is_connected = True
        self.connection += 1
        self.sent = 0

    @property
    def brought(self) -> int:
        """Messages of this connection that have come."""
        return self.sent - len(self.wire)


class Hearing(RuleBasedStateMachine):
    """The cursor, its owner's moves in any order, and the judge of what goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.cursor = Cursor(reset)
        self.at: Position | None = None  # up to where a session has been told
        self.passed_on: set[Position] = set()
        self.may_reset = False
        self.recent: deque[Publication] = deque(maxlen=8)  # may come again
        self.asked: tuple[str, HistoryPage] | None = None
        self.head_asked: Position | None = None
        self.proof: Proof | None = None

    @initialize(published=st.integers(0, 3))
    def begin(self, published: int) -> None:
        for _ in range(published):
            self.server.publish()
        self.server.wire.clear()  # nobody listened yet

    def judge(self, told: Iterable[Publication], first: Position | None = None) -> None:
        """`first`: the position that newcomers are told, if it was not known before."""
        self.at = self.at or first
        for publication in told:
            position = Position(publication.epoch, publication.offset)
            if publication.resets:
                assert self.may_reset, f"a reset to {position} without a loss"
            else:
                assert self.at is not None
                assert position == Position(self.at.epoch, self.at.offset + 1), f"{position} came behind {self.at}"
                assert position not in self.passed_on, f"{position} came twice"
                self.passed_on.add(position)
            self.at = position

    # ---- the bus

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        for _ in range(count):
            self.server.publish()
        self.note_loss()

    @rule(left=st.integers(0, LOG_MAX))
    def trim(self, left: int) -> None:
        self.server.trim(left)
        self.note_loss()

    def note_loss(self) -> None:
        """From the moment on in which the log lacks what was not passed on, a reset is no surprise."""
        if self.at is not None and self.server.trimmed > self.at.offset:
            self.may_reset = True

    @rule(forgets=st.booleans())
    def begin_epoch(self, forgets: bool) -> None:
        self.server.begin_epoch(forgets=forgets)
        self.may_reset = True

    @precondition(lambda self: self.server.wire)
    @rule(count=st.integers(1, 5))
    def bring(self, count: int) -> None:
        for _ in range(min(count, len(self.server.wire))):
            one = self.server.wire.popleft()
            self.recent.append(one)
            self.judge(self.cursor.take(one))

    @precondition(lambda self: self.recent)
    @rule(data=st.data())
    def bring_again(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.recent)))
        if one.epoch in (self.cursor.epoch, self.server.head.epoch):
            self.judge(self.cursor.take(one))

    @precondition(lambda self: self.server.is_connected)
    @rule()
    def lose_link(self) -> None:
        self.server.disconnect()

    @precondition(lambda self: not self.server.is_connected)
    @rule()
    def restore_link(self) -> None:
        self.server.connect()

    # ---- the owner

    @precondition(lambda self: self.server.is_connected)
    @rule()
    def ask_head(self) -> None:
        self.head_asked = self.server.head

    @precondition(lambda self: self.head_asked is not None)
    @rule()
    def learn_head(self) -> None:
        head, self.head_asked = self.head_asked, None
        assert head is not None
        self.judge(self.cursor.known(head), head)
        self.note_loss()

    @precondition(lambda self: self.cursor.state is CursorState.FILLING and self.asked is None)
    @rule()
    def ask_log(self) -> None:
        self.asked = self.cursor.epoch, self.server.read(self.cursor.offset)

    @precondition(lambda self: self.asked is not None)
    @rule(comes=st.booleans())
    def read_log(self, comes: bool) -> None:
        assert self.asked is not None
        (epoch, page), self.asked = self.asked, None
        if comes and epoch == self.cursor.epoch:
            self.judge(self.cursor.found(page))

    @precondition(lambda self: self.cursor.state is CursorState.FILLING)
    @rule()
    def give_up(self) -> None:
        self.may_reset = True
        self.judge(self.cursor.give_up())

    @precondition(lambda self: self.server.is_connected and self.proof is None)
    @rule()
    def read_head(self) -> None:
        self.proof = Proof(self.server.head, self.cursor.epoch, self.server.connection, self.server.sent)

    @precondition(lambda self: self.proof is not None)
    @rule()
    def prove(self) -> None:
        proof = self.proof
        assert proof is not None
        is_lost = not self.server.is_connected or proof.connection != self.server.connection
        if is_lost:
            self.proof = None
        elif self.server.brought >= proof.sent:
            self.proof = None
            if proof.epoch == self.cursor.epoch:
                self.judge(self.cursor.proven(proof.head), proof.head)
                self.note_loss()

    # ---- what has to hold

    @invariant()
    def whoever_asks_is_told_what_was_passed_on(self) -> None:
        if self.cursor.state is not CursorState.UNKNOWN:
            assert self.at == self.cursor.position

    def teardown(self) -> None:
        """All is quiet, the link is back, and the barrier goes on."""
        if not self.server.is_connected:
            self.server.connect()
        self.bring(len(self.server.wire))
        for _ in range(SETTLED_AFTER):
            if self.asked is not None:
                self.read_log(True)
            if self.cursor.state is CursorState.FILLING:
                self.ask_log()
            self.proof = None
            self.read_head()
            self.prove()
        assert self.cursor.state is CursorState.FOLLOWING
        assert self.at == self.server.head


@pytest.mark.parametrize("waiting_max", [1, 3, 1000])
def test_never_a_silent_hole(monkeypatch: pytest.MonkeyPatch, waiting_max: int) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", waiting_max)
    run_state_machine_as_test(Hearing, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
