"""A heartbeat that finds another server, or itself expired: what is restated before it is extended."""

import asyncio

import pytest
from tannoy.fanout.redis.errors import ConnectionLost, RedisError
from tannoy.fanout.scripts import HEARTBEAT, NODE_TELL, SERVER_ENSURE
from tannoy.shared.errors import Unavailable

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.scripted_membership import ALL, HEARTBEAT_SECONDS, MOMENT_SECONDS, VALID_SECONDS, ScriptedMembership
from tests.support.scripted_redis import Answer

# ---- a new connection


@on_manual_time
async def test_the_life_of_the_server_is_checked_before_the_first_heartbeat_of_a_connection() -> None:
    process = ScriptedMembership()
    await process.connect()
    assert [call.what for call in process.redis.calls] == [SERVER_ENSURE] * 64 + [HEARTBEAT] * 64 + [NODE_TELL]


@on_manual_time
async def test_a_new_connection_marks_every_partition_to_be_restated() -> None:
    process = ScriptedMembership()
    await process.connect()
    assert process.membership.to_restate == set(ALL)


@on_manual_time
async def test_the_first_heartbeat_of_a_process_restates_nothing() -> None:
    process = ScriptedMembership()
    process.answer_heartbeats(before="unknown", server="one")
    await process.connect()
    assert (process.restated, process.membership.is_valid) == ([], True)


@on_manual_time
async def test_a_connection_lost_in_its_first_heartbeat_extends_nothing() -> None:
    process = ScriptedMembership()
    process.redis.leave_unconfirmed(HEARTBEAT)
    with pytest.raises(ConnectionLost):
        await process.connect()
    assert not process.membership.is_valid


# ---- what is restated


@on_manual_time
async def test_heartbeats_without_a_loss_restate_nothing() -> None:
    process = ScriptedMembership()
    await process.connect()
    for _ in range(3):
        await process.beat()
    assert process.restated == []


@pytest.mark.parametrize("before", ["expired", "unknown"])
@on_manual_time
async def test_an_expired_heartbeat_restates_without_adding_missing_leases(before: str) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before=before, only=[3, 60])
    await process.beat()
    assert process.restated == [([3, 60], False)]


@on_manual_time
async def test_another_server_gets_missing_leases_added() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(server="two", only=[0, 63])
    await process.beat()
    assert process.restated == [([0, 63], True)]


@on_manual_time
async def test_another_server_without_a_heartbeat_of_the_node_is_restated_to_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before="unknown", server="two")
    await process.beat()
    assert process.restated == [(ALL, True)]


@on_manual_time
async def test_another_server_is_restated_to_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(server="two")
    for _ in range(3):
        await process.beat()
    assert process.restated == [(ALL, True)]


@pytest.mark.parametrize(("before", "server"), [("expired", "one"), ("alive", "two"), ("unknown", "")])
@on_manual_time
async def test_leases_are_restated_before_the_heartbeat_is_extended(before: str, server: str) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before, server, only=[7])
    await asyncio.sleep(HEARTBEAT_SECONDS)
    await process.beat()
    ((word, valid_until),) = process.events
    assert word == "restate"
    assert valid_until == pytest.approx(VALID_SECONDS)
    assert process.valid_until == pytest.approx(HEARTBEAT_SECONDS + VALID_SECONDS)


@pytest.mark.parametrize(("before", "server"), [("expired", "one"), ("alive", "two"), ("unknown", "")])
@on_manual_time
async def test_a_failed_restate_does_not_extend_the_heartbeat(before: str, server: str) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before, server, only=[7])
    process.can_restate = False
    await asyncio.sleep(HEARTBEAT_SECONDS)
    await process.beat()
    assert process.event_names == ["restate"]
    assert process.valid_until == pytest.approx(VALID_SECONDS)


@on_manual_time
async def test_lost_keys_are_restated_before_the_heartbeat_is_extended_and_once() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(losses=1, only=[7])
    await process.beat()
    await process.beat()
    assert process.restated == [([7], False)]


@on_manual_time
async def test_keys_that_were_lost_before_the_first_heartbeat_need_no_restate() -> None:
    process = ScriptedMembership()
    process.answer_heartbeats(losses=3)
    await process.connect()
    await process.beat()
    assert process.restated == []


@pytest.mark.parametrize("reconnects", [True, False], ids=["on a new connection", "on the same connection"])
@on_manual_time
async def test_a_failed_restate_to_another_server_is_retried_with_the_next_heartbeat(reconnects: bool) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(server="two", only=[7])
    process.can_restate = False
    await process.beat()
    process.can_restate = True
    await (process.connect() if reconnects else process.beat())
    assert process.restated == [([7], True), ([7], True)]


@pytest.mark.parametrize("reconnects", [True, False], ids=["on a new connection", "on the same connection"])
@on_manual_time
async def test_a_failed_restate_after_an_expiry_in_redis_is_retried_with_the_next_heartbeat(
    reconnects: bool,
) -> None:
    process = ScriptedMembership()
    await process.connect()
    process.answer_heartbeats(before="expired", only=[7])
    process.can_restate = False
    await process.beat()
    process.can_restate = True
    process.answer_heartbeats()
    await (process.connect() if reconnects else process.beat())
    assert process.restated == [([7], False), ([7], False)]


@pytest.mark.parametrize("fails", ["the heartbeat of another partition", "the description of the node"])
@on_manual_time
async def test_an_expiry_found_by_a_heartbeat_that_fails_is_restated_by_the_next(fails: str) -> None:
    process = ScriptedMembership()
    await process.connect()
    answers: list[Answer] = [[b"alive", 1, b"one", 1, 1, 0] for _ in ALL]
    answers[7] = [b"expired", 1, b"one", 1, 1, 0]
    if "heartbeat" in fails:
        answers[8] = RedisError("ERR not now")
        answers.append(Unavailable("not now"))  # where it is sent once more, alone
    else:
        process.redis.reply_with(NODE_TELL, Unavailable("not now"), 1)
    process.redis.reply_with(HEARTBEAT, *answers, [b"alive", 1, b"one", 1, 1, 0])
    await process.beat()
    assert process.membership.statistics().missed == 1
    await process.beat()
    assert process.restated == [([7], False)]


@on_manual_time
async def test_a_loss_marks_its_partitions_to_be_restated() -> None:
    process = ScriptedMembership()
    await process.connect()
    process.membership.to_restate.clear()
    process.answer_heartbeats(before="expired", only=[1])
    await process.beat()
    process.answer_heartbeats(server="two", only=[2])
    await process.beat()
    assert process.membership.to_restate == {1, 2}


@on_manual_time
async def test_an_expiry_during_a_heartbeat_is_reported_before_it_is_extended() -> None:
    process = ScriptedMembership()
    await process.connect()
    await asyncio.sleep(VALID_SECONDS - 1)
    process.redis.hold(NODE_TELL)
    beating = asyncio.create_task(process.membership.run(process.redis))
    process.membership.beat_soon()
    await turns(10)
    manual_clock().advance(2)  # frozen: the answer and the timer are due at once, and the answer comes first
    process.redis.answer_held(NODE_TELL)
    await turns(10)
    beating.cancel()
    assert (process.event_names, process.membership.term) == (["expired"], 1)
    assert process.valid_until == pytest.approx(VALID_SECONDS - 1 + VALID_SECONDS)


@on_manual_time
async def test_an_expiry_during_a_restate_is_reported_before_the_heartbeat_is_extended() -> None:
    process = ScriptedMembership()
    await process.connect()
    await asyncio.sleep(VALID_SECONDS - MOMENT_SECONDS)
    process.answer_heartbeats(server="two", only=[7])
    process.redis.hold(NODE_TELL)
    beating = asyncio.create_task(process.connect())
    await asyncio.sleep(2 * MOMENT_SECONDS)
    process.redis.answer_held(NODE_TELL)
    await beating
    assert process.event_names == ["expired", "restate"]
    assert process.membership.is_valid
