"""Tokens, users and agents that are refused, on all nodes within 2 s (docs/protocol.md §6).

Redis holds them, and each node has a copy, which alone is asked. A change is announced to all nodes. An announcement
may get lost, and so may what Redis holds: so each node also compares the stamp of its copy with that of Redis each
second, and reads all records if they differ. What Redis lacks then it has lost: the node states it again, and all nodes
agree. A node that can't ask keeps what it knows.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...shared.clock import Clock
from ...shared.codes import ErrorCode
from ...shared.errors import MalformedBytes, Refused, Unavailable
from ...shared.keyspace import Keyspace
from ...shared.logs import get_logger
from ...shared.revocations import LIFTED_SECONDS, Revocation, RevocationKind, revocation_id
from ..batches import batched
from ..control.requests import RevocationChanged
from ..redis.pipeline import AnyPipeline
from ..unreadable import UnreadableData
from .calls import REVOCATIONS_MAX, RevocationCalls, Stamps, Stored
from .known import KnownRevocations

COMPARE_SECONDS = 1.0
"""Between two comparisons with Redis: with the deadline of a command, and the time to close, less than 2 s."""
FORGET_SECONDS = 60.0
"""Between two looks for records whose time is over."""
BATCH = 500
"""Records that are stated, or forgotten, in one call."""
READ_PER_TURN = 100
"""Records that are read in one turn of the event loop: a millisecond, where all of them are new."""
LOOKED_AT_PER_TURN = 1000
"""Known records that are looked at in one turn of the event loop."""
_NOTHING_READ = b"?"
"""A stamp that Redis never has."""

_log = get_logger("tannoy.revocations")


@dataclass(frozen=True, slots=True)
class RevocationStatistics:
    known: int
    """Records that this node knows, those that were lifted lately among them."""
    missed: int
    """Comparisons since the start that found changes of which no announcement had come."""
    restated: int
    """Records since the start that Redis had lost, and that this node has stated again."""
    refused: int
    """Revocations since the start that were refused, because there are as many as there may be."""
    ignored: int
    """Records since the start that this node did not take, because it knows as many as it may."""


class Revocations:
    """Needs `run` running. `announce` tells all nodes; `on_revoked` is called when sessions may have to be closed."""

    def __init__(
        self,
        pipeline: AnyPipeline,
        keyspace: Keyspace,
        *,
        clock: Clock,
        unreadable: UnreadableData,
        announce: Callable[[RevocationChanged], None],
        on_revoked: Callable[[], None],
    ) -> None:
        self.loaded = asyncio.Event()
        """Set when all revocations have been read for the first time: before, nobody can be admitted."""
        self._calls = RevocationCalls(pipeline, keyspace)
        self._known = KnownRevocations()
        self._clock = clock
        self._unreadable = unreadable
        self._announce = announce
        self._on_revoked = on_revoked
        self.stamp = _NOTHING_READ
        """What this node knows, as Redis names it (`lua/revocation_common.lua`)."""
        self._forgets_at = clock.monotonic() + FORGET_SECONDS
        self._missed = 0
        self._restated = 0
        self._refused = 0

    # ---- what is asked with each token and each session

    @property
    def has_any(self) -> bool:
        """False: nothing has ever been revoked, as far as this node knows."""
        return len(self._known) > 0

    def is_revoked(self, user_id: str, token_id: str | None = None) -> bool:
        """Whether a token with this `jti` (None: it has none) of this user is refused."""
        now = self._clock.now()
        if self._known.is_revoked(RevocationKind.USER, user_id, now):
            return True
        return token_id is not None and self._known.is_revoked(RevocationKind.TOKEN, token_id, now)

    def is_agent_revoked(self, agent_id: str) -> bool:
        return self._known.is_revoked(RevocationKind.AGENT, agent_id, self._clock.now())

    # ---- what a back end asks for

    def list_active(self) -> list[Revocation]:
        """All revocations that have an effect, as this node knows them, the newest first."""
        return self._known.active(self._clock.now())

    async def revoke(self, kind: RevocationKind, value: str, until: int) -> Revocation:
        """Refuse this on all nodes, until a time in Unix seconds; of two ends the later one holds.

        Raises Refused (`limit_reached`) and Unavailable.
        """
        known = self._known.packed(revocation_id(kind, value))
        changed = await self._calls.add(kind, value, until, known)
        if changed is None:
            self._refused += 1
            message = (
                f"there are {REVOCATIONS_MAX} revocations, with those deleted in the last {LIFTED_SECONDS} s: delete"
            )
            raise Refused(f"{message} some that are not needed", code=ErrorCode.LIMIT_REACHED)
        self._tell(changed)
        _log.info("revoked", id=changed.revocation.id, kind=kind.value, until=changed.revocation.until)
        return changed.revocation

    async def lift(self, id: str) -> bool:
        """Delete a revocation; whether there was one of this ID. Raises Unavailable."""
        changed = await self._calls.lift(id, self._known.packed(id))
        if changed is None:
            return False
        self._tell(changed)
        _log.info("a revocation was deleted", id=id)
        return True

    def _tell(self, changed: RevocationChanged) -> None:
        self.handle_change(changed)
        self._announce(changed)

    def handle_change(self, changed: RevocationChanged) -> None:
        """A change that a node has made, this one or another: it holds from now on."""
        if self._merge(changed.revocation):
            self._on_revoked()
        self._follow(Stamps(changed.before, changed.after))

    def _merge(self, record: Revocation) -> bool:
        """Whether sessions may have to be closed."""
        return self._known.merge(record) and not record.is_lifted

    def _follow(self, stamps: Stamps) -> None:
        """Who knew all records before a call knows all after it; who did not reads them with the next comparison."""
        if self.stamp == stamps.before:
            self.stamp = stamps.after

    # ---- agreeing with Redis

    async def run(self) -> None:
        """Compare with Redis for ever, each second while it takes commands."""
        while True:
            await self._calls.pipeline.connected.wait()
            try:
                await self.compare()
                await self._forget_expired()
            except Unavailable as error:
                _log.debug("revocations could not be compared with Redis", error=str(error))
            await asyncio.sleep(COMPARE_SECONDS)

    async def compare(self) -> None:
        """Know what Redis knows, and have it know what this node knows. Raises Unavailable."""
        stored = await self._calls.read(self.stamp)
        if stored is not None:
            if self.loaded.is_set():
                self._missed += 1
            changed_at = await self._take(stored)
            self.stamp = await self._restate(stored.stamp, await self._find_lost(changed_at))
        self.loaded.set()

    async def _take(self, stored: Stored) -> dict[str, int]:
        """Take all records that are later than the known ones; of each ID, when its record was changed."""
        changed_at: dict[str, int] = {}
        for group in batched(stored.fields, READ_PER_TURN):
            odd: list[bytes] = []
            concerns_sessions = False
            for field, packed in group:
                if (same := self._known.find_same(field.decode("latin-1"), packed)) is not None:
                    changed_at[same.id] = same.changed_at
                    continue
                try:
                    record = Revocation.parse(packed)
                except MalformedBytes:
                    record = None
                if record is None or record.id.encode() != field:
                    odd.append(field)
                    continue
                changed_at[record.id] = record.changed_at
                concerns_sessions |= self._merge(record)
            if concerns_sessions:
                self._on_revoked()
            await self._unreadable.remove(self._calls.pipeline, "HDEL", self._calls.key, *odd)
            await asyncio.sleep(0)  # what else the node does has its turn
        return changed_at

    async def _find_lost(self, changed_at: Mapping[str, int]) -> list[tuple[str, bytes]]:
        """What this node knows and Redis lacks. `changed_at`: of each ID in Redis, when its record was changed."""
        lost: list[tuple[str, bytes]] = []
        now = self._clock.now()
        for ids in batched(self._known.ids(), LOOKED_AT_PER_TURN):
            lost += self._known.find_lost(ids, changed_at, now)
            await asyncio.sleep(0)
        return lost

    async def _restate(self, stamp: bytes, lost: list[tuple[str, bytes]]) -> bytes:
        """State what Redis has lost since this stamp; the stamp of what this node knows then."""
        for group in batched(lost, BATCH):
            stamps = await self._calls.restate(group)
            if stamps.before != stamps.after:  # else another node has stated them
                self._restated += len(group)
                _log.warning("Redis had lost revocations: they were stated again", revocations=len(group))
            stamp = stamps.after if stamps.before == stamp else _NOTHING_READ
        return stamp

    async def _forget_expired(self) -> None:
        """From time to time. Redis first: what it does not confirm is looked for again. Raises Unavailable."""
        if self._clock.monotonic() < self._forgets_at:
            return
        now = self._clock.now()
        for looked_at in batched(self._known.ids(), LOOKED_AT_PER_TURN):
            for ids in batched(self._known.find_expired(looked_at, now), BATCH):
                self._follow(await self._calls.forget(ids))
                self._known.forget_expired(ids, now)
            await asyncio.sleep(0)
        self._forgets_at = self._clock.monotonic() + FORGET_SECONDS

    def statistics(self) -> RevocationStatistics:
        return RevocationStatistics(
            known=len(self._known),
            missed=self._missed,
            restated=self._restated,
            refused=self._refused,
            ignored=self._known.ignored,
        )
