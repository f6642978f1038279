"""Channels and owners, and the partition of each."""

import pytest
from tannoy.shared.channels import PARTITIONS, Channel, ChannelKind, Owner, OwnerKind, partition


def test_a_partition_is_the_crc32_of_kind_and_name_modulo_the_number_of_partitions() -> None:
    # CRC-32 (as of zlib) of "room:lobby" is 0xDE616AB5. All nodes have to compute the same.
    assert partition("room", "lobby") == 0xDE616AB5 % 64


@pytest.mark.parametrize("name", ["42", "a", "z" * 128])
def test_an_agent_has_the_same_partition_as_a_channel_and_as_an_owner(name: str) -> None:
    channel = Channel(ChannelKind.AGENT, name, b"")

    assert channel.partition == Owner(OwnerKind.AGENT, name).partition


def test_a_room_and_an_agent_of_one_name_are_in_partitions_of_their_own() -> None:
    assert partition("room", "lobby") != partition("agent", "lobby")


def test_every_partition_is_below_the_number_of_partitions() -> None:
    assert {partition("user", str(number)) for number in range(10_000)} == set(range(PARTITIONS))
