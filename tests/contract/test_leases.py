"""The lease scripts, against a real Valkey: who gets a place, who waits, who has to go."""

import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.scripts import HEARTBEAT, LEASE_ACQUIRE, LEASE_RELEASE, Script

from tests.support.valkey import Valkey

_owners = itertools.count(1)
ALIVE_MS = 60_000


class Owner:
    """One agent of a partition, spoken to in the scripts' own words."""

    def __init__(self, valkey: Valkey, *, max: int, policy: str) -> None:
        self._valkey = valkey
        tag = f"{{{next(_owners)}}}"
        self._keys = [f"{tag}:{part}" for part in ("nodes", "held", "info", "names", "tickets", "meta")]
        self._max, self._policy = max, policy

    async def _run(self, script: Script, keys: list[str], *arguments: str | int) -> Any:
        return await self._valkey.run("EVAL", script.source, str(len(keys)), *keys, *map(str, arguments))

    async def beat(self, *nodes: str, ms: int = ALIVE_MS) -> None:
        for node in nodes:
            await self._run(HEARTBEAT, self._keys[:1], node, ms)

    async def dies(self, node: str) -> None:
        await self._valkey.run("ZREM", self._keys[0], node)

    async def acquire(self, lease: str) -> list[str]:
        answer = await self._run(LEASE_ACQUIRE, self._keys, lease, "{}", self._max, self._policy)
        return [part.decode() if isinstance(part, bytes) else str(part) for part in answer]

    async def release(self, lease: str, generation: str = "") -> str:
        answer: bytes = await self._run(LEASE_RELEASE, self._keys, lease, generation)
        return answer.decode()

    async def held(self) -> list[str]:
        """Oldest first."""
        return [lease.decode() for lease in await self._valkey.run("ZRANGE", self._keys[1], "0", "-1")]

    async def left_over(self) -> int:
        """Keys with anything in them but the heartbeats and the last generation."""
        return int(await self._valkey.run("EXISTS", *self._keys[1:5]))


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def rejecting(valkey: Valkey) -> Owner:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.beat("n1", "n2")
    return owner


@pytest.fixture
async def evicting(valkey: Valkey) -> Owner:
    owner = Owner(valkey, max=2, policy="evict_oldest")
    await owner.beat("n1", "n2", "n3")
    return owner


async def test_places_are_given_up_to_the_limit_and_no_further(rejecting: Owner) -> None:
    assert (await rejecting.acquire("n1|1|a"))[0] == "held"
    assert (await rejecting.acquire("n2|1|b"))[0] == "held"
    assert await rejecting.acquire("n1|2|c") == ["full", "2", "2"]
    assert await rejecting.held() == ["n1|1|a", "n2|1|b"]


async def test_asking_again_for_a_place_one_has_gives_the_same_generation(rejecting: Owner) -> None:
    first = await rejecting.acquire("n1|1|a")
    assert await rejecting.acquire("n1|1|a") == first
    assert await rejecting.held() == ["n1|1|a"]


async def test_generations_rise(rejecting: Owner) -> None:
    _, first = await rejecting.acquire("n1|1|a")
    _, second = await rejecting.acquire("n1|2|b")
    assert int(second) > int(first) > 10**15


async def test_a_released_place_is_free(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert await rejecting.release("n1|1|a", generation) == ""
    assert (await rejecting.acquire("n2|1|c"))[0] == "held"


async def test_a_release_meant_for_another_generation_does_nothing(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.release("n1|1|a", str(int(generation) - 1))
    assert await rejecting.held() == ["n1|1|a"]


async def test_places_of_a_dead_node_are_free_when_they_are_needed(rejecting: Owner) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|b")
    await rejecting.dies("n1")
    assert (await rejecting.acquire("n2|2|c"))[0] == "held"
    assert await rejecting.held() == ["n2|1|b", "n2|2|c"]


async def test_a_node_whose_heartbeat_has_run_out_gets_no_place(rejecting: Owner) -> None:
    assert await rejecting.acquire("n9|1|a") == ["fenced"]
    assert await rejecting.held() == []


async def test_the_oldest_has_to_go_and_its_place_is_kept_for_the_newcomer(evicting: Owner) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert await evicting.acquire("n3|1|c") == ["wait", "n1|1|a", "4500", ""]
    assert await evicting.held() == ["n1|1|a", "n2|1|b"]

    assert await evicting.release("n1|1|a", generation) == "n3|1|c"

    assert await evicting.held() == ["n2|1|b", "n3|1|c"]
    assert (await evicting.acquire("n3|1|c"))[0] == "held"


async def test_a_newcomer_does_not_wait_for_a_dead_victim(evicting: Owner) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n2|1|b")
    assert (await evicting.acquire("n3|1|c"))[0] == "wait"
    await evicting.dies("n1")
    assert (await evicting.acquire("n3|1|c"))[0] == "held"
    assert await evicting.held() == ["n2|1|b", "n3|1|c"]


async def test_newcomers_beyond_the_limit_displace_the_one_that_waits_longest(evicting: Owner) -> None:
    generations = {lease: (await evicting.acquire(lease))[1] for lease in ("n1|1|a", "n1|2|b")}
    assert await evicting.acquire("n2|1|c") == ["wait", "n1|1|a", "4500", ""]
    assert await evicting.acquire("n2|2|d") == ["wait", "n1|2|b", "4500", ""]
    assert await evicting.acquire("n2|3|e") == ["wait", "n1|1|a", "4500", "n2|1|c"]
    assert await evicting.acquire("n2|4|f") == ["wait", "n1|2|b", "4500", "n2|2|d"]
    assert await evicting.acquire("n2|5|g") == ["wait", "n1|1|a", "4500", "n2|3|e"]

    for victim, generation in generations.items():
        await evicting.release(victim, generation)

    assert await evicting.held() == ["n2|4|f", "n2|5|g"]


async def test_a_newcomer_that_gives_up_frees_its_turn(evicting: Owner) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.release("n2|1|c")
    assert await evicting.release("n1|1|a", generation) == ""
    assert await evicting.held() == ["n1|2|b"]


async def test_a_newcomer_whose_node_died_leaves_the_place_free(evicting: Owner) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.dies("n2")
    assert await evicting.release("n1|1|a", generation) == ""
    assert (await evicting.acquire("n3|1|d"))[0] == "held"


async def test_a_session_that_connects_again_replaces_itself_and_never_counts_twice(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert await rejecting.acquire("n2|1|a") == ["wait", "n1|1|a", "4506", ""]
    assert await rejecting.release("n1|1|a", generation) == "n2|1|a"
    assert await rejecting.held() == ["n1|2|b", "n2|1|a"]


async def test_a_session_that_connects_again_while_it_waits_takes_its_own_turn(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|a")
    assert await rejecting.acquire("n2|2|a") == ["wait", "n1|1|a", "4506", "n2|1|a"]
    assert await rejecting.release("n1|1|a", generation) == "n2|2|a"
    assert await rejecting.held() == ["n2|2|a"]


async def test_a_session_on_a_dead_node_is_replaced_at_once(rejecting: Owner) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.dies("n1")
    assert (await rejecting.acquire("n2|1|a"))[0] == "held"
    assert await rejecting.held() == ["n2|1|a"]


async def test_nothing_is_left_when_all_have_gone(evicting: Owner) -> None:
    _, first = await evicting.acquire("n1|1|a")
    _, second = await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.release("n1|1|a", first)
    _, third = await evicting.acquire("n2|1|c")
    await evicting.release("n1|2|b", second)
    await evicting.release("n2|1|c", third)
    assert await evicting.left_over() == 0
