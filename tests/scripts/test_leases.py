"""The lease scripts, against a real Valkey: who gets a place, who waits, who has to go."""

import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tannoy.fanout.lease_times import DEFAULT_TIMES
from tannoy.fanout.redis.script import Script
from tannoy.fanout.scripts import HEARTBEAT, LEASE_ACQUIRE, LEASE_LIMIT, LEASE_RELEASE, LEASE_REPAIR, SERVER_ENSURE

from tests.support.valkey import Valkey

_owners = itertools.count(1)
ALIVE_MS = 60_000


class Owner:
    """One agent of a partition, spoken to in the scripts' own words."""

    def __init__(self, valkey: Valkey, *, max: int, policy: str) -> None:
        self._valkey = valkey
        tag = f"{{{next(_owners)}}}"
        self._keys = [f"{tag}:{part}" for part in ("nodes", "server", "mine", "held", "info", "state", "limit")]
        self._max, self._policy = max, policy

    async def _run(self, script: Script, keys: list[str], *arguments: str | int) -> Any:
        return await self._valkey.run("EVAL", script.source, str(len(keys)), *keys, *map(str, arguments))

    async def ensure(self, *, wait_ms: int = 0) -> None:
        await self._run(SERVER_ENSURE, self._keys[1:2], wait_ms)

    async def beat(self, *nodes: str, ms: int = ALIVE_MS) -> list[str]:
        """Of each node, what it was taken for before."""
        return [(await self._run(HEARTBEAT, self._keys[:2], node, ms))[0].decode() for node in nodes]

    async def dies(self, node: str) -> None:
        await self._valkey.run("ZREM", self._keys[0], node)

    async def acquire(self, lease: str, *, again: bool = False) -> list[str]:
        arguments = (lease, "{}", self._max, self._policy, "agent:42", int(again), DEFAULT_TIMES.lease_ms)
        answer = await self._run(LEASE_ACQUIRE, self._keys, *arguments)
        return [part.decode() if isinstance(part, bytes) else str(part) for part in answer]

    async def release(self, lease: str, generation: str = "") -> str:
        answer: bytes = await self._run(LEASE_RELEASE, self._keys, lease, generation)
        return answer.decode()

    async def repair(
        self, node: str, *stated: tuple[str, str], adding: bool = False, newest: int = 1000
    ) -> list[list[str]]:
        """`stated`: (lease, generation). Returns missing, granted, surplus."""
        words = [word for lease, generation in stated for word in (lease, generation, "{}")]
        arguments: tuple[str | int, ...] = (node, "agent:42", self._max, self._policy, int(adding), newest, *words)
        answer = await self._run(LEASE_REPAIR, self._keys, *arguments)
        return [[lease.decode() for lease in leases] for leases in answer[:3]]

    async def limit(self, max: int, policy: str) -> list[str]:
        _, surplus = await self._run(LEASE_LIMIT, self._keys, max, policy)
        return [lease.decode() for lease in surplus]

    async def held(self) -> list[str]:
        """Oldest first."""
        return [lease.decode() for lease in await self._valkey.run("ZRANGE", self._keys[3], "0", "-1")]

    async def keys(self) -> set[str]:
        """Which of the owner's keys there are."""
        return {key.rpartition(":")[2] for key in self._keys if await self._valkey.run("EXISTS", key)}

    async def left_over(self) -> int:
        """Who holds, who waits, and under which names; the last generation alone may stay for a day."""
        state = set(await self._valkey.run("HKEYS", self._keys[5])) - {b".g", b".d"}
        return int(await self._valkey.run("EXISTS", *self._keys[3:5])) + len(state)


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


@pytest.fixture
async def rejecting(valkey: Valkey) -> Owner:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.ensure()
    await owner.beat("n1", "n2")
    return owner


@pytest.fixture
async def evicting(valkey: Valkey) -> Owner:
    owner = Owner(valkey, max=2, policy="evict_oldest")
    await owner.ensure()
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
    assert await evicting.acquire("n3|1|c") == ["wait", "n1|1|a", "", "2", "2"]
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
    assert await evicting.acquire("n2|1|c") == ["wait", "n1|1|a", "", "2", "2"]
    assert await evicting.acquire("n2|2|d") == ["wait", "n1|2|b", "", "2", "2"]
    assert await evicting.acquire("n2|3|e") == ["wait", "n1|1|a", "n2|1|c", "2", "2"]
    assert await evicting.acquire("n2|4|f") == ["wait", "n1|2|b", "n2|2|d", "2", "2"]
    assert await evicting.acquire("n2|5|g") == ["wait", "n1|1|a", "n2|3|e", "2", "2"]

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
    assert await rejecting.acquire("n2|1|a") == ["wait", "n1|1|a", "", "2", "2"]
    assert await rejecting.release("n1|1|a", generation) == "n2|1|a"
    assert await rejecting.held() == ["n1|2|b", "n2|1|a"]


async def test_a_session_that_connects_again_while_it_waits_takes_its_own_turn(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n2|1|a")
    assert await rejecting.acquire("n2|2|a") == ["wait", "n1|1|a", "n2|1|a", "1", "2"]
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


async def test_whose_turn_was_taken_over_does_not_push_in_again(evicting: Owner) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    for newcomer in ("n2|1|c", "n2|2|d", "n2|3|e"):
        await evicting.acquire(newcomer)
    assert await evicting.acquire("n2|1|c", again=True) == ["displaced", ""]
    assert (await evicting.acquire("n2|3|e", again=True))[:2] == ["wait", "n1|1|a"]


async def test_a_server_that_nobody_has_asked_who_it_is_gives_no_places(valkey: Valkey) -> None:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.beat("n1")
    assert await owner.acquire("n1|1|a") == ["recovering", "-1"]
    await owner.ensure()
    assert (await owner.acquire("n1|1|a"))[0] == "held"


async def test_a_new_server_gives_places_only_after_the_time_to_recover(valkey: Valkey) -> None:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.beat("n1")
    await owner.ensure(wait_ms=60_000)
    verdict, wait_ms = await owner.acquire("n1|1|a")
    assert verdict == "recovering"
    assert 0 < int(wait_ms) <= 60_000
    await owner.ensure(wait_ms=0)
    assert (await owner.acquire("n1|1|a"))[0] == "recovering", "asked again, the server is known, and nothing changes"


async def test_a_heartbeat_tells_what_the_node_was_taken_for(valkey: Valkey) -> None:
    owner = Owner(valkey, max=2, policy="reject")
    assert await owner.beat("n1", ms=-1) == ["unknown"]
    assert await owner.beat("n1") == ["expired"]
    assert await owner.beat("n1") == ["alive"]


async def test_repair_takes_out_what_the_node_does_not_hold_and_grants_its_place(evicting: Owner) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.acquire("n2|2|d")
    missing, granted, surplus = await evicting.repair("n1", ("n1|1|a", generation))
    assert (missing, granted, surplus) == ([], ["n2|2|d"], [])
    assert await evicting.held() == ["n1|1|a", "n2|2|d"]


async def test_repair_tells_what_redis_lacks_or_adds_it(rejecting: Owner) -> None:
    stated = ("n1|1|a", "1795000000000001")
    assert await rejecting.repair("n1", stated) == [["n1|1|a"], [], []]
    assert await rejecting.held() == []
    assert await rejecting.repair("n1", stated, adding=True) == [[], [], []]
    assert await rejecting.acquire("n1|1|a") == ["held", "1795000000000001"]


async def test_repair_leaves_alone_what_is_being_asked_for(rejecting: Owner) -> None:
    await rejecting.acquire("n1|1|a")
    assert await rejecting.repair("n1", ("n1|1|a", ""), ("n1|2|b", "")) == [[], [], []]
    assert await rejecting.held() == ["n1|1|a"]


async def test_repair_leaves_the_places_of_other_nodes_alone(rejecting: Owner) -> None:
    await rejecting.acquire("n2|1|b")
    await rejecting.repair("n1")
    assert await rejecting.held() == ["n2|1|b"]


@pytest.mark.parametrize(("policy", "goes"), [("reject", "n2|1|c"), ("evict_oldest", "n1|1|a")])
async def test_a_lower_limit_names_who_has_to_go(valkey: Valkey, policy: str, goes: str) -> None:
    owner = Owner(valkey, max=3, policy=policy)
    await owner.ensure()
    await owner.beat("n1", "n2")
    for lease in ("n1|1|a", "n1|2|b", "n2|1|c"):
        await owner.acquire(lease)
    assert await owner.limit(2, policy) == [goes]
    await owner.release(goes)
    assert await owner.limit(2, policy) == []


async def test_a_limit_of_its_own_goes_before_the_setting(rejecting: Owner) -> None:
    await rejecting.limit(1, "evict_oldest")
    await rejecting.acquire("n1|1|a")
    assert await rejecting.acquire("n2|1|b") == ["wait", "n1|1|a", "", "1", "1"]


async def test_a_large_house_is_searched_for_the_dead_too(valkey: Valkey) -> None:
    owner = Owner(valkey, max=200, policy="reject")
    await owner.ensure()
    await owner.beat("n1", "n2")
    for number in range(200):
        await owner.acquire(f"n{1 + number % 2}|{number}|s{number}")
    await owner.dies("n1")
    assert (await owner.acquire("n2|200|new"))[0] == "held"
    assert len(await owner.held()) == 101


async def test_a_repair_that_comes_late_says_nothing_of_later_leases(rejecting: Owner) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    await rejecting.repair("n1", ("n1|1|a", generation), newest=1)
    assert await rejecting.held() == ["n1|1|a", "n1|2|b"]


async def test_repair_ends_the_waiting_of_whoever_the_node_does_not_know(evicting: Owner) -> None:
    _, generation = await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.repair("n2")
    assert await evicting.release("n1|1|a", generation) == ""


async def test_a_newcomer_that_gives_up_leaves_its_namesake_the_name(rejecting: Owner) -> None:
    await rejecting.acquire("n1|1|a")
    await rejecting.acquire("n1|2|b")
    assert (await rejecting.acquire("n2|1|a"))[:2] == ["wait", "n1|1|a"]
    await rejecting.release("n2|1|a")
    assert (await rejecting.acquire("n2|2|a"))[:2] == ["wait", "n1|1|a"], "it replaces itself still"


async def test_a_dead_newcomer_keeps_no_place_from_the_living(evicting: Owner) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.dies("n2")
    assert await evicting.acquire("n3|1|d") == ["wait", "n1|1|a", "", "2", "2"], "the oldest, though c waited for it"


async def test_a_session_that_is_leaving_for_another_replaces_itself_all_the_same(evicting: Owner) -> None:
    _, first = await evicting.acquire("n1|1|a")
    _, second = await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")

    assert (await evicting.acquire("n3|1|a"))[:2] == ["wait", "n1|1|a"]

    assert (await evicting.acquire("n2|1|c", again=True))[:2] == ["wait", "n1|2|b"], "it waits for the next oldest"
    assert await evicting.release("n1|1|a", first) == "n3|1|a"
    assert await evicting.release("n1|2|b", second) == "n2|1|c"
    assert await evicting.held() == ["n2|1|c", "n3|1|a"]


async def test_a_session_that_is_leaving_takes_the_turn_back_if_all_are_leaving(evicting: Owner) -> None:
    await evicting.acquire("n1|1|a")
    await evicting.acquire("n1|2|b")
    await evicting.acquire("n2|1|c")
    await evicting.acquire("n2|2|d")
    assert (await evicting.acquire("n3|1|a"))[:3] == ["wait", "n1|1|a", "n2|1|c"]


async def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_longer_than_a_window(valkey: Valkey) -> None:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.beat("n1")
    await owner.ensure(wait_ms=3_600_000)
    assert (await owner.acquire("n1|1|a"))[0] == "recovering"
    verdict, wait_ms = await owner.acquire("n1|1|a")
    assert (verdict, int(wait_ms) <= DEFAULT_TIMES.lease_ms) == ("recovering", True)


async def test_nobody_is_too_many_while_others_may_still_have_to_state_what_they_hold(valkey: Valkey) -> None:
    owner = Owner(valkey, max=1, policy="reject")
    await owner.beat("n1", "n2")
    await owner.ensure(wait_ms=5000)
    await owner.repair("n1", ("n1|1|old", "1795000000000001"), adding=True)
    assert await owner.repair("n2", ("n2|1|new", "1795000000000002"), adding=True) == [[], [], []]
    assert len(await owner.held()) == 2


async def test_nothing_at_all_is_kept_of_an_owner_without_sessions(rejecting: Owner, valkey: Valkey) -> None:
    _, generation = await rejecting.acquire("n1|1|a")
    await rejecting.release("n1|1|a", generation)
    assert await rejecting.keys() == {"nodes", "server", "mine"}


async def test_nobody_is_missing_on_a_server_that_has_just_lost_its_data(valkey: Valkey) -> None:
    owner = Owner(valkey, max=2, policy="reject")
    await owner.beat("n1")
    stated = ("n1|1|a", "1795000000000001")
    assert await owner.repair("n1", stated) == [[], [], []]
    await owner.ensure(wait_ms=5000)
    assert await owner.repair("n1", stated) == [[], [], []]
