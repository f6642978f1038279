"""Repeating what was not confirmed, in manual time."""

import asyncio

import pytest
from tannoy.sdk.retries import repeat
from tannoy.shared.errors import Unavailable

from tests.support.clock import on_manual_time

FIRST = Unavailable("the first")


class Attempts:
    """Fails `failures` times, each after `seconds`, and then succeeds with the number of attempts."""

    def __init__(self, failures: float, seconds: float = 0.0) -> None:
        self.made = 0
        self._failures = failures
        self._seconds = seconds

    async def make(self) -> int:
        self.made += 1
        await asyncio.sleep(self._seconds)
        if self.made <= self._failures:
            raise Unavailable(f"attempt {self.made}")
        return self.made


def now() -> float:
    return asyncio.get_running_loop().time()


@on_manual_time
async def test_the_result_is_that_of_the_first_attempt_that_succeeds() -> None:
    attempts = Attempts(failures=3)
    assert await repeat(attempts.make, FIRST, deadline=now() + 60) == 4


@on_manual_time
async def test_it_ends_at_the_deadline_with_the_last_failure() -> None:
    attempts, started = Attempts(failures=float("inf"), seconds=0.4), now()
    with pytest.raises(Unavailable, match=r"attempt \d+"):
        await repeat(attempts.make, FIRST, deadline=started + 5)
    assert now() == started + 5
    assert attempts.made > 3


@on_manual_time
async def test_an_attempt_that_hangs_is_cut_off_at_the_deadline() -> None:
    attempts, started = Attempts(failures=0, seconds=3600), now()
    with pytest.raises(Unavailable, match="the first"):
        await repeat(attempts.make, FIRST, deadline=started + 5)
    assert now() == started + 5


@on_manual_time
async def test_what_is_final_is_not_repeated() -> None:
    attempts = Attempts(failures=5)
    with pytest.raises(Unavailable, match="attempt 2"):
        await repeat(attempts.make, FIRST, deadline=now() + 60, is_final=lambda failed: "2" in failed.message)
    assert attempts.made == 2


@on_manual_time
async def test_the_pause_is_at_least_what_the_failure_asks_for() -> None:
    attempts, started = Attempts(failures=2), now()
    await repeat(attempts.make, FIRST, deadline=started + 60, least_pause=lambda failed: 5.0)
    assert now() >= started + 15
