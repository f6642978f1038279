"""Work in shares: as much as fits into one turn of the event loop, and the rest in later turns, in order."""

import asyncio
from collections.abc import Callable

from tannoy.node.admission.loop_shares import SHARE_PIECES, SHARE_SECONDS, WAITING_MAX_BYTES, LoopShares

from tests.support.clock import ManualClock, on_manual_time

CHEAP = SHARE_SECONDS / 100


class Work:
    """Work that takes so long, and what of it has been done."""

    def __init__(self, *, pieces: int = SHARE_PIECES) -> None:
        self.clock = ManualClock()
        self.shares = LoopShares(self.clock, pieces=pieces)
        self.done: list[str] = []

    def run(self, owner: str, seconds: float = CHEAP) -> bool:
        return self.shares.run(owner, self._piece(owner, seconds))

    def _piece(self, owner: str, seconds: float) -> Callable[[], None]:
        def do() -> None:
            self.clock.advance(seconds)
            self.done.append(owner)

        return do


@on_manual_time
async def test_work_that_comes_alone_is_done_at_once() -> None:
    work = Work()
    assert work.run("a")
    assert work.done == ["a"]


@on_manual_time
async def test_when_the_time_of_a_turn_is_used_up_the_rest_waits_for_the_next_turns_in_order() -> None:
    work = Work()
    assert work.run("a", 2 * SHARE_SECONDS)
    assert [work.run(owner, 2 * SHARE_SECONDS) for owner in "bcd"] == [False, False, False]
    assert work.done == ["a"]

    await asyncio.sleep(0)
    assert work.done == ["a", "b"]
    await asyncio.sleep(0)
    assert (work.done, work.shares.waiting) == (["a", "b", "c"], 1)


@on_manual_time
async def test_cheap_work_is_done_together_up_to_the_number_of_pieces() -> None:
    work = Work(pieces=3)
    for owner in "abcdefgh":
        work.run(owner)
    assert work.done == ["a", "b", "c"]

    await asyncio.sleep(0)
    assert work.done == ["a", "b", "c", "d", "e", "f"]


@on_manual_time
async def test_new_work_does_not_overtake_what_waits() -> None:
    work = Work(pieces=1)
    for owner in "abc":
        work.run(owner)
    await asyncio.sleep(0)
    assert not work.run("late")

    for _ in range(3):
        await asyncio.sleep(0)
    assert work.done == ["a", "b", "c", "late"]


@on_manual_time
async def test_what_waits_for_an_owner_that_has_gone_is_not_done() -> None:
    work = Work(pieces=1)
    for owner in "abc":
        work.run(owner)
    work.shares.remove("b")
    for _ in range(3):
        await asyncio.sleep(0)
    assert (work.done, work.shares.waiting) == (["a", "c"], 0)


@on_manual_time
async def test_after_work_that_raises_the_rest_is_done() -> None:
    work = Work(pieces=1)
    work.run("a")

    def fail() -> None:
        raise ValueError("of the work")

    work.shares.run("b", fail)
    work.run("c")
    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    for _ in range(3):
        await asyncio.sleep(0)
    assert (work.done, [str(error) for error in errors]) == (["a", "c"], ["of the work"])


@on_manual_time
async def test_the_bytes_that_wait_are_bounded() -> None:
    shares = LoopShares(ManualClock(), pieces=1)
    shares.run("first", lambda: None, 1)
    shares.run("large", lambda: None, WAITING_MAX_BYTES - 10)
    assert (shares.has_room(10), shares.has_room(11)) == (True, False)
    shares.remove("large")
    assert shares.has_room(WAITING_MAX_BYTES)
