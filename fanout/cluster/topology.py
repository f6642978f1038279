"""Where the masters of a Redis Cluster are: asked at the start, when something points to a change, and now and then.

One of these serves all connections of a node: however many of them find out at once that the map is wrong, one question
goes out at a time. Several servers are asked at once, so that a frozen one holds nobody up, and of what they answer the
newest view counts: a server that was cut off still tells of yesterday.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from ...shared.channels import PARTITIONS
from ...shared.errors import TannoyError
from ..redis.address import ClusterAddress, RedisAddress
from ..redis.connection import query_server
from ..redis.query import QueryServer, query_all
from .slots import SlotMap, read_slots

ANSWER_WITHIN = 1.0
"""Seconds that a server has to answer."""
ASKED_AT_ONCE = 3
"""Servers in one round while something is in doubt, else one; where none answers, all the others are asked too."""
PERIOD = 3.0
"""Seconds between two looks when all is well."""
PERIOD_IN_TROUBLE = 0.25
"""The same while a master is missed: its replica will take over."""
PAUSE = 0.1
"""Seconds between two rounds, at the least."""
OLDER_MAX = 5
"""Rounds in a row in which only older views came, until they are believed: somebody has made the cluster anew."""

_QUESTIONS = (("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
_log = structlog.get_logger("tannoy.cluster")


class NoCluster(TannoyError):
    """No server that answers knows of a cluster. The message has the reason of each."""


class ClusterTopology:
    """Needs `run` running. `map` is what is known; those who `listen` are called after each round, changed or not."""

    def __init__(self, address: ClusterAddress, ask: QueryServer = query_server) -> None:
        self.address = address
        self.map = SlotMap()
        self.look_before = -math.inf
        """When (of the event loop's time) the map before this one was still believed to be true."""
        self._last_look = -math.inf
        self._ask = ask
        self._listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], bool]] = []
        self._is_stale = asyncio.Event()
        self._hint: RedisAddress | None = None
        self._older = 0
        self._rounds = 0
        self._changes = 0

    def listen(self, told: Callable[[], None], is_well: Callable[[], bool]) -> None:
        """`told` is called after each round; while not everybody `is_well`, rounds follow each other fast."""
        self._listeners.append(told)
        self._watchers.append(is_well)

    def stale(self, hint: RedisAddress | None = None) -> None:
        """Something points to a change; `hint` is a server that knows of it."""
        self._hint = hint or self._hint
        self._is_stale.set()

    async def run(self) -> None:
        """Keep the map up to date, for ever."""
        was_told = True
        while True:
            try:
                async with asyncio.timeout(self._until_next_look()):
                    await self._is_stale.wait()
            except TimeoutError:
                pass
            try:
                await self.learn()
                was_told = True
            except NoCluster as error:
                if was_told:
                    _log.warning("nobody tells where the masters are", error=str(error))
                was_told = False
            for told in self._listeners:
                told()
            await asyncio.sleep(random.uniform(PAUSE, 2 * PAUSE))

    @property
    def _is_well(self) -> bool:
        return self.map.is_whole and not self._is_stale.is_set() and all(is_well() for is_well in self._watchers)

    def _until_next_look(self) -> float:
        return random.uniform(0.8, 1.2) * (PERIOD if self._is_well else PERIOD_IN_TROUBLE)

    async def learn(self) -> None:
        """One round. Raises NoCluster."""
        at_once = 1 if self._is_well else ASKED_AT_ONCE
        self._is_stale.clear()
        hint, self._hint = self._hint, None
        self._rounds += 1
        began = asyncio.get_running_loop().time()
        known = list(dict.fromkeys((*self.map.masters, *self.address.seeds)))
        random.shuffle(known)
        if hint is not None:
            known = [hint, *(server for server in known if server != hint)]
        views, reasons = await self._ask_several(known[:at_once])
        if not views and len(known) > at_once:
            views, more = await self._ask_several(known[at_once:])
            reasons |= more
        if not views:
            why = "; ".join(f"{server}: {reason}" for server, reason in reasons.items())
            raise NoCluster(f"no server tells of a Redis Cluster ({why})")
        # Among equals the first one counts: who has told of a change knows of it before its epoch has risen elsewhere.
        self._take(max(views.values(), key=lambda view: (view.is_whole, view.epoch)), began)

    def _take(self, newest: SlotMap, looked_at: float) -> None:
        self._older = self._older + 1 if newest.epoch < self.map.epoch else 0
        if 0 < self._older < OLDER_MAX:
            return
        if newest.owners != self.map.owners:
            self._changes += 1
            moved = sum(a != b for a, b in zip(newest.owners, self.map.owners, strict=True))
            masters = {str(master): len(parts) for master, parts in newest.masters.items()}
            _log.info("the masters of the cluster", partitions=masters, moved=moved, epoch=newest.epoch)
        self.map = newest
        self.look_before, self._last_look = self._last_look, looked_at

    async def _ask_several(
        self, servers: Sequence[RedisAddress]
    ) -> tuple[dict[RedisAddress, SlotMap], dict[RedisAddress, str]]:
        """How they see the cluster, and why those that do not."""
        answers = await query_all(servers, self._question, within=ANSWER_WITHIN)
        views = {server: answer for server, answer in answers.items() if isinstance(answer, SlotMap)}
        return views, {server: answer for server, answer in answers.items() if isinstance(answer, str)}

    async def _question(self, server: RedisAddress) -> SlotMap | str:
        """How it sees the cluster, or why it does not."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                slots, info = await self._ask(server, _QUESTIONS)
        except TimeoutError:
            return "does not answer"
        except (OSError, TannoyError) as error:
            return str(error) or type(error).__name__
        if isinstance(slots, TannoyError):
            is_alone = "cluster support disabled" in str(slots)
            return "is no part of one: its URL begins with redis://" if is_alone else str(slots)
        try:
            seen = read_slots(slots, _epoch(info), asked=server, at=self.address.at)
        except (ValueError, TypeError) as error:
            return f"answers something else: {error}"
        return seen if seen.masters else "serves no slots, and knows nobody who does"

    def statistics(self) -> dict[str, int]:
        return {
            "masters": len(self.map.masters),
            "partitions_without": self.map.owners.count(None),
            "partitions": PARTITIONS,
            "epoch": self.map.epoch,
            "rounds": self._rounds,
            "changes": self._changes,
        }


def _epoch(info: Any) -> int:
    """Of CLUSTER INFO. An ACL may forbid it: then all views are of the same age."""
    if isinstance(info, bytes):
        for line in info.decode().splitlines():
            name, _, value = line.partition(":")
            if name == "cluster_current_epoch":
                return int(value)
    return 0
