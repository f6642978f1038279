"""The records of revocations in a real Redis, changed and read through the scripts."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tannoy.fanout.control.requests import RevocationChanged
from tannoy.fanout.revocations.calls import REVOCATION_SCRIPTS, RevocationCalls
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.revocations import Revocation, RevocationKind, revocation_id

from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

USER, AGENT, TOKEN = RevocationKind.USER, RevocationKind.AGENT, RevocationKind.TOKEN
ADA = revocation_id(USER, "ada")
FAR, FARTHER = 4_000_000_000, 4_000_000_500
"""Ends of revocations, in Unix seconds."""
NO_STAMP = b"?"
_prefixes = itertools.count(1)


@asynccontextmanager
async def open_revocation_calls(valkey: Valkey) -> AsyncGenerator[RevocationCalls]:
    """The revocations of a Redis that has none yet."""
    async with open_pipeline(valkey, REVOCATION_SCRIPTS) as pipeline:
        yield RevocationCalls(pipeline, Keyspace(f"r{next(_prefixes)}"))


async def add(
    calls: RevocationCalls, value: str = "ada", until: int = FAR, *, known: bytes = b"", kind: RevocationKind = USER
) -> RevocationChanged:
    changed = await calls.add(kind, value, until, known)
    assert changed is not None
    return changed


async def lift(calls: RevocationCalls, id: str = ADA, *, known: bytes = b"") -> RevocationChanged:
    changed = await calls.lift(id, known)
    assert changed is not None
    return changed


async def stored(calls: RevocationCalls) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    found = await calls.read(NO_STAMP)
    assert found is not None
    return found.stamp, list(found.fields)


async def records(calls: RevocationCalls) -> list[Revocation]:
    return [Revocation.parse(record) for _, record in (await stored(calls))[1]]


async def seconds_of(valkey: Valkey) -> int:
    """What the clock of the server says."""
    seconds, _ = await valkey.run("TIME")
    return int(seconds)
