"""The partitions of the keyspace: spread evenly over a cluster's slots, and told by the name of a key."""

import itertools
import random
from collections import Counter

import pytest
from tannoy.shared.channels import PARTITIONS, ChannelKind, partition
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName
from tannoy.shared.partitions import PARTITION_TAGS, has_partition, key_slot, kind_of_key

SLOTS = 16_384
keyspace = Keyspace("tannoy")


def names(count: int) -> list[str]:
    chosen = random.Random(1)
    alphabet = "abcXYZ019_.:@~-"
    return ["".join(chosen.choices(alphabet, k=chosen.randint(1, 24))) for _ in range(count)]


def test_key_slot_is_that_of_the_redis_cluster_specification() -> None:
    # Redis Cluster specification, appendix A: the CRC16 of "123456789" is 0x31C3.
    assert key_slot("123456789") == 0x31C3 % SLOTS


def test_each_of_64_partitions_has_a_tag_of_its_own() -> None:
    assert PARTITIONS == len(PARTITION_TAGS) == len(set(PARTITION_TAGS)) == 64


def test_each_64th_of_the_slots_has_one_partition() -> None:
    parts = [key_slot(tag) * PARTITIONS // SLOTS for tag in PARTITION_TAGS]
    assert sorted(parts) == list(range(PARTITIONS))


def test_tags_are_the_recorded_ones() -> None:
    assert [int(tag) for tag in PARTITION_TAGS] == [_first_number_in(part) for part in range(PARTITIONS)]


def _first_number_in(part: int) -> int:
    return next(number for number in itertools.count() if key_slot(str(number)) * PARTITIONS // SLOTS == part)


def test_names_spread_over_all_partitions() -> None:
    counts = Counter(partition(ChannelKind.ROOM, name) for name in names(6400))
    assert set(counts) == set(range(PARTITIONS))
    assert max(counts.values()) < 2 * 100


def test_the_kind_of_a_key_is_what_stands_behind_its_tag() -> None:
    room = keyspace.room(RoomName("a:b"))
    assert kind_of_key(keyspace.due(3)) == "due"
    assert kind_of_key(keyspace.node_info()) == "node-info"
    assert kind_of_key(keyspace.sessions_of_node(room, "me")) == "in"
    assert kind_of_key(keyspace.presence(room).meta) == "presence"


def test_a_name_that_was_not_built_here_has_no_kind() -> None:
    assert kind_of_key(b"somebody:else") == ""


@pytest.mark.parametrize("name", [b"", b"tannoy", b"tannoy:{}:x", b"tannoy:{x}:x", b"}{", b"tannoy:{6"])
def test_a_name_that_was_not_built_here_has_no_partition(name: bytes) -> None:
    assert not has_partition(name)


def test_every_name_that_was_built_here_has_a_partition() -> None:
    assert all(has_partition(keyspace.node(f"i{number}")) for number in range(200))
