"""The revocations of one node over a scripted Redis, and records of them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.control.requests import RevocationChanged
from tannoy.fanout.revocations.revocations import Revocations
from tannoy.fanout.scripts import REVOCATIONS_READ
from tannoy.fanout.unreadable import UnreadableData
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.revocations import Revocation, RevocationKind

from tests.support.clock import EPOCH, START, manual_clock
from tests.support.scripted_redis import ScriptedPipeline

USER, AGENT, TOKEN = RevocationKind.USER, RevocationKind.AGENT, RevocationKind.TOKEN
NOW = EPOCH + START
FAR = int(NOW) + 1000


def record(value: str = "ada", *, at: int = 1, until: int = FAR, kind: RevocationKind = USER) -> Revocation:
    return Revocation(kind, value, until, created_at=at, changed_at=at)


def lifted(value: str = "ada", *, at: int = 2) -> Revocation:
    return Revocation(USER, value, FAR, created_at=1, changed_at=at, is_lifted=True)


def changed(revocation: Revocation, before: bytes = b"1|1", after: bytes = b"2|2") -> RevocationChanged:
    return RevocationChanged(revocation, before, after)


class RevocationsDriver:
    """The revocations of one node, over a Redis whose answers the test gives. It has none at first."""

    def __init__(self) -> None:
        self.redis = ScriptedPipeline()
        self.announced: list[RevocationChanged] = []
        self.times_revoked = 0
        self.revocations = Revocations(
            self.redis,
            Keyspace("tannoy"),
            clock=manual_clock(),
            unreadable=UnreadableData(),
            announce=self.announced.append,
            on_revoked=self._count,
        )
        self.hold()

    def _count(self) -> None:
        self.times_revoked += 1

    def hold(self, *records: Revocation, stamp: bytes = b"1|1") -> None:
        """Redis holds these from now on; who says this stamp knows them."""
        fields = [word for each in records for word in (each.id.encode(), each.pack())]
        self.redis.reply_with(
            REVOCATIONS_READ,
            lambda call: [stamp] if call.words[0] == stamp else [stamp, [*fields, b"version", b"1"]],
        )

    @property
    def stamps_asked(self) -> list[bytes]:
        """The stamp that the node has said in each comparison."""
        return [words[0] for words in self.redis.arguments_of(REVOCATIONS_READ)]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self.revocations.run())
        await self.revocations.loaded.wait()
        yield
        task.cancel()
