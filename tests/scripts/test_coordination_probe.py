"""coordination_probe.lua on a real Valkey: refused without any right of leases and presence, and without a trace."""

import re

import pytest
from redis.exceptions import ResponseError
from tannoy.fanout.scripts import COORDINATION_PROBE

from tests.support.valkey import Valkey

KEY = b"probed"
RIGHTS = sorted({name.lower().decode() for name in re.findall(rb"redis\.call\('([A-Z]+)'", COORDINATION_PROBE.source)})


async def _probe(valkey: Valkey) -> int:
    answer: int = await valkey.run("EVAL", COORDINATION_PROBE.source, "1", KEY)
    return answer


@pytest.mark.parametrize("right", RIGHTS)
async def test_a_probe_is_refused_without_one_right_and_deletes_what_that_has_left(valkey: Valkey, right: str) -> None:
    async with valkey.refusing(right):
        with pytest.raises(ResponseError):
            await _probe(valkey)
    assert await _probe(valkey) == 1
    assert await valkey.run("EXISTS", KEY) == 0


async def test_a_probe_is_refused_while_memory_is_out(valkey: Valkey) -> None:
    await valkey.run("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            await _probe(valkey)
    finally:
        await valkey.run("CONFIG", "SET", "maxmemory", "0")
    assert await valkey.run("EXISTS", KEY) == 0
