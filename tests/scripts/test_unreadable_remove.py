"""`unreadable_remove.lua` against a real Valkey: it removes what no node has written, and leaves the rest."""

import itertools
from collections.abc import AsyncGenerator

import pytest
from tannoy.fanout.scripts import UNREADABLE_REMOVE

from tests.support.valkey import Valkey

_numbers = itertools.count(1)
LEASE = "i1|1|s1"
WRITTEN = {
    **{kind: ("HSET", "x", "1") for kind in ("node-info", "info", "limit", "limits", "revocations")},
    **{kind: ("ZADD", "1", "x") for kind in ("nodes", "rooms", "due", "leaving", "gone-owners")},
    **{kind: ("SADD", "x") for kind in ("owners", "on")},
    **{kind: ("SET", "x") for kind in ("head", "once")},
    "server": ("HSET", "life", "0a1b", "id", "?"),
    "held": ("ZADD", "1", LEASE),
    "state": ("HSET", "s|s1", LEASE),
    "users": ("HSET", "ada", "1|1700000000000|Ada"),
    "in": ("HSET", "1", "ada\n1700000000000|Ada"),
    "presence": ("HSET", "v", "1"),
    "gone": ("LPUSH", "x"),
    "log": ("XADD", "1-0", "m", "x"),
}
"""How each kind of key is written."""


@pytest.fixture(scope="module")
async def valkey(anyio_backend: str) -> AsyncGenerator[Valkey]:
    async with Valkey() as running:
        yield running


async def remove(valkey: Valkey, key: str, kind: str) -> int:
    (removed,) = await valkey.run("EVAL", UNREADABLE_REMOVE.source, "1", key, kind)
    return int(removed)


@pytest.mark.parametrize("kind", WRITTEN)
async def test_a_key_of_another_type_is_removed(kind: str, valkey: Valkey) -> None:
    key = f"other-{kind}"
    verb = "LPUSH" if kind != "gone" else "SADD"
    await valkey.run(verb, key, "x")
    assert (await remove(valkey, key, kind), await valkey.run("EXISTS", key)) == (1, 0)


@pytest.mark.parametrize("kind", WRITTEN)
async def test_a_key_of_its_type_stays(kind: str, valkey: Valkey) -> None:
    key, (verb, *rest) = f"same-{kind}", WRITTEN[kind]
    await valkey.run(verb, key, *rest)
    assert (await remove(valkey, key, kind), await valkey.run("EXISTS", key)) == (0, 1)


async def test_a_key_that_is_missing_or_of_no_known_kind_has_nothing_removed(valkey: Valkey) -> None:
    await valkey.run("SET", "stranger", "x")
    assert await remove(valkey, "missing", "due") == 0
    assert (await remove(valkey, "stranger", "probe"), await valkey.run("EXISTS", "stranger")) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("server", {"id": "?", "life": "0a1b", "born": "5", "until": "7"}, {"beats": "x", "losses": "9" * 20}),
        ("server", {"id": "8f"}, {"life": "no life"}),
        ("users", {"ada": "2|1700000000000|Ada"}, {"bob": "{", "eve": "2|x|Eve", "max": "9999999999|1|Max"}),
        ("in", {"1": "ada\n1700000000000|Ada"}, {"x": "ada\n1|Ada", "2": "ada"}),
    ],
)
async def test_of_fields_for_themselves_only_the_odd_ones_are_removed(
    kind: str, good: dict[str, str], bad: dict[str, str], valkey: Valkey
) -> None:
    key = f"fields-{next(_numbers)}"
    await valkey.run("HSET", key, *itertools.chain.from_iterable((good | bad).items()))
    assert await remove(valkey, key, kind) == len(bad)
    assert await valkey.run("HGETALL", key) == {name.encode(): value.encode() for name, value in good.items()}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("presence", {"v": "17", "s": "0", "pending": "1"}, {"counted": "{"}),
        ("presence", {"v": "17"}, {"u": str(2**53)}),
        ("state", {".g": "5", "s|s1": "i1|1|s1", "n|i1|2|s1": "i1|1|s1", "g|i1|2|s1": "5"}, {"s|s2": "{"}),
        ("state", {"v|i1|1|s1": "i1|2|s1"}, {".d": "soon"}),
    ],
)
async def test_fields_that_rest_on_each_other_are_removed_with_the_odd_one(
    kind: str, good: dict[str, str], bad: dict[str, str], valkey: Valkey
) -> None:
    key = f"whole-{next(_numbers)}"
    await valkey.run("HSET", key, *itertools.chain.from_iterable(good.items()))
    assert await remove(valkey, key, kind) == 0
    await valkey.run("HSET", key, *itertools.chain.from_iterable(bad.items()))
    assert (await remove(valkey, key, kind), await valkey.run("EXISTS", key)) == (1, 0)


@pytest.mark.parametrize("lease", ["", "i1", "i1|x|s1", "i1|1|", b"i1|1|\xff"])
async def test_leases_are_removed_with_one_that_has_no_name_of_a_lease(lease: str | bytes, valkey: Valkey) -> None:
    key = f"held-{next(_numbers)}"
    await valkey.run("ZADD", key, "1", "i1|1|s1", "2", "i1|2|agent/s2")
    assert await remove(valkey, key, "held") == 0
    await valkey.run("ZADD", key, "3", lease)
    assert (await remove(valkey, key, "held"), await valkey.run("EXISTS", key)) == (1, 0)
