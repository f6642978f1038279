"""A cursor over a link that loses and repeats messages, and a log that is trimmed: it never skips a message silently.

The model is a small Redis: a counter, an epoch, a log, and a wire whose messages are lost with its connection. In any
order of events the offsets that the cursor passes on increase by one without a repetition, or a reset stands between;
and when nothing happens any more, the barrier has brought the cursor to the head.
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

from tests.support.cursors import reset

LOG_MAX = 6
READ_MAX = 3
SETTLED_AFTER = 20
"""Rounds of reading and proving after which a cursor has to be at the head."""


def message(position: Position) -> Publication:
    return Publication(EncodedMessage(b"m", b""), epoch=position.epoch, offset=position.offset)


@dataclass
class Proof:
    """A head that was read, and how many messages of which connection have to arrive before it proves a loss."""

    head: Position
    epoch: str
    connection: int
    sent: int


class Server:
    """Model of Redis: what the scripts do, and what goes over the link."""

    def __init__(self) -> None:
        self.epochs = 1
        self.offset = 0
        self.log: list[int] = []
        self.trimmed = 0  # the highest offset that was removed
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
    def arrived(self) -> int:
        """Messages of this connection that have arrived."""
        return self.sent - len(self.wire)


class CursorMachine(RuleBasedStateMachine):
    """The cursor, the steps of its owner in any order, and the check of what it passes on."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.cursor = Cursor(reset)
        self.at: Position | None = None  # the position that a session knows
        self.passed_on: set[Position] = set()
        self.may_reset = False
        self.recent: deque[Publication] = deque(maxlen=8)  # may be repeated
        self.asked: tuple[str, HistoryPage] | None = None
        self.head_asked: Position | None = None
        self.proof: Proof | None = None
        self.has_repeated = False  # a message has come over the link twice

    @initialize(published=st.integers(0, 3))
    def begin(self, published: int) -> None:
        for _ in range(published):
            self.server.publish()
        self.server.wire.clear()  # there was no subscription yet

    def check(self, passed: Iterable[Publication], first: Position | None = None) -> None:
        """`first`: the position that joining sessions get, if none was known before."""
        self.at = self.at or first
        for publication in passed:
            position = Position(publication.epoch, publication.offset)
            if publication.resets:
                assert self.may_reset, f"a reset to {position} without a loss"
            else:
                assert self.at is not None
                assert position == Position(self.at.epoch, self.at.offset + 1), f"{position} came after {self.at}"
                assert position not in self.passed_on, f"{position} came twice"
                self.passed_on.add(position)
            self.at = position

    # ---- Redis and the link

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
        """A reset is allowed once the log lacks a message that was not passed on."""
        if self.at is not None and self.server.trimmed > self.at.offset:
            self.may_reset = True

    @rule(forgets=st.booleans())
    def begin_epoch(self, forgets: bool) -> None:
        self.server.begin_epoch(forgets=forgets)
        self.may_reset = True

    @precondition(lambda self: self.server.wire)
    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.server.wire))):
            one = self.server.wire.popleft()
            self.recent.append(one)
            self.check(self.cursor.handle_message(one))

    @precondition(lambda self: self.recent)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        self.has_repeated = True
        one = data.draw(st.sampled_from(list(self.recent)))
        if one.epoch in (self.cursor.epoch, self.server.head.epoch):
            self.check(self.cursor.handle_message(one))

    @precondition(lambda self: self.server.is_connected)
    @rule()
    def lose_link(self) -> None:
        self.server.disconnect()

    @precondition(lambda self: not self.server.is_connected)
    @rule()
    def restore_link(self) -> None:
        self.server.connect()

    # ---- the owner of the cursor

    @precondition(lambda self: self.server.is_connected)
    @rule()
    def ask_head(self) -> None:
        self.head_asked = self.server.head

    @precondition(lambda self: self.head_asked is not None)
    @rule()
    def learn_head(self) -> None:
        head, self.head_asked = self.head_asked, None
        assert head is not None
        self.check(self.cursor.start_at(head), head)
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
            self.check(self.cursor.handle_page(page))

    @precondition(lambda self: self.cursor.state is CursorState.FILLING)
    @rule()
    def give_up(self) -> None:
        self.may_reset = True
        self.check(self.cursor.give_up())

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
        elif self.server.arrived >= proof.sent:
            self.proof = None
            if proof.epoch == self.cursor.epoch:
                self.check(self.cursor.handle_barrier(proof.head), proof.head)
                self.note_loss()

    # ---- invariants

    @invariant()
    def position_of_the_cursor_equals_what_it_passed_on(self) -> None:
        if self.cursor.state is not CursorState.UNKNOWN:
            assert self.at == self.cursor.position

    @invariant()
    def a_server_that_loses_nothing_is_not_accused_of_it(self) -> None:
        assert self.has_repeated or not self.cursor.has_lost_data

    def teardown(self) -> None:
        """The link is connected, nothing is published, and the barrier continues."""
        if not self.server.is_connected:
            self.server.connect()
        self.deliver(len(self.server.wire))
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
def test_cursor_never_skips_a_message_without_a_reset(monkeypatch: pytest.MonkeyPatch, waiting_max: int) -> None:
    monkeypatch.setattr(cursor_module, "WAITING_MAX", waiting_max)
    run_state_machine_as_test(CursorMachine, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
