"""The scripts that state revocations again and forget them, on a real Valkey, and records that no node has written."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.revocations import calls as module
from tannoy.fanout.revocations.calls import RevocationCalls
from tannoy.shared.errors import Unavailable
from tannoy.shared.revocations import Revocation

from tests.support.revocation_records import (
    ADA,
    FAR,
    USER,
    add,
    lift,
    open_revocation_calls,
    records,
    seconds_of,
    stored,
)
from tests.support.valkey import Valkey


@pytest.fixture
async def calls(valkey: Valkey) -> AsyncGenerator[RevocationCalls]:
    async with open_revocation_calls(valkey) as calls:
        yield calls


# ---- stating again


async def test_what_redis_has_lost_is_there_again_once_it_is_stated(calls: RevocationCalls, valkey: Valkey) -> None:
    made = [(await add(calls, name)).revocation for name in ("ada", "bob")]
    await valkey.run("DEL", calls.key)
    stamps = await calls.restate([(each.id, each.pack()) for each in made])
    assert stamps == (b"", (await stored(calls))[0])
    assert set(await records(calls)) == set(made)


async def test_stating_what_is_there_changes_nothing(calls: RevocationCalls) -> None:
    made = await add(calls)
    stamps = await calls.restate([(ADA, made.revocation.pack())])
    assert stamps == (made.after, made.after)


async def test_a_revocation_that_was_deleted_does_not_come_back(calls: RevocationCalls) -> None:
    made = (await add(calls)).revocation
    lifted = (await lift(calls)).revocation
    await calls.restate([(ADA, made.pack())])
    assert await records(calls) == [lifted]


async def test_a_deletion_that_redis_has_lost_is_stated_too(calls: RevocationCalls, valkey: Valkey) -> None:
    before = (await add(calls)).revocation
    lifted = (await lift(calls)).revocation
    await valkey.run("HSET", calls.key, ADA, before.pack())  # as an old dump would bring it
    await calls.restate([(ADA, lifted.pack())])
    assert await records(calls) == [lifted]


async def test_records_beyond_those_that_nodes_know_are_not_added(
    calls: RevocationCalls, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await add(calls, name)).revocation for name in ("ada", "bob", "cyd")]
    monkeypatch.setattr(module, "KNOWN_MAX", 2)
    await valkey.run("DEL", calls.key)
    await add(calls, "ada")
    await calls.restate([(each.id, each.pack()) for each in made])
    assert await valkey.run("HLEN", calls.key) == 2 + 1, "with the version"


async def test_of_more_records_than_nodes_know_a_bounded_number_is_read(
    calls: RevocationCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ada", "bob", "cyd", "dan"):
        await add(calls, name)
    monkeypatch.setattr(module, "KNOWN_MAX", 2)
    assert 2 <= len(await records(calls)) <= 3


# ---- what is over


async def test_what_is_over_is_not_stated_again(calls: RevocationCalls, valkey: Valkey) -> None:
    over = Revocation(USER, "ada", await seconds_of(valkey), 1, 1)
    assert await calls.restate([(ADA, over.pack())]) == (b"", b"")


async def test_what_is_over_is_forgotten_and_nothing_else(calls: RevocationCalls, valkey: Valkey) -> None:
    bob, cyd = [(await add(calls, name)).revocation for name in ("bob", "cyd")]
    over = Revocation(USER, "ada", await seconds_of(valkey), 1, 1)
    await valkey.run("HSET", calls.key, ADA, over.pack())
    before = (await stored(calls))[0]
    stamps = await calls.forget([ADA, bob.id, "unknown"])
    assert stamps == (before, (await stored(calls))[0])
    assert {each.value for each in await records(calls)} == {bob.value, cyd.value}


async def test_what_is_over_can_be_revoked_again_and_not_deleted(calls: RevocationCalls, valkey: Valkey) -> None:
    over = Revocation(USER, "ada", await seconds_of(valkey), 1, 1)
    await valkey.run("HSET", calls.key, ADA, over.pack())
    assert await calls.lift(ADA, b"") is None
    assert (await add(calls)).revocation.created_at > over.created_at


# ---- what no node has written

ODD = [b"", b"x", b"1|2|revoked", b"99999999999999999|1|revoked|1|user|ada", b"1|1|other|1|user|ada", b"\xff" * 40]


@pytest.mark.parametrize("record", ODD, ids=range(len(ODD)))
async def test_what_no_node_has_written_is_replaced(calls: RevocationCalls, valkey: Valkey, record: bytes) -> None:
    await valkey.run("HSET", calls.key, ADA, record)
    assert await calls.lift(ADA, b"") is None
    made = (await add(calls)).revocation
    assert (made.value, made.until) == ("ada", FAR)


async def test_a_record_under_another_id_is_not_taken_for_it(calls: RevocationCalls, valkey: Valkey) -> None:
    bob = (await add(calls, "bob")).revocation
    await valkey.run("HSET", calls.key, ADA, bob.pack())
    with pytest.raises(Unavailable, match="another revocation under this ID"):
        await calls.lift(ADA, b"")
