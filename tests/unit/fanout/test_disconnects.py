"""Why sessions were closed: sent to Redis, and kept until it has confirmed it, within a bound."""

import orjson
import pytest
from tannoy.fanout.disconnects import (
    KEEP_SECONDS,
    KEPT,
    OWNERS_MAX,
    PENDING_MAX,
    DisconnectLog,
    DisconnectLogStatistics,
)
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


def empty_log() -> tuple[DisconnectLog, ScriptedPipeline]:
    redis = ScriptedPipeline()
    redis.reply_with(REMEMBER_GONE, [])
    redis.reply_with("DEL", 1)
    return DisconnectLog(redis, KEYSPACE), redis


@on_manual_time
async def test_a_disconnect_is_stored_for_each_of_its_owners() -> None:
    log, redis = empty_log()
    log.remember([AGENT, ADA], disconnect())
    await turns()
    limits = [str(number).encode() for number in (KEPT, KEEP_SECONDS, OWNERS_MAX)]
    assert [(call.keys, call.words) for call in redis.calls] == [
        (
            (KEYSPACE.disconnects(owner), KEYSPACE.owners_with_disconnects(owner.partition)),
            [packed(), *limits[:2], f"{owner.kind}:{owner.name}".encode(), limits[2]],
        )
        for owner in (AGENT, ADA)
    ]
    assert log.statistics() == DisconnectLogStatistics(2, 0, 0)


@on_manual_time
async def test_an_unconfirmed_disconnect_is_kept_and_sent_again() -> None:
    log, redis = empty_log()
    redis.leave_unconfirmed(REMEMBER_GONE)
    log.remember([AGENT], disconnect())
    await turns()
    assert log.statistics() == DisconnectLogStatistics(0, 1, 0)
    redis.confirm_again(REMEMBER_GONE)
    log.send_pending()
    await turns()
    assert log.statistics() == DisconnectLogStatistics(1, 0, 0)
    log.send_pending()
    assert [words[0] for words in redis.arguments_of(REMEMBER_GONE)] == [packed()] * 2


@on_manual_time
async def test_a_disconnect_unconfirmed_twice_stays_pending() -> None:
    log, redis = empty_log()
    redis.leave_unconfirmed(REMEMBER_GONE)
    log.remember([AGENT, ADA], disconnect())
    await turns()
    log.send_pending()
    await turns()
    assert log.statistics().pending == 2


@on_manual_time
async def test_disconnects_over_the_bound_drop_the_oldest_and_count_it() -> None:
    log, redis = empty_log()
    redis.leave_unconfirmed(REMEMBER_GONE)
    for number in range(PENDING_MAX + 3):
        log.remember([AGENT], disconnect(f"s{number}"))
    await turns()
    assert log.statistics() == DisconnectLogStatistics(0, PENDING_MAX, 3)
    redis.confirm_again(REMEMBER_GONE)
    redis.calls.clear()
    log.send_pending()
    assert redis.arguments_of(REMEMBER_GONE)[0][0] == packed("s3")


@on_manual_time
async def test_recent_returns_the_disconnects_in_the_order_of_redis() -> None:
    log, redis = empty_log()
    redis.reply_with("LRANGE", [packed("s2"), packed("s1")])
    assert await log.recent(AGENT) == [disconnect("s2"), disconnect("s1")]
    assert redis.arguments_of("LRANGE") == [[KEYSPACE.disconnects(AGENT), b"0", str(KEPT - 1).encode()]]


@on_manual_time
async def test_recent_without_a_reply_is_unavailable() -> None:
    log, redis = empty_log()
    redis.leave_unconfirmed("LRANGE")
    with pytest.raises(Unavailable):
        await log.recent(AGENT)


@on_manual_time
async def test_the_entries_of_owners_that_are_too_many_are_deleted() -> None:
    log, redis = empty_log()
    names = (Owner(OwnerKind.USER, f"u{number}") for number in range(1000))
    old = next(owner for owner in names if owner.partition == AGENT.partition)
    redis.reply_with(REMEMBER_GONE, [f"user:{old.name}".encode(), b"no owner"])
    log.remember([AGENT], disconnect())
    await turns()
    assert redis.arguments_of("DEL") == [[KEYSPACE.disconnects(old)]]
