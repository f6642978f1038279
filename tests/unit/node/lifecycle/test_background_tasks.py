"""The background tasks of a node, and what follows when one of them ends."""

import asyncio

from tannoy.node.lifecycle.background_tasks import BackgroundTasks

from tests.support.clock import loop_errors, on_manual_time, turns


async def _fail() -> None:
    raise RuntimeError("a fault of ours")


async def _return() -> None:
    return


async def _run_for_ever() -> None:
    await asyncio.Event().wait()


@on_manual_time
async def test_a_task_that_fails_is_a_failure_of_the_node() -> None:
    failures: list[str] = []
    tasks = BackgroundTasks(lambda: failures.append("failed"))
    tasks.keep(_fail, "failing")
    await turns()
    assert (failures, tasks.has_failed) == (["failed"], True)
    assert loop_errors() == []


@on_manual_time
async def test_a_task_that_returns_is_a_failure_unless_it_may() -> None:
    failures: list[str] = []
    tasks = BackgroundTasks(lambda: failures.append("failed"))
    tasks.keep(_return, "check", may_end=True)
    await turns()
    assert failures == []
    tasks.keep(_return, "job")
    await turns()
    assert failures == ["failed"]


@on_manual_time
async def test_tasks_that_are_ended_are_no_failures() -> None:
    failures: list[str] = []
    tasks = BackgroundTasks(lambda: failures.append("failed"))
    task = tasks.keep(_run_for_ever, "job")
    await turns()
    await tasks.end()
    assert (task.cancelled(), failures, tasks.has_failed) == (True, [], False)
