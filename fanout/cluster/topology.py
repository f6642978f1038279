"""Where the masters of a Redis Cluster are: asked at the start, when something points to a change, and periodically.

One of these serves all connections of a node: however many of them find out at once that the slot map is outdated, it
is read once. Several servers are asked at once, so that a frozen one delays nothing, and the answer with the highest
epoch counts: a server that was cut off still gives an old map.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...shared.channels import PARTITIONS
from ...shared.errors import TannoyError
from ...shared.logs import get_logger
from ...shared.waiting import wait_up_to
from ..redis.address import ClusterAddress, RedisAddress
from ..redis.query import QueryServer, query_all, query_server
from .slots import SlotMap, read_slots

ANSWER_WITHIN = 1.0
"""Seconds that a server has to answer."""
ASKED_AT_ONCE = 3
"""Servers asked in one round while something is in doubt, else one; where none answers, all others are asked too."""
PERIOD = 3.0
"""Seconds between two rounds when all is well."""
PERIOD_IN_TROUBLE = 0.25
"""The same while a master is missing: its replica will be promoted."""
PAUSE = 0.1
"""Seconds between two rounds, at least."""
OLDER_MAX = 5
"""Rounds in a row that gave only older maps before the older one is believed: the cluster has been created anew."""

_COMMANDS = (("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
_log = get_logger("tannoy.cluster")


class NoCluster(TannoyError):
    """No server that answers gives a slot map. The message holds the reason of each server."""


@dataclass(frozen=True, slots=True)
class ClusterTopologyStatistics:
    masters: int
    """Masters that serve partitions."""
    partitions_without: int
    """Partitions without a master."""
    partitions: int
    """All partitions of a cluster of nodes."""
    epoch: int
    """The cluster's configuration epoch in the slot map."""
    rounds: int
    """How often the slot map was read."""
    changes: int
    """How often it had changed."""


class ClusterTopology:
    """Needs `run` running. `slot_map` is what is known."""

    def __init__(self, address: ClusterAddress, ask: QueryServer = query_server) -> None:
        self.address = address
        self.slot_map = SlotMap()
        self.previous_refresh_at = -math.inf
        """When the round before the last one began, in seconds of the event loop's time."""
        self._refreshed_at = -math.inf
        self._ask = ask
        self._on_refreshed: list[Callable[[], None]] = []
        self._is_well_checks: list[Callable[[], bool]] = []
        self._refresh_due = asyncio.Event()
        self._hint: RedisAddress | None = None
        self._older_rounds = 0
        self._rounds = 0
        self._changes = 0

    def add_listener(self, on_refreshed: Callable[[], None], is_well: Callable[[], bool]) -> None:
        """Call `on_refreshed` after each round, changed or not. While `is_well` is False, rounds are more frequent."""
        self._on_refreshed.append(on_refreshed)
        self._is_well_checks.append(is_well)

    def refresh_soon(self, hint: RedisAddress | None = None) -> None:
        """Something points to a change. `hint` is a server that knows of it."""
        self._hint = hint or self._hint
        self._refresh_due.set()

    async def run(self) -> None:
        """Keep the slot map up to date, for ever."""
        was_read = True
        while True:
            await wait_up_to(self._until_next_round(), self._refresh_due)
            try:
                await self.refresh()
                was_read = True
            except NoCluster as error:
                if was_read:
                    _log.warning("no server says where the masters of the cluster are", error=str(error))
                was_read = False
            for on_refreshed in self._on_refreshed:
                on_refreshed()
            await asyncio.sleep(random.uniform(PAUSE, 2 * PAUSE))

    @property
    def _is_well(self) -> bool:
        return (
            self.slot_map.is_whole
            and not self._refresh_due.is_set()
            and all(is_well() for is_well in self._is_well_checks)
        )

    def _until_next_round(self) -> float:
        return random.uniform(0.8, 1.2) * (PERIOD if self._is_well else PERIOD_IN_TROUBLE)

    async def refresh(self, answer_within: float = ANSWER_WITHIN) -> None:
        """Read the slot map once; wait `answer_within` seconds for a server that answers late. Raises NoCluster."""
        at_once = 1 if self._is_well else ASKED_AT_ONCE
        self._refresh_due.clear()
        hint, self._hint = self._hint, None
        self._rounds += 1
        began = asyncio.get_running_loop().time()
        known = list(dict.fromkeys((*self.slot_map.masters, *self.address.seeds)))
        random.shuffle(known)
        if hint is not None:
            known = [hint, *(server for server in known if server != hint)]
        maps, reasons = await self._ask_several(known[:at_once], answer_within)
        if not maps and len(known) > at_once:
            maps, more = await self._ask_several(known[at_once:], answer_within)
            reasons |= more
        if not maps:
            why = "; ".join(f"{server}: {reason}" for server, reason in reasons.items())
            raise NoCluster(f"no server knows of a Redis Cluster ({why})")
        # The first one among equals: the hint knows of a change before its epoch has risen elsewhere.
        self._adopt_map(max(maps.values(), key=lambda each: (each.is_whole, each.epoch)), began)

    def _adopt_map(self, newest: SlotMap, read_at: float) -> None:
        self._older_rounds = self._older_rounds + 1 if newest.epoch < self.slot_map.epoch else 0
        if 0 < self._older_rounds < OLDER_MAX:
            return
        if newest.owners != self.slot_map.owners:
            self._changes += 1
            moved = sum(a != b for a, b in zip(newest.owners, self.slot_map.owners, strict=True))
            masters = {str(master): len(parts) for master, parts in newest.masters.items()}
            _log.info("the masters of the cluster", partitions=masters, moved=moved, epoch=newest.epoch)
        self.slot_map = newest
        self.previous_refresh_at, self._refreshed_at = self._refreshed_at, read_at

    async def _ask_several(
        self, servers: Sequence[RedisAddress], within: float
    ) -> tuple[dict[RedisAddress, SlotMap], dict[RedisAddress, str]]:
        """The slot maps of the servers that gave one, and the reasons of the others."""
        answers = await query_all(servers, lambda server: self._query(server, within), within=within)
        maps = {server: answer for server, answer in answers.items() if isinstance(answer, SlotMap)}
        return maps, {server: answer for server, answer in answers.items() if isinstance(answer, str)}

    async def _query(self, server: RedisAddress, within: float) -> SlotMap | str:
        """The slot map of a server, or the reason why it gives none."""
        try:
            async with asyncio.timeout(within):
                slots, info = await self._ask(server, _COMMANDS, within)
        except TimeoutError:
            return "does not answer"
        except (OSError, TannoyError) as error:
            return str(error) or type(error).__name__
        if isinstance(slots, TannoyError):
            is_alone = "cluster support disabled" in str(slots)
            return "is no part of one: its URL begins with redis://" if is_alone else str(slots)
        try:
            slot_map = read_slots(slots, _epoch(info), asked=server, at=self.address.at)
        except (ValueError, TypeError) as error:
            return f"gives an invalid answer: {error}"
        return slot_map if slot_map.masters else "serves no slots, and knows of no server that does"

    def statistics(self) -> ClusterTopologyStatistics:
        return ClusterTopologyStatistics(
            masters=len(self.slot_map.masters),
            partitions_without=self.slot_map.owners.count(None),
            partitions=PARTITIONS,
            epoch=self.slot_map.epoch,
            rounds=self._rounds,
            changes=self._changes,
        )


def _epoch(info: Any) -> int:
    """The epoch in the reply to CLUSTER INFO; 0 where an ACL forbids it, so that all maps count the same."""
    if isinstance(info, bytes):
        for line in info.decode().splitlines():
            name, _, value = line.partition(":")
            if name == "cluster_current_epoch":
                return int(value)
    return 0
