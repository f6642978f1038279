"""The seal of control messages: whose it is, for which channel, and that each message is accepted once."""

import pytest
from tannoy.fanout.control.sealing import (
    CLOCKS_DIFFER_SECONDS,
    NUMBERS_REMEMBERED,
    SENDERS_MAX,
    ControlSealer,
    ReplayGuard,
)
from tannoy.shared.errors import MalformedBytes

from tests.support.clock import ManualClock

CHANNEL, BODY = b"tannoy:{1}:control", b"body"
NOW = 1_795_000_000.0


class Nodes:
    """Two nodes with the same secret, each with a clock of its own."""

    def __init__(self, secret: bytes = b"cluster") -> None:
        self.here, self.there = ManualClock(), ManualClock()
        self.sealer = ControlSealer(secret, self.here)
        self.other = ControlSealer(secret, self.there)

    def opens(self, message: bytes, channel: bytes = CHANNEL) -> bool:
        try:
            return self.sealer.open(channel, message) == BODY
        except MalformedBytes:
            return False


@pytest.mark.parametrize("secret", [b"", b"cluster"])
def test_a_sealed_message_is_opened_by_a_node_with_the_same_secret(secret: bytes) -> None:
    nodes = Nodes(secret)
    assert nodes.sealer.open(CHANNEL, nodes.other.seal(CHANNEL, BODY)) == BODY


@pytest.mark.parametrize(("ours", "theirs"), [(b"cluster", b""), (b"", b"cluster"), (b"cluster", b"Cluster")])
def test_a_message_sealed_with_another_secret_is_malformed(ours: bytes, theirs: bytes) -> None:
    clock = ManualClock()
    with pytest.raises(MalformedBytes, match="CLUSTER_SECRET"):
        ControlSealer(ours, clock).open(CHANNEL, ControlSealer(theirs, clock).seal(CHANNEL, BODY))


def test_a_message_to_another_channel_is_refused() -> None:
    nodes = Nodes()
    assert not nodes.opens(nodes.other.seal(CHANNEL, BODY), b"tannoy:{1}:node:i1")


def test_a_message_with_any_bit_changed_is_refused() -> None:
    nodes = Nodes()
    message = nodes.other.seal(CHANNEL, BODY)
    for position in range(len(message) * 8):
        changed = bytearray(message)
        changed[position // 8] ^= 1 << position % 8
        assert not nodes.opens(bytes(changed))


@pytest.mark.parametrize("secret", [b"", b"cluster"])
def test_a_truncated_message_is_refused(secret: bytes) -> None:
    nodes = Nodes(secret)
    message = nodes.other.seal(CHANNEL, BODY)
    assert not any(nodes.opens(message[:length]) for length in range(len(message)))


# ---- once


def test_a_message_is_accepted_once_and_what_is_played_again_is_counted() -> None:
    nodes = Nodes()
    message = nodes.other.seal(CHANNEL, BODY)
    assert [nodes.opens(message) for _ in range(3)] == [True, False, False]
    assert nodes.sealer.replayed == 2


def test_messages_that_arrive_in_another_order_are_each_accepted_once() -> None:
    nodes = Nodes()
    messages = [nodes.other.seal(CHANNEL, BODY) for _ in range(5)]
    order = [messages[index] for index in (1, 0, 4, 2, 3)]
    assert [nodes.opens(message) for message in order + order] == [True] * 5 + [False] * 5


def test_a_message_of_a_node_whose_clock_is_not_too_far_away_is_accepted() -> None:
    for clock in ("here", "there"):
        nodes = Nodes()
        getattr(nodes, clock).advance(CLOCKS_DIFFER_SECONDS)
        assert nodes.opens(nodes.other.seal(CHANNEL, BODY))


@pytest.mark.parametrize("clock", ["here", "there"])
def test_a_message_from_too_far_in_the_past_or_future_is_refused_and_says_why(clock: str) -> None:
    nodes = Nodes()
    getattr(nodes, clock).advance(CLOCKS_DIFFER_SECONDS + 1)
    with pytest.raises(MalformedBytes, match="clocks of two nodes differ by more than 30 s"):
        nodes.sealer.open(CHANNEL, nodes.other.seal(CHANNEL, BODY))


def test_without_a_secret_clocks_may_differ() -> None:
    nodes = Nodes(b"")
    nodes.here.advance(10 * CLOCKS_DIFFER_SECONDS)
    assert nodes.opens(nodes.other.seal(CHANNEL, BODY))


# ---- what has to be remembered


def refusal(guard: ReplayGuard, number: int, *, sender: bytes = b"sender-1", now: float = NOW) -> str | None:
    return guard.find_refusal(sender, now, number, now)


def test_a_number_is_remembered_while_few_enough_come_after_it() -> None:
    guard = ReplayGuard()
    assert refusal(guard, 1) is None
    assert refusal(guard, NUMBERS_REMEMBERED) is None
    assert refusal(guard, 1) is not None
    assert refusal(guard, 2) is None


def test_a_number_behind_all_that_are_remembered_counts_as_repeated() -> None:
    guard = ReplayGuard()
    assert refusal(guard, NUMBERS_REMEMBERED + 1) is None
    assert refusal(guard, 1) is not None
    assert refusal(guard, 2**63) is None
    assert refusal(guard, NUMBERS_REMEMBERED) is not None


def test_each_sender_has_numbers_of_its_own() -> None:
    guard = ReplayGuard()
    assert [refusal(guard, 1, sender=sender) for sender in (b"a", b"b")] == [None, None]


def test_a_sender_is_forgotten_once_all_its_messages_are_too_old_to_be_played_again() -> None:
    guard = ReplayGuard()
    refusal(guard, 1)
    later = NOW + CLOCKS_DIFFER_SECONDS + 1
    refusal(guard, 1, sender=b"another", now=later)
    assert len(guard) == 1
    assert guard.find_refusal(b"sender-1", NOW, 1, later) is not None


def test_a_sender_beyond_those_that_can_be_remembered_is_refused_until_others_are_old() -> None:
    guard = ReplayGuard()
    for number in range(SENDERS_MAX):
        refusal(guard, 1, sender=b"%d" % number)
    assert refusal(guard, 1, sender=b"one more") is not None
    assert refusal(guard, 2, sender=b"0") is None
    assert refusal(guard, 1, sender=b"one more", now=NOW + CLOCKS_DIFFER_SECONDS + 1) is None
