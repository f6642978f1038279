"""Notices to one node, and announcements to all: each handles them and does not answer."""

import pytest
from tannoy.fanout.control.requests import Evict, LeaseGranted, Notice, RevocationChanged
from tannoy.shared.codes import CloseCode
from tannoy.shared.errors import Unavailable
from tannoy.shared.revocations import Revocation, RevocationKind

from tests.support.clock import on_manual_time, turns
from tests.support.scripted_control import KEYSPACE, OWNER, ScriptedControl

EVICT = Evict(OWNER, "other|1|s1", CloseCode.EVICTED, 3, "s2")
GRANTED = LeaseGranted(OWNER, "other|1|s1")
REVOKED = RevocationChanged(Revocation(RevocationKind.USER, "ada", 1_800_000_000, 1, 2), b"", b"2|2")


@pytest.mark.parametrize("notice", [EVICT, GRANTED], ids=lambda notice: type(notice).__name__)
@on_manual_time
async def test_a_notice_is_published_to_one_node(notice: Notice) -> None:
    node = ScriptedControl()
    node.control.send_notice("other", notice)
    assert node.sent() == [(KEYSPACE.node("other"), notice)]


@on_manual_time
async def test_a_notice_to_this_node_is_handled_later_and_not_published() -> None:
    node = ScriptedControl()
    node.control.send_notice("me", GRANTED)
    assert node.notices == []
    await turns()
    assert node.notices == [GRANTED]
    assert node.publisher.sent == []


@pytest.mark.parametrize("notice", [EVICT, GRANTED], ids=lambda notice: type(notice).__name__)
@on_manual_time
async def test_a_notice_of_another_node_is_handled_and_not_answered(notice: Notice) -> None:
    node = ScriptedControl(sessions=1)
    node.receive(notice, KEYSPACE.node("me"))
    assert node.notices == [notice]
    assert (node.requests, node.publisher.sent) == ([], [])


@on_manual_time
async def test_a_notice_that_fails_to_publish_raises_nothing() -> None:
    node = ScriptedControl()
    node.control.send_notice("other", GRANTED)
    node.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    await turns()


@on_manual_time
async def test_an_announcement_is_published_to_all_nodes() -> None:
    node = ScriptedControl()
    node.control.announce(REVOKED)
    assert node.sent() == [(KEYSPACE.control, REVOKED)]


@on_manual_time
async def test_an_announcement_is_handled_and_not_answered() -> None:
    node = ScriptedControl(sessions=1)
    node.receive(REVOKED)
    assert node.announced == [REVOKED]
    assert (node.requests, node.notices, node.publisher.sent) == ([], [], [])


@on_manual_time
async def test_an_announcement_that_fails_to_publish_raises_nothing() -> None:
    node = ScriptedControl()
    node.control.announce(REVOKED)
    node.publisher.confirmations[-1].set_exception(Unavailable("no bus"))
    await turns()
