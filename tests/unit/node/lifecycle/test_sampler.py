"""Samples of memory, CPU and the lag of the event loop, on manual time."""

import asyncio
import os
from pathlib import Path

import structlog
from tannoy.node.lifecycle.memory import MEGABYTE, MemoryBound, find_memory_bound
from tannoy.node.lifecycle.sampler import ResourceSample, ResourceSampler

from tests.support.clock import manual_clock, on_manual_time


class Samples:
    """A running sampler, and what it has handed over. `cpu`: seconds of CPU so far."""

    def __init__(self, bound: MemoryBound | None = None) -> None:
        self.cpu = 100.0
        self.seen: list[ResourceSample] = []
        sampler = ResourceSampler(self.seen.append, bound, manual_clock(), cpu_seconds=lambda: self.cpu)
        self.task = asyncio.create_task(sampler.run())


def _files(root: Path, resident_pages: int) -> MemoryBound:
    """A machine whose `/proc` says so much of a process."""
    statm = root / "proc/self/statm"
    statm.parent.mkdir(parents=True, exist_ok=True)
    statm.write_text(f"99999 {resident_pages} 10 1 0 20 0\n")
    bound = find_memory_bound(1000, root)
    assert bound is not None
    return bound


@on_manual_time
async def test_a_sample_comes_each_second() -> None:
    samples = Samples()
    await asyncio.sleep(3.1)
    samples.task.cancel()

    assert len(samples.seen) == 3


@on_manual_time
async def test_cpu_is_the_share_of_a_core_since_the_last_sample() -> None:
    samples = Samples()
    await asyncio.sleep(1.1)
    samples.cpu += 0.75
    await asyncio.sleep(1)
    samples.task.cancel()

    assert [sample.cpu_percent for sample in samples.seen] == [0, 75]


@on_manual_time
async def test_the_lag_is_the_longest_delay_since_the_last_sample() -> None:
    samples = Samples()
    await asyncio.sleep(0.1)
    manual_clock().advance(0.45)  # the event loop was blocked, and is 0.3 s late for the tick at 0.25 s
    await asyncio.sleep(2)
    samples.task.cancel()

    first, second = samples.seen
    assert (round(first.loop_lag_ms), second.loop_lag_ms) == (300, 0)


@on_manual_time
async def test_memory_is_read_for_each_sample(tmp_path: Path) -> None:
    samples = Samples(_files(tmp_path, 256))
    await asyncio.sleep(1.1)
    _files(tmp_path, 512)
    await asyncio.sleep(1)
    samples.task.cancel()

    page = os.sysconf("SC_PAGE_SIZE")
    assert [sample.memory_mb for sample in samples.seen] == [256 * page / MEGABYTE, 512 * page / MEGABYTE]


@on_manual_time
async def test_memory_that_can_not_be_read_any_more_is_not_measured_which_is_logged_once(tmp_path: Path) -> None:
    bound = _files(tmp_path, 256)
    bound.statm.unlink()
    with structlog.testing.capture_logs() as lines:
        samples = Samples(bound)
        await asyncio.sleep(2.1)
        samples.task.cancel()

    assert [sample.memory_mb for sample in samples.seen] == [None, None]
    assert [line["event"] for line in lines] == ["memory can't be measured: TANNOY_MEMORY_MAX_MB has no effect"]


@on_manual_time
async def test_memory_without_a_bound_is_not_measured() -> None:
    samples = Samples()
    await asyncio.sleep(1.1)
    samples.task.cancel()

    assert [sample.memory_mb for sample in samples.seen] == [None]
