"""Calls of one loop turn to the same script, as one call: a script of Redis costs more to begin than most do inside.

A batched script works on several things one after another. Its KEYS and ARGV are those of each, one behind the other,
and some of ARGV in front of them that all share. It returns a list with one result of each; an error in the list is of
that one alone. Where there is only one, its error is that of the script.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from ..shared.errors import Unavailable
from .redis.connection import Reply, Word
from .redis.errors import CommandFailed, RedisError, not_confirmed
from .redis.pipeline import AnyPipeline
from .redis.script import Script
from .unreadable import UnreadableData

CALLS_AT_ONCE = 32
"""Calls in one batch: Redis carries out nothing else meanwhile, for 2 to 4 ms with as many joins."""


HOLD_SECONDS = 0.02
"""For which calls wait for the answer to those before them: where Redis does not answer, they fail that much later."""


@dataclass(slots=True)
class _Call:
    keys: tuple[bytes, ...]
    words: tuple[Word, ...]
    answer: asyncio.Future[Reply]


class _Waiting:
    """Calls of one group that are sent together: runs of calls of one script, in the order in which they are sent."""

    __slots__ = ("_places", "runs")

    def __init__(self, scripts: Iterable[Script]) -> None:
        self.runs: list[tuple[Script, list[_Call]]] = [(script, []) for script in scripts]
        self._places: dict[bytes, int] = {}  # by `order`, the run of the last call; bounded by the calls

    def add(self, script: Script, call: _Call, order: bytes | None) -> None:
        """To the first run of its script that is not in front of an earlier call of the same `order`."""
        place = 0 if order is None else self._places.get(order, 0)
        while place < len(self.runs) and self.runs[place][0] is not script:
            place += 1
        if place == len(self.runs):
            self.runs.append((script, []))
        self.runs[place][1].append(call)
        if order is not None:
            self._places[order] = place


class ScriptBatches:
    """Calls of scripts that are sent at the end of the loop turn or, while others are under way, with their answer.

    So the busier Redis is, the more calls go together. `scripts`, each with the words that its calls share: those of
    the first script are sent first. Within a script calls keep their order, and so do calls of any scripts with the
    same `order`. A call is sent to Redis with others of its partition or, where one server has all partitions, with any
    others.
    """

    def __init__(
        self, pipeline: AnyPipeline, scripts: Mapping[Script, tuple[Word, ...]], unreadable: UnreadableData
    ) -> None:
        self._pipeline = pipeline
        self._unreadable = unreadable
        self._scripts = scripts
        self._waiting: dict[int, _Waiting] = {}  # by group, for a loop turn or HOLD_SECONDS
        self._holds: dict[int, asyncio.TimerHandle] = {}  # of the groups that wait for an answer
        self._under_way: Counter[int] = Counter()  # batches by group; bounded by the partitions
        self._flush_is_due = False

    def call(
        self, script: Script, keys: tuple[bytes, ...], words: tuple[Word, ...], *, order: bytes | None = None
    ) -> asyncio.Future[Reply]:
        """What the script returns of this call. The future raises CommandFailed."""
        loop = asyncio.get_running_loop()
        call = _Call(keys, words, loop.create_future())
        group = self._pipeline.batch_of(keys[0])
        if group not in self._waiting:
            self._waiting[group] = _Waiting(self._scripts)
            if self._under_way[group]:
                self._holds[group] = loop.call_later(HOLD_SECONDS, self._send_group, group)
            else:
                self._flush_soon()
        self._waiting[group].add(script, call, order)
        return call.answer

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        for group in tuple(self._waiting):
            if not self._under_way[group]:
                self._send_group(group)

    def _send_group(self, group: int) -> None:
        if (hold := self._holds.pop(group, None)) is not None:
            hold.cancel()
        for script, calls in self._waiting.pop(group).runs:
            for at in range(0, len(calls), CALLS_AT_ONCE):
                self._send(group, script, calls[at : at + CALLS_AT_ONCE])

    def _send(self, group: int, script: Script, calls: list[_Call]) -> None:
        keys: list[bytes] = []
        words = [*self._scripts[script]]
        for call in calls:
            keys += call.keys
            words += call.words
        self._under_way[group] += 1
        answer = self._pipeline.run_script(script, tuple(keys), tuple(words))
        answer.add_done_callback(partial(self._answer, group, script, calls))

    def _answer(self, group: int, script: Script, calls: list[_Call], answer: asyncio.Future[Reply]) -> None:
        self._under_way[group] -= 1
        if group in self._waiting:
            self._flush_soon()
        if answer.cancelled():
            for call in calls:
                call.answer.cancel()
            return
        for call, result in zip(calls, results_of(answer, len(calls)), strict=True):
            if call.answer.done():
                continue
            match result:
                case RedisError():
                    self._unreadable.on_refused(self._pipeline, script.call(call.keys, ()), result)
                    call.answer.set_exception(not_confirmed(result))
                case CommandFailed():
                    call.answer.set_exception(CommandFailed(result.message, refusal=result.refusal))
                case Unavailable():
                    call.answer.set_exception(Unavailable(result.message))
                case _:
                    call.answer.set_result(result)


def results_of(answer: asyncio.Future[Reply], calls: int) -> list[object]:
    """The result of each call of a batch: what the script has returned of it, or the error of all."""
    error = answer.exception()
    if error is None:
        results = answer.result()
        if isinstance(results, list) and len(cast("list[object]", results)) == calls:
            return cast("list[object]", results)
        error = Unavailable(f"the bus has answered in an unknown form: {results!r:.80}")
    return [error] * calls
