"""Why sessions were closed: told to Redis, and kept until it has taken it, within a bound."""

import orjson
import pytest
from tannoy.fanout.disconnects import KEEP_SECONDS, KEPT, PENDING_MAX, DisconnectLog, DisconnectLogStatistics
from tannoy.fanout.scripts import REMEMBER_GONE
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.errors import Unavailable
from tannoy.shared.keyspace import Keyspace

from tests.support.clock import on_manual_time, turns
from tests.support.records import disconnect
from tests.support.scripted_redis import ScriptedPipeline

KEYSPACE = Keyspace("tannoy")
AGENT, ADA = Owner(OwnerKind.AGENT, "42"), Owner(OwnerKind.USER, "ada")


def packed(session_id: str = "s1") -> bytes:
    return orjson.dumps(disconnect(session_id).as_object())


def disconnects() -> tuple[DisconnectLog, ScriptedPipeline]:
    redis = ScriptedPipeline()
    redis.reply_with(REMEMBER_GONE, 1)
    return DisconnectLog(redis, KEYSPACE), redis


@on_manual_time
async def test_a_departure_is_remembered_with_each_of_its_owners() -> None:
    made, redis = disconnects()
    made.remember([AGENT, ADA], disconnect())
    await turns()
    assert [(call.keys, call.words) for call in redis.calls] == [
        ((KEYSPACE.disconnects(owner),), [packed(), str(KEPT).encode(), str(KEEP_SECONDS).encode()])
        for owner in (AGENT, ADA)
    ]
    assert made.statistics() == DisconnectLogStatistics(2, 0, 0)


@on_manual_time
async def test_what_redis_does_not_take_is_kept_and_told_again() -> None:
    made, redis = disconnects()
    redis.leave_unconfirmed(REMEMBER_GONE)
    made.remember([AGENT], disconnect())
    await turns()
    assert made.statistics() == DisconnectLogStatistics(0, 1, 0)
    redis.confirm_again(REMEMBER_GONE)
    made.send_pending()
    await turns()
    assert made.statistics() == DisconnectLogStatistics(1, 0, 0)
    made.send_pending()
    assert [words[0] for words in redis.arguments_of(REMEMBER_GONE)] == [packed()] * 2


@on_manual_time
async def test_what_is_still_not_taken_stays_pending() -> None:
    made, redis = disconnects()
    redis.leave_unconfirmed(REMEMBER_GONE)
    made.remember([AGENT, ADA], disconnect())
    await turns()
    made.send_pending()
    await turns()
    assert made.statistics().pending == 2


@on_manual_time
async def test_of_more_than_the_bound_the_oldest_are_lost_and_counted() -> None:
    made, redis = disconnects()
    redis.leave_unconfirmed(REMEMBER_GONE)
    for number in range(PENDING_MAX + 3):
        made.remember([AGENT], disconnect(f"s{number}"))
    await turns()
    assert made.statistics() == DisconnectLogStatistics(0, PENDING_MAX, 3)
    redis.confirm_again(REMEMBER_GONE)
    redis.calls.clear()
    made.send_pending()
    assert redis.arguments_of(REMEMBER_GONE)[0][0] == packed("s3")


@on_manual_time
async def test_recent_departures_are_told_as_redis_has_them() -> None:
    made, redis = disconnects()
    redis.reply_with("LRANGE", [packed("s2"), packed("s1")])
    assert await made.recent(AGENT) == [disconnect("s2"), disconnect("s1")]
    assert redis.arguments_of("LRANGE") == [[KEYSPACE.disconnects(AGENT), b"0", str(KEPT - 1).encode()]]


@on_manual_time
async def test_departures_that_redis_does_not_tell_are_unavailable() -> None:
    made, redis = disconnects()
    redis.leave_unconfirmed("LRANGE")
    with pytest.raises(Unavailable):
        await made.recent(AGENT)
