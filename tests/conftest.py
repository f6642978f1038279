"""Fixtures of every test, and two rules: CI skips nothing, and no process is left over."""

import gc
import os
import signal
from collections.abc import Generator
from typing import Any

import pytest

from tests.support import distribution, fork_server, processes

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As of what a shell runs in the background; what a test starts would inherit it, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_mark = processes.mark(_worker)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_over() -> Generator[None]:
    """Of all fixtures the first, so that all others have been torn down when it looks; in each worker of a run."""
    yield
    fork_server.server.stop()
    if found := processes.end_left_over(_mark):
        raise AssertionError("tests have left processes running:\n" + "\n".join(map(str, found)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives until the end: the collector of garbage would go through all of it, again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    distribution.share_out(config.rootpath, items)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.getoption("loadgroup", False):
        distribution.check_groups(session.items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None]:
    """In CI a skipped test fails the run: it proves nothing. A process that is left over fails every run."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield
    if _worker:
        return  # the run looks when all its workers have ended
    if found := processes.end_left_over(_mark.partition("/")[0]):
        if reporter is not None:
            reporter.write_line(f"\nleft running by this run, and killed: {len(found)}", red=True)
            for each in found:
                reporter.write_line(str(each), red=True)
        if session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
