"""Asking Sentinels where the master is. How a server is asked comes in as a parameter: no connection is made here.

All Sentinels are asked at once, so that a frozen one holds nobody up, and of what they answer the newest counts: a
Sentinel that was cut off, or has just woken, still names the master of yesterday.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import structlog

from ...shared.errors import TannoyError
from .address import NamedMaster, RedisAddress, SentinelAddress
from .query import QueryServer, query_all

ANSWER_WITHIN = 0.5
"""Seconds that a Sentinel has to answer."""
LOOK_PERIOD = 1.0

_log = structlog.get_logger("tannoy.sentinel")


class NoMaster(TannoyError):
    """No Sentinel that answers names a master. The message has the reason of each."""


async def locate(address: SentinelAddress, ask: QueryServer) -> NamedMaster:
    """Where the master is now, within ANSWER_WITHIN seconds. Raises NoMaster."""
    answers = await query_all(address.sentinels, lambda each: _question(address, each, ask), within=ANSWER_WITHIN)
    named = [answer for answer in answers.values() if isinstance(answer, NamedMaster)]
    if not named:
        reasons = "; ".join(f"{sentinel}: {answer}" for sentinel, answer in answers.items())
        raise NoMaster(f"no Sentinel names a master {address.master!r} ({reasons})")
    newest = max(named, key=lambda answer: answer.epoch)
    _learn(address, newest)
    return newest


async def keep_informed(address: SentinelAddress, ask: QueryServer) -> None:
    """Ask one Sentinel after another, one each LOOK_PERIOD, for ever: what is learned is in `address.newest`.

    Connections look at it: a master that was cut off from its Sentinels, together with us, does not know that it is no
    master any more. All connections of a node may run this: one of them asks for all.
    """
    async with address.informing:
        for sentinel in cycle(address.sentinels):
            await asyncio.sleep(LOOK_PERIOD)
            answer = await _question(address, sentinel, ask)
            if isinstance(answer, NamedMaster) and (address.newest is None or answer.epoch > address.newest.epoch):
                _learn(address, answer)


@asynccontextmanager
async def until_moved(address: SentinelAddress) -> AsyncGenerator[None]:
    """Raises TimeoutError in its block as soon as the Sentinels name another server: the old one may be frozen."""
    loop, move, is_inside = asyncio.get_running_loop(), address.next_move(), True
    async with asyncio.timeout(None) as limit:

        def give_up(_: "asyncio.Future[None]") -> None:
            if is_inside:
                limit.reschedule(loop.time())

        move.add_done_callback(give_up)
        try:
            yield
        finally:
            is_inside = False
            move.remove_done_callback(give_up)


def _learn(address: SentinelAddress, named: NamedMaster) -> None:
    if address.learn(named):
        _log.info("the Sentinels name a master", master=address.master, redis=str(named.server), epoch=named.epoch)


async def _question(address: SentinelAddress, sentinel: RedisAddress, ask: QueryServer) -> NamedMaster | str:
    """What it names, or why it names nothing."""
    # The first knows of a failover that is under way, the second how new that is.
    commands = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master), ("SENTINEL", "MASTER", address.master))
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            where, state = await ask(sentinel, commands)
    except TimeoutError:
        return "does not answer"
    except (OSError, TannoyError) as error:
        return str(error) or type(error).__name__
    match where:
        case [bytes() as host, bytes() as port]:
            return NamedMaster(address.at(host.decode(), int(port)), _epoch(state))
        case None:
            return "knows no master of this name"
        case _:
            return str(where)


def _epoch(state: Any) -> int:
    """0 where an ACL allows the other question alone: then all answers are of the same age."""
    match state:
        case {b"config-epoch": bytes() as epoch}:
            return int(epoch)
        case _:
            return 0
