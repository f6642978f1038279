"""The 64 partitions of the keyspace: their hash tags, and the partition of a key.

Tags are chosen so that the partitions are spread evenly over the 16,384 slots of a Redis Cluster, which consecutive
numbers are not.
"""

from binascii import crc_hqx
from itertools import count

from .channels import PARTITIONS

_SLOTS = 16_384
"""Number of slots of a Redis Cluster."""


def key_slot(tag: str) -> int:
    """The Redis Cluster slot of a hash tag: CRC16 (XMODEM) modulo 16,384, as the cluster specification has it."""
    return crc_hqx(tag.encode(), 0) % _SLOTS


def _balanced_tags() -> tuple[str, ...]:
    """For each 64th part of the slot range the first number whose slot lies in it."""
    width = _SLOTS // PARTITIONS
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(key_slot(str(number)) // width, str(number))
        if len(found) == PARTITIONS:
            return tuple(found[part] for part in range(PARTITIONS))
    raise AssertionError("unreachable: some number falls into each part of the slot range")


PARTITION_TAGS = _balanced_tags()
"""The hash tag of each partition."""
PARTITION_SLOTS = tuple(map(key_slot, PARTITION_TAGS))
"""The Redis Cluster slot of each partition."""
_PARTITIONS_OF_TAGS = {tag.encode(): part for part, tag in enumerate(PARTITION_TAGS)}


def partition_of(name: bytes) -> int:
    """The partition of a key or a Redis channel that was built here."""
    start = name.index(b"{") + 1  # a prefix has no braces
    return _PARTITIONS_OF_TAGS[name[start : name.index(b"}", start)]]


def has_partition(name: bytes) -> bool:
    """Whether the partition of a name can be told, which somebody else may have made up."""
    start = name.find(b"{") + 1
    return name[start : name.find(b"}", start)] in _PARTITIONS_OF_TAGS


def kind_of_key(name: bytes) -> str:
    """What stands behind the tag in the name of a key: `due`, or `held`. Empty: it was not built here."""
    _, tag, rest = name.partition(b"}:")
    return rest.partition(b":")[0].decode("ascii", "replace") if tag else ""
