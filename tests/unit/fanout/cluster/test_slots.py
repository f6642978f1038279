"""The slot map and the redirections that the servers of a Redis Cluster give."""

from typing import Any

import pytest
from tannoy.fanout.cluster.slots import Redirection, RedirectionKind, SlotMap, read_redirection, read_slots
from tannoy.fanout.redis.address import ClusterAddress, RedisAddress
from tannoy.fanout.redis.errors import RedisError
from tannoy.shared.channels import PARTITIONS
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName
from tannoy.shared.partitions import PARTITION_SLOTS, key_slot, partition_of

ASKED = RedisAddress("asked", 7000, "ada", "secret", 0, None)
at = ClusterAddress((ASKED,)).at
LAST = 16_383


def read(*entries: list[Any], epoch: int = 1) -> SlotMap:
    return read_slots(list(entries), epoch, asked=ASKED, at=at)


def test_each_partition_belongs_to_the_master_of_its_slot() -> None:
    middle = PARTITION_SLOTS[40]
    seen = read([0, middle - 1, [b"a", 1, b"id"]], [middle, LAST, [b"b", 2, b"id"]])
    assert [owner and (owner.host, owner.port) for owner in seen.owners] == [
        ("b", 2) if slot >= middle else ("a", 1) for slot in PARTITION_SLOTS
    ]
    assert seen.is_whole


def test_replicas_and_metadata_of_a_master_are_ignored() -> None:
    seen = read([0, LAST, [b"a", 1, b"id", [b"hostname", b"x"]], [b"replica", 2, b"id", []]])
    assert seen.masters == {at("a", 1): tuple(range(PARTITIONS))}


def test_a_partition_whose_slot_is_not_served_has_no_owner() -> None:
    lonely = PARTITION_SLOTS[3]
    seen = read([0, lonely - 1, [b"a", 1, b"id"]], [lonely + 1, LAST, [b"a", 1, b"id"]])
    assert [part for part in range(PARTITIONS) if seen.owners[part] is None] == [3]
    assert not seen.is_whole


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_a_master_without_an_endpoint_has_the_host_of_the_server_that_was_asked(host: bytes | None) -> None:
    assert set(read([0, LAST, [host, 9, b"id"]]).owners) == {at("asked", 9)}


def test_every_server_has_the_user_and_password_of_the_url() -> None:
    owner = read([0, LAST, [b"a", 1, b"id"]]).owners[0]
    assert owner == RedisAddress("a", 1, "ada", "secret", 0, None)


@pytest.mark.parametrize(("host", "port"), [(b"a..b", 1), (b"x" * 64, 1), (b"\xff", 1), (b"a", 0), (b"a", 65_536)])
def test_a_master_with_a_host_or_port_that_can_not_be_is_a_value_error(host: bytes, port: int) -> None:
    with pytest.raises(ValueError, match=r"is no host name|is no number from 1 to 65535|can't decode"):
        read([0, LAST, [host, port, b"id"]])


@pytest.mark.parametrize("endpoint", ["a..b:1", f"{'x' * 64}:1", "a:0", "a:65536", "a:x", "a:"])
def test_a_redirection_to_what_can_not_be_a_server_is_a_reason_to_retry(endpoint: str) -> None:
    error = RedisError(f"MOVED 1 {endpoint}")
    assert read_redirection(error, asked=ASKED, at=at) == Redirection(RedirectionKind.RETRY)


@pytest.mark.parametrize(
    "reply", [b"OK", [[0]], [[0, 1]], [[0, 1, None]], [[0, 1, ["a", 1]]], [[0, 1, [b"a"]]], 7, None]
)
def test_a_reply_of_another_form_is_an_error(reply: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_slots(reply, 1, asked=ASKED, at=at)


@pytest.mark.parametrize(
    ("error", "means"),
    [
        ("MOVED 866 10.0.0.7:6380", Redirection(RedirectionKind.MOVED, at("10.0.0.7", 6380))),
        ("MOVED 866 fd00::7:6380", Redirection(RedirectionKind.MOVED, at("fd00::7", 6380))),
        ("MOVED 866 :6380", Redirection(RedirectionKind.MOVED, at("asked", 6380))),
        ("MOVED 866 ?:6380", Redirection(RedirectionKind.MOVED, at("asked", 6380))),
        ("ASK 866 b.example:6380", Redirection(RedirectionKind.ASK, at("b.example", 6380))),
        ("ASK 866 nowhere", Redirection(RedirectionKind.RETRY)),
        ("MOVED 866 h:x", Redirection(RedirectionKind.RETRY)),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Redirection(RedirectionKind.RETRY)),
        ("CLUSTERDOWN The cluster is down", Redirection(RedirectionKind.RETRY)),
        ("CLUSTERDOWN Hash slot not served", Redirection(RedirectionKind.RETRY)),
    ],
)
def test_a_command_that_was_not_executed_is_redirected_as_the_error_says(error: str, means: Redirection) -> None:
    assert read_redirection(RedisError(error), asked=ASKED, at=at) == means


@pytest.mark.parametrize(
    "error",
    [
        "ERR Script attempted to access a non local key in a cluster node script: x, on @user_script:1.",
        "READONLY You can't write against a read only replica.",
        "NOSCRIPT No matching script.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "MOVED",
        "",
    ],
)
def test_a_command_that_may_have_been_executed_is_not_redirected(error: str) -> None:
    assert read_redirection(RedisError(error), asked=ASKED, at=at) is None


def test_every_key_and_channel_has_the_partition_of_its_tag() -> None:
    keyspace = Keyspace("tannoy.test")
    room, agent = keyspace.room(RoomName("lobby")), keyspace.agent(AgentId("42"))
    for part in range(PARTITIONS):
        assert {partition_of(keyspace.server(part)), partition_of(keyspace.echo("i1", part))} == {part}
    for owned in (room, agent):
        names = (owned.address, *keyspace.history(owned), keyspace.idempotency(owned, "ada", "}{"))
        assert {partition_of(name) for name in names} == {owned.partition}
    for name in (keyspace.control, keyspace.node("i1"), keyspace.echo("i1")):
        tag = name[name.index(b"{") + 1 : name.index(b"}")].decode()
        assert PARTITION_SLOTS[partition_of(name)] == key_slot(tag)
