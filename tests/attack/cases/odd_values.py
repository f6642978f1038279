"""F5, F17: whoever can write into Redis. `tests/cluster/test_unreadable_data.py` has a hundred values more."""

import uuid
from collections.abc import Awaitable, Callable

from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.attack.case import Attacker, Case
from tests.attack.cases.forgeries import connect
from tests.chaos.harness.waiting import becomes_true
from tests.support.client import Client

KEYSPACE = Keyspace("tannoy")
MENDED_WITHIN = 15.0
MENDED = frozenset({"mended"})
NO_TEXT = b"\xff\xfe"


async def _is_mended(condition: Callable[[], Awaitable[bool]]) -> str:
    return "mended" if await becomes_true(condition, MENDED_WITHIN) else "as it was"


async def _write_due(attacker: Attacker) -> str:
    """A room that is due to be swept, and whose name is no text: every node reads it."""
    room, valkey = KEYSPACE.room(RoomName(uuid.uuid4().hex)), attacker.arena.valkey
    key = KEYSPACE.presence(room).due
    await valkey.run("ZADD", key, "0", NO_TEXT)

    async def is_gone() -> bool:
        return await valkey.run("ZSCORE", key, NO_TEXT) is None

    return await _is_mended(is_gone)


async def _write_node(attacker: Attacker) -> str:
    """What a living node says of itself is no JSON."""
    arena = attacker.arena
    (first, *_) = (await arena.other.http.get("/api/v1/nodes")).json()["nodes"]
    await arena.valkey.run("HSET", KEYSPACE.node_info(), first["incarnation"], "{")

    async def are_listed() -> bool:
        answer = await arena.attacked.http.get("/api/v1/nodes")
        return answer.status_code == 200 and len(answer.json()["nodes"]) == 2

    return await _is_mended(are_listed)


async def _write_leases(attacker: Attacker) -> str:
    """The leases of an agent are of another type: they count as lost, and none is granted for some seconds."""
    name, valkey = uuid.uuid4().hex, attacker.arena.valkey
    await valkey.run("SETBIT", KEYSPACE.leases(Owner(OwnerKind.AGENT, name), "").held, "7", "1")

    async def is_admitted() -> bool:
        session = await Client.open(f"{attacker.arena.attacked.ws_url}/ws/agents/{name}")
        greeting = await session.find(lambda frame: frame["type"] in ("welcome", "bye"), "welcome or bye")
        await session.close()
        return bool(greeting["type"] == "welcome")

    return await _is_mended(is_admitted)


async def _break_history(attacker: Attacker, *words: str) -> str:
    """`LOG` and `HEAD` stand for the keys of a room in which something was said. Whether messages are heard again."""
    arena, room = attacker.arena, KEYSPACE.room(RoomName(uuid.uuid4().hex))
    keys = {"LOG": KEYSPACE.history(room).log, "HEAD": KEYSPACE.history(room).head}
    member = await connect(f"{arena.attacked.ws_url}/ws/chat/{room.name}")
    try:
        await member.ok("message", content="before")
        await arena.valkey.run(*(keys.get(word, word) for word in words))

        async def is_confirmed() -> bool:
            return bool((await member.call("message", content="after"))["type"] == "ok")

        outcome = await _is_mended(is_confirmed)
        await member.find(lambda frame: frame.get("content") == "after", "the message is heard")
        return outcome
    finally:
        await member.close()


def _history(name: str, *words: str) -> Case:
    async def attack(attacker: Attacker) -> str:
        return await _break_history(attacker, *words)

    return Case(name, "F17", attack, MENDED, by_client=False)


CASES = (
    Case("a due room that is no text", "F5", _write_due, MENDED, by_client=False),
    Case("a node that is no JSON", "F5", _write_node, MENDED, by_client=False),
    Case("leases of another type", "F5", _write_leases, MENDED, by_client=False),
    _history("a log of another type", "EVAL", "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 1)", "1", "LOG"),
    _history("a head that was set back", "SET", "HEAD", "E 0"),
    _history("an entry ahead of its head", "XADD", "LOG", "500-0", "m", "x"),
)
