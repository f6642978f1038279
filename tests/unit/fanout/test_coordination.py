"""Why a node can't coordinate its sessions with other nodes, and so is not ready."""

import asyncio
import math

from tannoy.fanout.coordination import Coordination, CoordinationRules
from tannoy.fanout.presence.calls import PresenceRules
from tannoy.fanout.server_life import ServerLives
from tannoy.shared.policy import LimitMode

from tests.support.clock import manual_clock, on_manual_time, turns
from tests.support.recording_backend import RecordingBackend
from tests.support.records import NODE
from tests.support.scripted_history import KEYSPACE


def coordination() -> Coordination:
    """Of the process `me`, over a connection that takes commands. Its heartbeat holds."""
    clock = manual_clock()
    made = Coordination(
        RecordingBackend(),
        KEYSPACE,
        CoordinationRules({}, LimitMode.STRICT, PresenceRules(50, 1000, 5.0)),
        ServerLives(KEYSPACE, clock=clock),
        incarnation="me",
        name="n",
        clock=clock,
        send_notice=lambda incarnation, notice: None,
        announce=lambda announcement: None,
        describe=lambda: NODE,
        on_revoked=lambda: None,
    )
    made.membership.valid_until = math.inf
    made.revocations.loaded.set()
    return made


@on_manual_time
async def test_while_the_heartbeat_holds_a_node_is_ready() -> None:
    assert coordination().not_ready_reason is None


@on_manual_time
async def test_without_a_connection_a_node_is_not_ready() -> None:
    made = coordination()
    made.pipeline.connected.clear()
    assert made.not_ready_reason == "Redis takes no heartbeats"


@on_manual_time
async def test_after_its_heartbeat_has_expired_a_node_is_not_ready_until_the_next_one() -> None:
    made = coordination()
    made.membership.valid_until = manual_clock().monotonic() - 1
    assert made.not_ready_reason == "the heartbeat of this node has expired: it has no leases"


@on_manual_time
async def test_after_a_refused_heartbeat_a_node_is_not_ready_and_says_why() -> None:
    made = coordination()
    made.membership.refusal = "Redis is out of memory"
    assert made.not_ready_reason == "Redis takes no heartbeats: Redis is out of memory"


@on_manual_time
async def test_before_it_knows_who_is_revoked_a_node_is_not_ready() -> None:
    made = coordination()
    made.revocations.loaded.clear()
    assert made.not_ready_reason == "the revocations have not been read yet"


@on_manual_time
async def test_a_node_starts_when_it_knows_who_is_revoked() -> None:
    made = coordination()
    made.revocations.loaded.clear()
    waiting = asyncio.create_task(made.wait_until_ready())
    await turns()
    assert not waiting.done()
    made.revocations.loaded.set()
    await waiting
