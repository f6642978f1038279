"""How much memory a process may use, and uses: from files as the kernel has them, below a folder of the test's."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tannoy.node.lifecycle.memory import (
    MEGABYTE,
    MEMORY_MAX_PERCENT,
    MemoryBound,
    MemoryReader,
    find_memory_bound,
    machine_bytes,
)

PAGE = os.sysconf("SC_PAGE_SIZE")
STATM = {"proc/self/statm": "99999 1000 10 1 0 20 0"}
V1 = "sys/fs/cgroup/memory"
V2 = "sys/fs/cgroup"
NONE_IN_V1 = "9223372036854771712"


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in (STATM | dict(files)).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def _bound(root: Path, max_mb: int | None = None) -> MemoryBound:
    bound = find_memory_bound(max_mb, root)
    assert bound is not None
    return bound


@contextmanager
def _reader(bound: MemoryBound) -> Generator[MemoryReader]:
    reader = MemoryReader(bound)
    try:
        yield reader
    finally:
        reader.close()


LIMITED = {
    "version 2": (
        {
            "proc/self/cgroup": "0::/system.slice/tannoy.service",
            f"{V2}/system.slice/tannoy.service/memory.max": str(500 * MEGABYTE),
        },
        f"{V2}/system.slice/tannoy.service/memory.current",
    ),
    "version 2, in a container": (
        {"proc/self/cgroup": "0::/", f"{V2}/memory.max": str(500 * MEGABYTE)},
        f"{V2}/memory.current",
    ),
    "version 2, the limit is that of a cgroup above": (
        {
            "proc/self/cgroup": "0::/pod/node",
            f"{V2}/pod/node/memory.max": "max",
            f"{V2}/pod/memory.max": str(500 * MEGABYTE),
        },
        f"{V2}/pod/memory.current",
    ),
    "version 1": (
        {
            "proc/self/cgroup": "3:cpuset:/\n4:memory:/docker/c7\n0::/",
            f"{V1}/docker/c7/memory.limit_in_bytes": str(500 * MEGABYTE),
            f"{V1}/memory.limit_in_bytes": NONE_IN_V1,
        },
        f"{V1}/docker/c7/memory.usage_in_bytes",
    ),
    "version 1, in a container that has the path of its host": (
        {"proc/self/cgroup": "4:memory:/docker/c7", f"{V1}/memory.limit_in_bytes": str(500 * MEGABYTE)},
        f"{V1}/memory.usage_in_bytes",
    ),
}
UNLIMITED = {
    "version 2": {"proc/self/cgroup": "0::/a", f"{V2}/a/memory.max": "max"},
    "version 1": {"proc/self/cgroup": "4:memory:/a", f"{V1}/a/memory.limit_in_bytes": NONE_IN_V1},
    "no cgroup": {"proc/self/cgroup": ""},
    "no file": {},
}


@pytest.mark.parametrize("name", LIMITED)
def test_without_a_setting_four_fifths_of_the_limit_of_the_cgroup_may_be_used(tmp_path: Path, name: str) -> None:
    files, usage = LIMITED[name]
    _write(tmp_path, files)

    bound = _bound(tmp_path)

    assert bound.max_bytes == 400 * MEGABYTE
    assert bound.cgroup is not None
    assert bound.cgroup.usage == tmp_path / usage


@pytest.mark.parametrize("name", UNLIMITED)
def test_without_a_limit_four_fifths_of_the_machine_may_be_used_by_the_process(tmp_path: Path, name: str) -> None:
    _write(tmp_path, UNLIMITED[name])

    bound = _bound(tmp_path)

    assert (bound.max_bytes, bound.cgroup) == (machine_bytes() * MEMORY_MAX_PERCENT // 100, None)


def test_a_setting_is_about_the_process_alone(tmp_path: Path) -> None:
    _write(tmp_path, LIMITED["version 2"][0])

    bound = _bound(tmp_path, 300)

    assert (bound.max_bytes, bound.cgroup) == (300 * MEGABYTE, None)
    with _reader(bound) as reader:
        assert reader.read() == 1000 * PAGE


def test_zero_is_no_bound(tmp_path: Path) -> None:
    _write(tmp_path, {})
    assert find_memory_bound(0, tmp_path) is None


def test_there_is_no_bound_where_a_process_can_not_measure_its_memory(tmp_path: Path) -> None:
    assert find_memory_bound(300, tmp_path) is None


STATS = {
    "version 2": "anon 1\nfile 2\ninactive_file 30000000\nactive_file 4000000\ntotal_inactive_file 5",
    "version 1": "cache 1\ninactive_file 5\ntotal_inactive_file 30000000\ntotal_active_file 4000000",
}


@pytest.mark.parametrize("name", STATS)
def test_what_a_cgroup_uses_is_counted_without_its_cache_of_files(tmp_path: Path, name: str) -> None:
    files, usage = LIMITED[name]
    stat = f"{usage.rpartition('/')[0]}/memory.stat"
    _write(tmp_path, {**files, usage: str(450 * MEGABYTE), stat: STATS[name]})

    with _reader(_bound(tmp_path)) as reader:
        assert reader.read() == 450 * MEGABYTE - 34_000_000


def test_memory_is_measured_where_no_further_file_can_be_opened(tmp_path: Path) -> None:
    files, usage = LIMITED["version 2"]
    stat = f"{usage.rpartition('/')[0]}/memory.stat"
    _write(tmp_path, {**files, usage: "1000", stat: ""})
    with _reader(_bound(tmp_path)) as reader:
        (tmp_path / usage).unlink()

        assert reader.read() == 1000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system tells a process no more than its peak")
def test_this_process_uses_some_megabytes() -> None:
    with _reader(_bound(Path("/"), 100_000)) as reader:
        assert 5 * MEGABYTE < reader.read() < machine_bytes()
