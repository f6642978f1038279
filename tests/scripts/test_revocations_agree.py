"""Nodes on a real Valkey: whatever an announcement, a server or its data was lost, they agree on what is revoked."""

import itertools
from collections.abc import AsyncGenerator, Callable

import pytest
from tannoy.fanout.control.requests import RevocationChanged
from tannoy.fanout.redis.pipeline import Pipeline
from tannoy.fanout.revocations.calls import REVOCATION_SCRIPTS
from tannoy.fanout.revocations.revocations import BATCH, Revocations
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.clock import SystemClock
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.revocations import Revocation, RevocationKind

from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

USER = RevocationKind.USER
FAR = 4_000_000_000
_prefixes = itertools.count(1)

OpenNode = Callable[[], Revocations]


def hear_nothing(changed: RevocationChanged) -> None:
    """Announcements are lost in these tests, unless one is about them."""


@pytest.fixture
async def pipeline(valkey: Valkey) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(valkey, REVOCATION_SCRIPTS) as pipeline:
        yield pipeline


@pytest.fixture
def keyspace() -> Keyspace:
    return Keyspace(f"agree{next(_prefixes)}")


@pytest.fixture
def open_node(pipeline: Pipeline, keyspace: Keyspace) -> OpenNode:
    """`open_node()`: the revocations of one more node. It compares when a test says so."""
    return lambda: Revocations(
        pipeline,
        keyspace,
        clock=SystemClock(),
        unreadable=UnreadableData(),
        announce=hear_nothing,
        on_revoked=lambda: None,
    )


async def compare(*nodes: Revocations) -> None:
    """Two seconds go by: each node compares twice."""
    for node in (*nodes, *nodes):
        await node.compare()


def users(node: Revocations) -> set[str]:
    return {each.value for each in node.list_active()}


async def test_what_one_node_revokes_and_deletes_the_others_learn(open_node: OpenNode) -> None:
    one, two = open_node(), open_node()
    ada = await one.revoke(USER, "ada", FAR)
    await one.revoke(USER, "bob", FAR)
    await compare(two)
    assert users(two) == {"ada", "bob"}
    assert await two.lift(ada.id)
    await compare(one, two, late := open_node())
    assert [users(each) for each in (one, two, late)] == [{"bob"}] * 3


async def test_what_an_emptied_server_has_lost_comes_back_and_what_was_deleted_does_not(
    open_node: OpenNode, valkey: Valkey, keyspace: Keyspace
) -> None:
    one, two = open_node(), open_node()
    ada = await one.revoke(USER, "ada", FAR)
    await one.revoke(USER, "bob", FAR)
    await compare(one, two)
    await one.lift(ada.id)
    await valkey.run("DEL", keyspace.revocations)
    await compare(two, one, late := open_node())
    assert [users(each) for each in (one, two, late)] == [{"bob"}] * 3


async def test_an_old_dump_brings_back_nothing_and_takes_away_nothing(
    open_node: OpenNode, valkey: Valkey, keyspace: Keyspace
) -> None:
    """As a promoted replica that had not received the last changes, and that gets as many again."""
    one, two = open_node(), open_node()
    ada = await one.revoke(USER, "ada", FAR)
    dump = await valkey.run("DUMP", keyspace.revocations)
    await one.lift(ada.id)
    await one.revoke(USER, "bob", FAR)
    await compare(one)
    await valkey.run("RESTORE", keyspace.revocations, "0", dump, "REPLACE")
    await two.revoke(USER, "cyd", FAR)
    await two.revoke(USER, "dan", FAR)
    await compare(one, two, late := open_node())
    assert [users(each) for each in (one, two, late)] == [{"bob", "cyd", "dan"}] * 3


async def test_a_single_field_that_vanished_is_written_again(
    open_node: OpenNode, valkey: Valkey, keyspace: Keyspace
) -> None:
    one = open_node()
    ada = await one.revoke(USER, "ada", FAR)
    await one.revoke(USER, "bob", FAR)
    await compare(one)
    await valkey.run("HDEL", keyspace.revocations, ada.id)
    await compare(one, late := open_node())
    assert users(late) == {"ada", "bob"}


@pytest.mark.parametrize("lost", ["version", None], ids=str)
async def test_without_a_version_changes_are_learnt_all_the_same(
    open_node: OpenNode, valkey: Valkey, keyspace: Keyspace, lost: str | None
) -> None:
    one, two = open_node(), open_node()
    await one.revoke(USER, "ada", FAR)
    await compare(one, two)
    if lost is not None:
        await valkey.run("HDEL", keyspace.revocations, lost)
    await compare(one, two)
    await one.revoke(USER, "bob", FAR)
    await compare(two)
    assert users(two) == {"ada", "bob"}


async def test_who_heard_all_announcements_reads_nothing(open_node: OpenNode) -> None:
    one, two = open_node(), open_node()
    await compare(one, two)
    for name in ("ada", "bob"):
        made = await one.revoke(USER, name, FAR)
        two.handle_change(RevocationChanged(made, *_stamps_of(one, two)))
    await compare(one, two)
    assert [each.statistics().missed for each in (one, two)] == [0, 0]


def _stamps_of(one: Revocations, two: Revocations) -> tuple[bytes, bytes]:
    return two.stamp, one.stamp


async def test_many_are_stated_and_read_in_batches(open_node: OpenNode, valkey: Valkey, keyspace: Keyspace) -> None:
    one, count = open_node(), 2 * BATCH + 1
    for number in range(count):
        made = Revocation(USER, f"u{number}", FAR, 1, number)
        one.handle_change(RevocationChanged(made, b"", b""))
    await compare(one, late := open_node())
    assert await valkey.run("HLEN", keyspace.revocations) == count + 1
    assert len(users(late)) == count
    assert one.statistics().restated == count


async def test_what_no_node_has_written_is_removed(open_node: OpenNode, valkey: Valkey, keyspace: Keyspace) -> None:
    one = open_node()
    ada = await one.revoke(USER, "ada", FAR)
    await valkey.run("HSET", keyspace.revocations, "odd", "x", b"\xff", b"\xff")
    await compare(one)
    assert set(await valkey.run("HKEYS", keyspace.revocations)) == {b"version", ada.id.encode()}
