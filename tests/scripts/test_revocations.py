"""The scripts that revoke and take back, on a real Valkey: of two records of one ID the later holds."""

from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.revocations import calls as module
from tannoy.fanout.revocations.calls import RevocationCalls
from tannoy.shared.revocations import LIFTED_SECONDS

from tests.support.revocation_records import (
    ADA,
    AGENT,
    FAR,
    FARTHER,
    TOKEN,
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


# ---- revoking


async def test_what_was_revoked_is_read_by_every_node(calls: RevocationCalls, valkey: Valkey) -> None:
    at = await seconds_of(valkey)
    made = [
        (await add(calls, "ada")).revocation,
        (await add(calls, "42", kind=AGENT)).revocation,
        (await add(calls, "a|b\nc}", kind=TOKEN)).revocation,
    ]
    assert [(each.kind, each.value, each.until) for each in made] == [
        (USER, "ada", FAR),
        (AGENT, "42", FAR),
        (TOKEN, "a|b\nc}", FAR),
    ]
    latest = await seconds_of(valkey)
    assert all(at <= each.created_at / 1000 < latest + 1 for each in made)
    assert set(await records(calls)) == set(made)


async def test_revoking_twice_changes_nothing(calls: RevocationCalls) -> None:
    first = await add(calls)
    again = await add(calls)
    assert again.revocation == first.revocation
    assert again.before == again.after == first.after


async def test_of_two_ends_the_later_one_holds(calls: RevocationCalls) -> None:
    first = await add(calls, until=FAR)
    later = await add(calls, until=FARTHER)
    earlier = await add(calls, until=FAR)
    assert later.revocation.until == FARTHER
    assert later.revocation.created_at == first.revocation.created_at
    assert later.revocation.changed_at > first.revocation.changed_at
    assert earlier.revocation == later.revocation
    assert await records(calls) == [later.revocation]


async def test_beyond_the_limit_nothing_is_revoked(calls: RevocationCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REVOCATIONS_MAX", 2)
    await add(calls, "ada")
    await add(calls, "bob")
    before = await stored(calls)
    assert await calls.add(USER, "cyd", FAR, b"") is None
    assert await stored(calls) == before
    assert (await add(calls, "ada", FARTHER)).revocation.until == FARTHER, "what is there already may be changed"


async def test_what_a_node_knows_and_redis_has_lost_is_not_made_shorter(calls: RevocationCalls, valkey: Valkey) -> None:
    known = (await add(calls, until=FARTHER)).revocation
    await valkey.run("DEL", calls.key)
    made = (await add(calls, until=FAR, known=known.pack())).revocation
    assert (made.until, made.created_at) == (FARTHER, known.created_at)
    assert await records(calls) == [made]


async def test_a_revocation_follows_a_deletion_that_redis_has_lost(calls: RevocationCalls, valkey: Valkey) -> None:
    await add(calls)
    lifted = (await lift(calls)).revocation
    await valkey.run("DEL", calls.key)
    made = (await add(calls, known=lifted.pack())).revocation
    assert not made.is_lifted
    assert made.changed_at > lifted.changed_at


# ---- deleting


async def test_of_a_deleted_revocation_the_deletion_stays_for_a_while(calls: RevocationCalls, valkey: Valkey) -> None:
    at = await seconds_of(valkey)
    made = (await add(calls)).revocation
    lifted = (await lift(calls)).revocation
    assert (lifted.is_lifted, lifted.created_at) == (True, made.created_at)
    assert at + LIFTED_SECONDS <= lifted.until <= await seconds_of(valkey) + LIFTED_SECONDS
    assert await records(calls) == [lifted]
    assert await calls.lift(ADA, b"") is None


async def test_what_was_never_revoked_can_not_be_deleted(calls: RevocationCalls) -> None:
    assert await calls.lift(ADA, b"") is None
    assert await stored(calls) == (b"", [])


async def test_what_only_a_node_knows_can_be_deleted(calls: RevocationCalls, valkey: Valkey) -> None:
    known = (await add(calls)).revocation
    await valkey.run("DEL", calls.key)
    assert (await lift(calls, known=known.pack())).revocation.is_lifted


async def test_what_was_deleted_can_be_revoked_again(calls: RevocationCalls) -> None:
    await add(calls)
    lifted = (await lift(calls)).revocation
    again = (await add(calls)).revocation
    assert not again.is_lifted
    assert again.changed_at > lifted.changed_at
    assert await records(calls) == [again]


# ---- the stamp


async def test_every_change_has_another_stamp_that_follows_the_one_before(calls: RevocationCalls) -> None:
    changes = [await add(calls), await add(calls, "bob"), await lift(calls), await add(calls)]
    stamps = [b"", *(change.after for change in changes)]
    assert len(set(stamps)) == len(stamps)
    assert [change.before for change in changes] == stamps[:-1]
    assert (await stored(calls))[0] == stamps[-1]


async def test_who_knows_the_stamp_is_read_nothing(calls: RevocationCalls) -> None:
    assert await calls.read(b"") is None
    changed = await add(calls)
    assert await calls.read(changed.after) is None
    assert await calls.read(changed.before) is not None


async def test_a_lost_record_is_seen_at_the_stamp(calls: RevocationCalls, valkey: Valkey) -> None:
    changed = await add(calls)
    await add(calls, "bob")
    known = (await stored(calls))[0]
    await valkey.run("HDEL", calls.key, changed.revocation.id)
    assert await calls.read(known) is not None


async def test_the_stamp_of_data_that_was_lost_does_not_come_again(calls: RevocationCalls, valkey: Valkey) -> None:
    """As many changes as before the loss: a counter alone would be the same."""
    lost = [(await add(calls)).after, (await add(calls, "bob")).after]
    await valkey.run("DEL", calls.key)
    again = [(await add(calls)).after, (await add(calls, "bob")).after]
    assert not set(lost) & set(again)


@pytest.mark.parametrize("version", ["x", "nan", "1e400", "-1e17", ""])
async def test_a_version_that_no_node_has_written_is_replaced(
    calls: RevocationCalls, valkey: Valkey, version: str
) -> None:
    await add(calls)
    await valkey.run("HSET", calls.key, "version", version)
    await add(calls, "bob")
    assert int(await valkey.run("HGET", calls.key, "version")) // 1_000_000 <= await seconds_of(valkey)
