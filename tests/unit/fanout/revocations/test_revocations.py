"""A node's copy of all revocations: what it answers, what it announces, and when it asks Redis."""

import asyncio
from itertools import pairwise

import pytest
from tannoy.fanout.revocations.calls import REVOCATIONS_MAX
from tannoy.fanout.revocations.revocations import (
    COMPARE_SECONDS,
    FORGET_SECONDS,
    READ_PER_TURN,
    RevocationStatistics,
)
from tannoy.fanout.scripts import (
    REVOCATION_ADD,
    REVOCATION_LIFT,
    REVOCATIONS_FORGET,
    REVOCATIONS_READ,
    REVOCATIONS_RESTATE,
)
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import Refused, Unavailable
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.revocations import Revocation

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.revocations_driver import AGENT, FAR, NOW, TOKEN, USER, RevocationsDriver, changed, lifted, record

# ---- what is asked


@on_manual_time
async def test_a_token_is_refused_by_its_jti_and_by_its_user_an_agent_by_its_id() -> None:
    node = RevocationsDriver()
    node.hold(record("ada"), record("t7", kind=TOKEN), record("42", kind=AGENT))
    await node.revocations.compare()
    asked = node.revocations.is_revoked
    assert [asked("ada"), asked("ada", "t1"), asked("bob", "t7")] == [True, True, True]
    assert [asked("bob"), asked("bob", "t1"), asked("42"), asked("t7", "ada")] == [False, False, False, False]
    assert [node.revocations.is_agent_revoked(each) for each in ("42", "ada", "43")] == [True, False, False]


@on_manual_time
async def test_a_revocation_ends_with_its_time() -> None:
    node = RevocationsDriver()
    node.hold(record(until=FAR))
    await node.revocations.compare()
    manual_clock().advance(FAR - NOW - 1)
    assert node.revocations.is_revoked("ada")
    manual_clock().advance(1)
    assert not node.revocations.is_revoked("ada")
    assert node.revocations.list_active() == []


# ---- changes of this node


@on_manual_time
async def test_what_this_node_revokes_holds_at_once_and_is_announced() -> None:
    node = RevocationsDriver()
    node.redis.reply_with(REVOCATION_ADD, [record().pack(), b"1|1", b"2|2"])
    assert await node.revocations.revoke(USER, "ada", FAR) == record()
    assert node.revocations.is_revoked("ada")
    assert node.announced == [changed(record())]
    assert node.times_revoked == 1


@on_manual_time
async def test_what_this_node_deletes_is_not_refused_any_more_and_that_is_announced() -> None:
    node = RevocationsDriver()
    node.revocations.handle_change(changed(record()))
    node.redis.reply_with(REVOCATION_LIFT, [lifted().pack(), b"2|2", b"3|2"])
    assert await node.revocations.lift(record().id)
    assert not node.revocations.is_revoked("ada")
    assert node.announced == [changed(lifted(), b"2|2", b"3|2")]
    ((_, known, _),) = node.redis.arguments_of(REVOCATION_LIFT)
    assert known == record().pack(), "so that it can be deleted where Redis has lost it"


@on_manual_time
async def test_of_what_can_not_be_deleted_nothing_is_announced() -> None:
    node = RevocationsDriver()
    node.redis.reply_with(REVOCATION_LIFT, [])
    assert not await node.revocations.lift("0" * 32)
    assert node.announced == []


@on_manual_time
async def test_beyond_the_limit_it_is_refused_with_what_to_do() -> None:
    node = RevocationsDriver()
    node.redis.reply_with(REVOCATION_ADD, [])
    with pytest.raises(Refused, match=f"there are {REVOCATIONS_MAX} revocations.*delete some") as refused:
        await node.revocations.revoke(USER, "ada", FAR)
    assert refused.value.code is ErrorCode.LIMIT_REACHED
    assert not node.revocations.is_revoked("ada")
    assert node.revocations.statistics().refused == 1


@on_manual_time
async def test_what_redis_has_not_confirmed_is_not_said_to_be_revoked() -> None:
    node = RevocationsDriver()
    node.redis.leave_unconfirmed(REVOCATION_ADD)
    with pytest.raises(Unavailable):
        await node.revocations.revoke(USER, "ada", FAR)
    assert node.announced == []


# ---- changes of others


@on_manual_time
async def test_an_announced_change_holds_at_once_and_redis_is_read_no_more_for_it() -> None:
    node = RevocationsDriver()
    await node.revocations.compare()
    node.revocations.handle_change(changed(record(), b"1|1", b"2|2"))
    assert node.revocations.is_revoked("ada")
    node.hold(record(), stamp=b"2|2")
    await node.revocations.compare()
    assert node.stamps_asked[-1] == b"2|2"
    assert node.revocations.statistics().missed == 0


@on_manual_time
async def test_after_a_gap_in_what_was_announced_all_is_read() -> None:
    node = RevocationsDriver()
    await node.revocations.compare()
    node.revocations.handle_change(changed(record("bob"), b"2|2", b"3|3"))
    assert node.revocations.is_revoked("bob")
    node.hold(record("ada"), record("bob"), stamp=b"3|3")
    await node.revocations.compare()
    assert node.revocations.is_revoked("ada")
    assert node.revocations.statistics().missed == 1


@on_manual_time
async def test_sessions_are_looked_at_for_a_revocation_and_not_for_a_deletion() -> None:
    node = RevocationsDriver()
    node.hold(record(), stamp=b"2|2")
    await node.revocations.compare()
    assert node.times_revoked == 1
    node.hold(lifted(), stamp=b"3|2")
    await node.revocations.compare()
    assert node.times_revoked == 1


# ---- agreeing with Redis


@on_manual_time
async def test_nobody_is_admitted_before_all_is_known() -> None:
    node = RevocationsDriver()
    node.redis.leave_unconfirmed(REVOCATIONS_READ)
    task = asyncio.create_task(node.revocations.run())
    await asyncio.sleep(3 * COMPARE_SECONDS)
    assert not node.revocations.loaded.is_set()
    node.hold(record())
    node.redis.confirm_again(REVOCATIONS_READ)
    await node.revocations.loaded.wait()
    assert node.revocations.is_revoked("ada")
    task.cancel()


@on_manual_time
async def test_redis_is_asked_each_second_and_a_change_is_found_with_the_next_question() -> None:
    node = RevocationsDriver()
    async with node.running():
        await asyncio.sleep(10 * COMPARE_SECONDS)
        assert 10 <= len(node.stamps_asked) <= 11
        node.hold(record(), stamp=b"2|2")
        await asyncio.sleep(COMPARE_SECONDS)
        assert node.revocations.is_revoked("ada")


@on_manual_time
async def test_while_redis_is_away_what_is_known_holds() -> None:
    node = RevocationsDriver()
    node.hold(record())
    async with node.running():
        node.redis.leave_unconfirmed(REVOCATIONS_READ)
        await asyncio.sleep(10 * COMPARE_SECONDS)
        assert node.revocations.is_revoked("ada")
        node.redis.confirm_again(REVOCATIONS_READ)
        node.hold(record(), record("bob"), stamp=b"2|2")
        await asyncio.sleep(COMPARE_SECONDS)
        assert node.revocations.is_revoked("bob")


@on_manual_time
async def test_thousands_of_records_are_read_a_share_in_each_turn() -> None:
    node = RevocationsDriver()
    node.hold(*(record(f"u{number}") for number in range(5 * READ_PER_TURN)), stamp=b"2|2")
    reading = asyncio.create_task(node.revocations.compare())
    known = [0]
    while not reading.done():
        await turns(1)
        known.append(node.revocations.statistics().known)
    assert known[-1] == 5 * READ_PER_TURN
    assert max(later - earlier for earlier, later in pairwise(known)) == READ_PER_TURN


@on_manual_time
async def test_a_record_that_is_known_is_not_parsed_again_and_not_taken_for_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = RevocationsDriver()
    node.hold(record("ada"), record("bob"))
    await node.revocations.compare()
    parsed: list[bytes] = []
    parse = Revocation.parse

    def note(packed: bytes) -> Revocation:
        parsed.append(packed)
        return parse(packed)

    monkeypatch.setattr(Revocation, "parse", note)
    node.hold(record("ada"), record("bob", at=2), record("cyd"), stamp=b"2|2")
    await node.revocations.compare()
    assert parsed == [record("bob", at=2).pack(), record("cyd").pack()]
    assert node.redis.arguments_of(REVOCATIONS_RESTATE) == []


@on_manual_time
async def test_what_redis_has_lost_is_stated_again_until_it_is_confirmed() -> None:
    node = RevocationsDriver()
    node.hold(record())
    await node.revocations.compare()
    node.hold(stamp=b"")
    node.redis.leave_unconfirmed(REVOCATIONS_RESTATE)
    with pytest.raises(Unavailable):
        await node.revocations.compare()
    node.redis.confirm_again(REVOCATIONS_RESTATE)
    node.redis.reply_with(REVOCATIONS_RESTATE, [b"", b"9|2"])
    await node.revocations.compare()
    (_, *stated), (_, *again) = node.redis.arguments_of(REVOCATIONS_RESTATE)
    assert stated == again == [record().id.encode(), record().pack()]
    assert node.revocations.statistics() == RevocationStatistics(1, 2, 1, 0, 0)
    await node.revocations.compare()
    assert node.stamps_asked[-1] == b"9|2"


@on_manual_time
async def test_if_another_node_has_changed_something_meanwhile_all_is_read_again() -> None:
    node = RevocationsDriver()
    node.hold(record())
    await node.revocations.compare()
    node.hold(stamp=b"")
    node.redis.reply_with(REVOCATIONS_RESTATE, [b"8|2", b"9|3"])
    await node.revocations.compare()
    await node.revocations.compare()
    assert node.stamps_asked[-1] not in (b"", b"8|2", b"9|3")


@on_manual_time
async def test_what_no_node_has_written_is_skipped_and_removed() -> None:
    node = RevocationsDriver()
    ada, bob = record("ada"), record("bob")
    fields = [b"odd", b"x", bob.id.encode(), ada.pack(), ada.id.encode(), ada.pack(), b"version", b"1"]
    node.redis.reply_with(REVOCATIONS_READ, [b"3|4", fields])
    node.redis.reply_with("HDEL", 2)
    await node.revocations.compare()
    assert node.revocations.list_active() == [ada]
    assert node.redis.arguments_of("HDEL") == [[Keyspace("tannoy").revocations, b"odd", bob.id.encode()]]


@on_manual_time
async def test_what_is_over_is_removed_from_redis_and_then_forgotten() -> None:
    node = RevocationsDriver()
    over = record(until=int(NOW) + 5)
    node.hold(over, record("bob"))
    node.redis.leave_unconfirmed(REVOCATIONS_FORGET)
    async with node.running():
        await asyncio.sleep(FORGET_SECONDS + 2 * COMPARE_SECONDS)
        assert node.revocations.statistics().known == 2
        node.redis.confirm_again(REVOCATIONS_FORGET)
        node.redis.reply_with(REVOCATIONS_FORGET, [b"1|1", b"1|2"])
        node.hold(record("bob"), stamp=b"1|2")
        await asyncio.sleep(2 * COMPARE_SECONDS)
        assert node.revocations.statistics().known == 1
        assert node.redis.arguments_of(REVOCATIONS_FORGET)[-1] == [over.id.encode()]
        assert [each.value for each in node.revocations.list_active()] == ["bob"]
