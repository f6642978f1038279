"""Limits that hold across the cluster: under a rush, when a node dies, and when one freezes and comes back."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncGenerator

import pytest

from tests.support.client import Client, Frame
from tests.support.cluster import Cluster, NodeProcess, Transport
from tests.support.node import HASTY, PATIENT, Times
from tests.support.waiting import value_becomes

LIMIT = 5
FREE_AFTER_LEASE = 2.0
"""Seconds from the end of a dead node's lease until others have its leases, at most: 8 s in the product."""
FROZEN_LEASES = 10 / 3
"""How often the lease of a frozen node could run out before it wakes up: it sleeps for 20 s in the product."""
EVICTED, LEASE_LOST, FULL = 4500, 4004, 1013
_agents = itertools.count(1)


TIMES: dict[object, Times] = {Transport.FAST: PATIENT, Transport.PORTABLE: HASTY}
"""Leases hold on each transport alike: on one for as long as the product's, on the other for less."""


@pytest.fixture(params=list(TIMES), ids=str, scope="module")
async def cluster(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Cluster]:
    transport: Transport = request.param
    times = TIMES[transport]
    async with Cluster(nodes=4, transport=transport, times=times, AGENT_MAX_SESSIONS=str(LIMIT)) as running:
        yield running


@pytest.fixture(params=list(TIMES), ids=str)
async def steady_cluster(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncGenerator[Cluster]:
    """Its leases do not run out while a busy machine admits hundreds of clients at once."""
    transport: Transport = request.param
    async with Cluster(nodes=4, transport=transport, times=PATIENT, AGENT_MAX_SESSIONS=str(LIMIT)) as running:
        yield running


@pytest.fixture
def agent() -> str:
    return f"agent-{next(_agents)}"


class Outcome:
    """What one client saw, and when; reads all the while, so that the order is that in which things came."""

    seen = itertools.count()

    def __init__(self, client: Client) -> None:
        self.client = client
        self.session_id = ""
        self.welcome_at: int | None = None
        self.bye: Frame | None = None
        self.bye_at: int | None = None
        self.decided = asyncio.Event()
        """Set when the first of `welcome` and `bye` is here."""
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while self.bye is None:
            frame = await self.client.find(lambda frame: frame["type"] in ("welcome", "bye"), "welcome or bye")
            if frame["type"] == "welcome":
                self.welcome_at, self.session_id = next(self.seen), frame["session_id"]
            else:
                self.bye, self.bye_at = frame, next(self.seen)
            self.decided.set()

    async def close(self) -> None:
        self.reading.cancel()
        await self.client.close()


async def _try(node: NodeProcess, agent: str) -> Outcome:
    outcome = Outcome(await Client.open(f"{node.ws_url}/ws/agents/{agent}"))
    await outcome.decided.wait()
    return outcome


async def _rush(cluster: Cluster, agent: str, count: int) -> list[Outcome]:
    return list(await asyncio.gather(*(_try(cluster.nodes[number % 4], agent) for number in range(count))))


async def _sessions(node: NodeProcess, agent: str) -> list[str]:
    shown = (await node.http.get(f"/api/v1/agents/{agent}")).json()
    return [session["session_id"] for session in shown["sessions"]]


async def test_of_300_concurrent_sessions_five_are_admitted_then_the_last_five_of_20_remain(
    steady_cluster: Cluster, agent: str
) -> None:
    cluster = steady_cluster
    first = await _rush(cluster, agent, 300)

    holders = [outcome for outcome in first if outcome.welcome_at is not None]
    refused = [outcome.bye for outcome in first if outcome.bye is not None]
    assert len(holders) == LIMIT
    assert [frame["code"] for frame in refused] == [FULL] * (300 - LIMIT)
    assert all(frame["reconnect"] and frame["retry_after"] > 0 for frame in refused)

    answer = await cluster.nodes[2].http.put(
        f"/api/v1/agents/{agent}/limit", json={"max_sessions": LIMIT, "policy": "evict_oldest"}
    )
    assert answer.status_code == 200, answer.text
    second = await _rush(cluster, agent, 20)
    await value_becomes(lambda: _open_of(first + second), LIMIT)

    remaining = {outcome.session_id for outcome in second if outcome.bye is None}
    assert set(await _sessions(cluster.nodes[0], agent)) == remaining
    assert all(outcome.bye is not None and outcome.bye["code"] == EVICTED for outcome in holders)
    _never_more_than(LIMIT, first + second)
    for outcome in first + second:
        await outcome.close()


async def _open_of(outcomes: list[Outcome]) -> int:
    return sum(1 for outcome in outcomes if outcome.bye is None)


def _never_more_than(limit: int, outcomes: list[Outcome]) -> None:
    """Each `welcome` came after the `bye` of the session that it replaced."""
    events = [(outcome.welcome_at, 1) for outcome in outcomes if outcome.welcome_at is not None]
    events += [
        (outcome.bye_at, -1) for outcome in outcomes if outcome.welcome_at is not None and outcome.bye_at is not None
    ]
    live = 0
    for _, change in sorted(events):
        live += change
        assert live <= limit


async def test_the_sessions_of_a_killed_node_stop_counting_soon_after_its_lease(cluster: Cluster, agent: str) -> None:
    doomed, *others = cluster.nodes
    for node in (doomed, doomed, doomed, others[0], others[1]):
        await node.connect(f"/ws/agents/{agent}")

    await doomed.kill()
    killed_at = time.monotonic()
    newcomers = [await _admitted(others[number], agent) for number in range(3)]
    took = time.monotonic() - killed_at

    assert took < TIMES[cluster.transport].leases.lease_seconds + FREE_AFTER_LEASE
    assert len(await _sessions(others[0], agent)) == LIMIT
    for client in newcomers:
        await client.close()
    await doomed.start()
    await asyncio.gather(*(_admitted(node, agent) for node in (doomed, *others[:2])))


async def _admitted(node: NodeProcess, agent: str) -> Client:
    """A client that retries after `retry_after`, until it is welcomed."""
    while True:
        outcome = await _try(node, agent)
        if outcome.bye is None:
            outcome.reading.cancel()
            return outcome.client
        assert outcome.bye["code"] == FULL
        await asyncio.sleep(outcome.bye["retry_after"])


async def test_a_resumed_node_closes_the_sessions_that_were_replaced_meanwhile(cluster: Cluster, agent: str) -> None:
    frozen, *others = cluster.nodes
    fenced = [await frozen.connect(f"/ws/agents/{agent}") for _ in range(LIMIT)]

    frozen.signal(signal.SIGSTOP)
    woken_at = time.monotonic() + FROZEN_LEASES * TIMES[cluster.transport].leases.lease_seconds
    newcomers = await asyncio.gather(*(_admitted(others[number % 3], agent) for number in range(LIMIT)))
    answer = await others[0].http.post(f"/api/v1/agents/{agent}/messages", json={"content": "for the living"})
    assert answer.status_code == 200, answer.text
    for client in newcomers:
        assert await client.contents(1) == ["for the living"]
    for client in fenced:
        await client.send("message", content="from the dead")
    await asyncio.sleep(max(0.0, woken_at - time.monotonic()))  # frozen for so long in all
    frozen.signal(signal.SIGCONT)

    for client in fenced:
        bye, code = await client.bye()
        assert (bye["code"], code) == (LEASE_LOST, LEASE_LOST)
        assert [frame["type"] for frame in client.inbox if frame["type"] != "ping"] == ["bye"]
    assert all(not client.inbox for client in newcomers)
    assert len(await _sessions(others[0], agent)) == LIMIT
