"""What the node itself decides, without a bus."""

import asyncio

from tannoy.node.node import Node
from tannoy.shared.settings import load_settings

from tests.support.clock import loop_errors, on_manual_time, turns


class FailingNode(Node):
    """A node of which one background task fails at once."""

    def start_failing_task(self) -> asyncio.Task[None]:
        async def fail() -> None:
            raise RuntimeError("a fault of ours")

        return self._keep(fail, "failing")


@on_manual_time
async def test_failed_background_task_calls_on_failure_and_the_node_is_not_ready() -> None:
    failures: list[str] = []
    node = FailingNode(load_settings(), on_failure=lambda: failures.append("failed"))
    node.start_failing_task()
    await turns()
    assert failures == ["failed"]
    assert (node.has_failed, node.not_ready_reason) == (True, "the node has failed")
    assert loop_errors() == []


@on_manual_time
async def test_cancelled_background_task_is_no_failure() -> None:
    failures: list[str] = []
    node = FailingNode(load_settings(), on_failure=lambda: failures.append("failed"))
    task = node.start_failing_task()
    task.cancel()
    await turns()
    assert (failures, node.has_failed) == ([], False)
