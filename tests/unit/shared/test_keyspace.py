"""Keys and channel names."""

import random
import re

from tannoy.shared.channels import ChannelKind, partition
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId, RoomName
from tannoy.shared.partitions import PARTITION_TAGS

keyspace = Keyspace("tannoy")


def hash_tag(key: bytes) -> bytes:
    """The part of a key that Redis Cluster hashes: between the first { and the first } behind it."""
    found = re.search(rb"\{(.+?)\}", key)
    assert found is not None
    return found.group(1)


def names(count: int) -> list[str]:
    chosen = random.Random(1)
    alphabet = "abcXYZ019_.:@~-"
    return ["".join(chosen.choices(alphabet, k=chosen.randint(1, 24))) for _ in range(count)]


def test_all_keys_of_a_room_are_in_one_slot() -> None:
    for name in names(200):
        room = keyspace.room(RoomName(name))
        assert hash_tag(room.address) == hash_tag(keyspace.idempotency(room, "ada", "any key"))


def test_all_keys_of_an_agent_are_in_one_slot() -> None:
    for name in names(200):
        agent = keyspace.agent(AgentId(name))
        assert hash_tag(agent.address) == hash_tag(keyspace.idempotency(agent, "ada", "any key"))


def test_the_head_of_a_channel_is_that_of_its_history() -> None:
    for channel in (keyspace.room(RoomName("a:b")), keyspace.agent(AgentId("head:x"))):
        assert keyspace.head(channel) == keyspace.history(channel).head


def test_no_two_channels_share_an_address() -> None:
    tricky = ["a", "room", "agent", "room:a", "agent:a", "a:room", "once:room:a", "once", ":", "::", "a:", ":a"]
    every = {(kind, name) for kind in ("room", "agent") for name in (*tricky, *names(2000))}
    addresses = {(keyspace.room(RoomName(n)) if k == "room" else keyspace.agent(AgentId(n))).address for k, n in every}
    assert len(addresses) == len(every)


def test_the_address_of_a_channel_is_the_documented_one() -> None:
    tag = PARTITION_TAGS[partition(ChannelKind.ROOM, "lobby")]
    assert keyspace.room(RoomName("lobby")).address == f"tannoy:{{{tag}}}:room:lobby".encode()


def test_the_idempotency_key_differs_by_channel_author_and_key() -> None:
    lobby, other = keyspace.room(RoomName("lobby")), keyspace.room(RoomName("lobby:k"))
    keys = ["k", "K", "k ", "", "é", "}", "{x}:", "k" * 256]
    assert len(
        {keyspace.idempotency(room, by, key) for room in (lobby, other) for by in ("a", "b") for key in keys}
    ) == 4 * len(keys)


def test_the_text_of_an_idempotency_key_is_not_part_of_the_redis_key() -> None:
    once = keyspace.idempotency(keyspace.room(RoomName("lobby")), "ada", "se{cr}et *\r\n")
    assert re.fullmatch(rb"tannoy:\{\d+\}:once:room:lobby:[0-9a-f]{32}", once)


def test_an_idempotency_key_is_not_the_address_of_a_channel() -> None:
    once = keyspace.idempotency(keyspace.room(RoomName("lobby")), "ada", "k")
    assert once != keyspace.room(RoomName("once:room:lobby")).address


def test_another_prefix_shares_no_key() -> None:
    other = Keyspace("other")
    assert keyspace.room(RoomName("lobby")).address != other.room(RoomName("lobby")).address
    assert keyspace.control != other.control


def test_another_database_shares_no_channel() -> None:
    other = Keyspace("tannoy", 1)
    tag = PARTITION_TAGS[partition(ChannelKind.ROOM, "lobby")]
    assert other.room(RoomName("lobby")).address == f"tannoy:db1:{{{tag}}}:room:lobby".encode()
    assert (other.control, other.node("i1"), other.echo("i1")) != (
        keyspace.control,
        keyspace.node("i1"),
        keyspace.echo("i1"),
    )
    assert Keyspace("tannoy", 0).room(RoomName("lobby")) == keyspace.room(RoomName("lobby"))


def test_the_channels_of_nodes_differ_by_incarnation() -> None:
    assert len({keyspace.control, keyspace.node("i1"), keyspace.node("i2"), keyspace.echo("i1")}) == 4


def test_the_presence_keys_of_a_room_are_in_its_partition() -> None:
    room = keyspace.room(RoomName("lobby"))
    keys = keyspace.presence(room)
    assert len(set(keys)) == 7
    assert keys[6] == keys.server == keyspace.server(room.partition)
    assert {key.partition(b"}")[0] for key in keys} == {keyspace.heartbeats(room.partition).partition(b"}")[0]}
