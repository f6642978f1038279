"""The scripts of revocations as typed calls: a method for each, and what it answers. `lua/revocation*.lua` decides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...shared.errors import MalformedBytes, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.revocations import LIFTED_SECONDS, Revocation, RevocationKind, revocation_id
from ..control.requests import RevocationChanged
from ..redis.connection import Reply
from ..redis.pipeline import AnyPipeline
from ..scripts import REVOCATION_ADD, REVOCATION_LIFT, REVOCATIONS_FORGET, REVOCATIONS_READ, REVOCATIONS_RESTATE
from .known import KNOWN_MAX

REVOCATION_SCRIPTS = (REVOCATION_ADD, REVOCATION_LIFT, REVOCATIONS_READ, REVOCATIONS_RESTATE, REVOCATIONS_FORGET)
"""The scripts that a pipeline has to load for these calls."""

REVOCATIONS_MAX = 10_000
"""Records in Redis, those that were lifted within LIFTED_SECONDS among them."""


class Stamps(NamedTuple):
    """The stamps of all records before a call and after it (`lua/revocation_common.lua`)."""

    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds: its stamp, and the IDs and records, of which no node may have written some.

    They are an iterator, since to make so many pairs would be a long turn of the event loop.
    """

    stamp: bytes
    fields: Iterator[tuple[bytes, bytes]]


class RevocationCalls:
    """Every call raises Unavailable."""

    def __init__(self, pipeline: AnyPipeline, keyspace: Keyspace) -> None:
        self.pipeline = pipeline
        self.key = keyspace.revocations
        self._keys = (keyspace.revocations,)

    async def add(self, kind: RevocationKind, value: str, until: int, known: bytes) -> RevocationChanged | None:
        """Revoke this until a time in Unix seconds. `known`: the record that the node has, or nothing.

        None: there are as many revocations as there may be.
        """
        id = revocation_id(kind, value)
        words = (id, known, until, kind, value, REVOCATIONS_MAX)
        return parse_changed(id, await self.pipeline.run_script(REVOCATION_ADD, self._keys, words))

    async def lift(self, id: str, known: bytes) -> RevocationChanged | None:
        """Delete a revocation. None: there is none of this ID."""
        words = (id, known, LIFTED_SECONDS)
        return parse_changed(id, await self.pipeline.run_script(REVOCATION_LIFT, self._keys, words))

    async def read(self, stamp: bytes) -> Stored | None:
        """All records; None: they are those of this stamp."""
        reply = await self.pipeline.run_script(REVOCATIONS_READ, self._keys, (stamp, KNOWN_MAX + 1))
        if len(reply) == 1:
            return None
        found, flat = reply
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return Stored(found, ((field, record) for field, record in pairs if field != b"version"))

    async def restate(self, records: Iterable[tuple[str, bytes]]) -> Stamps:
        """State IDs and records that Redis has lost."""
        words = [word for record in records for word in record]
        return Stamps(*await self.pipeline.run_script(REVOCATIONS_RESTATE, self._keys, (KNOWN_MAX + 1, *words)))

    async def forget(self, ids: Sequence[str]) -> Stamps:
        """Forget those of these whose time is over."""
        return Stamps(*await self.pipeline.run_script(REVOCATIONS_FORGET, self._keys, tuple(ids)))


def parse_changed(id: str, reply: Reply) -> RevocationChanged | None:
    """Raises Unavailable: under this ID was what no node has written. The next comparison removes it."""
    if not reply:
        return None
    record, before, after = reply
    try:
        revocation = Revocation.parse(record)
    except MalformedBytes as error:
        raise Unavailable(str(error)) from error
    if revocation.id != id:
        raise Unavailable("Redis holds another revocation under this ID")
    return RevocationChanged(revocation, before, after)
