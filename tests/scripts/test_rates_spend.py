"""`rates_spend.lua` on a real server: buckets that all nodes take from."""

import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.rate_limits import DEBT_FACTOR, OWNERS_AT_ONCE, RATE_SCRIPTS, RateCalls
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.rates import Rate

from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey

_prefixes = itertools.count(1)
HOURLY = Rate(100, 3600)
"""So slow that what comes back during a test is less than one."""
SECONDS_EACH = HOURLY.interval
LITTLE = SECONDS_EACH / 2


class Shared:
    """Buckets that no other test uses."""

    def __init__(self, valkey: Valkey, calls: RateCalls, keyspace: Keyspace) -> None:
        self.valkey = valkey
        self.calls = calls
        self.keyspace = keyspace

    async def spend(self, counts: dict[str, int], kind: OwnerKind = OwnerKind.USER) -> dict[str, float]:
        return await self.calls.spend(kind, HOURLY, counts)

    def key(self, name: str) -> bytes:
        return self.keyspace.rate(Owner(OwnerKind.USER, name))


@pytest.fixture
async def shared(valkey: Valkey) -> AsyncGenerator[Shared]:
    keyspace = Keyspace(f"rates{next(_prefixes)}")
    async with open_pipeline(valkey, RATE_SCRIPTS) as pipeline:
        yield Shared(valkey, RateCalls(pipeline, keyspace), keyspace)


def in_units(count: int) -> Any:
    """The seconds in which so many come back, but for what comes back during a test."""
    return pytest.approx(count * SECONDS_EACH, abs=LITTLE)


async def test_what_several_calls_take_adds_up(shared: Shared) -> None:
    assert await shared.spend({"ada": 3}) == {"ada": in_units(3)}
    assert await shared.spend({"ada": 4}) == {"ada": in_units(7)}


async def test_owners_are_told_apart_by_name_and_by_kind(shared: Shared) -> None:
    await shared.spend({"ada": 3})

    assert await shared.spend({"bob": 1}) == {"bob": in_units(1)}
    assert await shared.spend({"ada": 1}, OwnerKind.AGENT) == {"ada": in_units(1)}


async def test_what_is_taken_beyond_a_full_bucket_is_a_debt(shared: Shared) -> None:
    assert await shared.spend({"ada": 600}) == {"ada": in_units(600)}


async def test_the_longest_debt_is_bounded(shared: Shared) -> None:
    longest = DEBT_FACTOR * HOURLY.fill_seconds

    assert await shared.spend({"ada": 10**9}) == {"ada": pytest.approx(longest, abs=LITTLE)}


async def test_a_bucket_is_forgotten_when_it_is_full_again(shared: Shared) -> None:
    await shared.spend({"ada": 100})

    assert 3_500_000 < await shared.valkey.run("PTTL", shared.key("ada")) <= 3_600_000


async def test_all_owners_of_more_than_one_call_are_answered(shared: Shared) -> None:
    counts = {f"u{number}": number % 3 + 1 for number in range(64 * OWNERS_AT_ONCE // 8)}

    assert await shared.spend(counts) == {name: in_units(count) for name, count in counts.items()}


@pytest.mark.parametrize(
    "command",
    [("SET", "x"), ("SET", "-5"), ("SET", "5"), ("SET", ""), ("LPUSH", "x"), ("HSET", "f", "v")],
    ids=" ".join,
)
async def test_a_key_with_anything_else_counts_as_a_full_bucket(shared: Shared, command: tuple[str, ...]) -> None:
    verb, *words = command
    await shared.valkey.run(verb, shared.key("ada"), *words)

    assert await shared.spend({"ada": 2}) == {"ada": in_units(2)}


async def test_a_time_far_ahead_is_bounded(shared: Shared) -> None:
    await shared.valkey.run("SET", shared.key("ada"), "9" * 30)
    longest = DEBT_FACTOR * HOURLY.fill_seconds

    assert await shared.spend({"ada": 1}) == {"ada": pytest.approx(longest, abs=LITTLE)}
