"""The checkers of limits and of messages on a cluster that is attacked, and that has no other faults.

Both work as `tests/chaos` describes them, on one stage: all that they find missing, late or too much is the attack's.
"""

import asyncio

from tests.attack import bystander
from tests.chaos.harness.connection import ConnectionRegistry
from tests.chaos.harness.history import History
from tests.chaos.harness.stage import Stage
from tests.chaos.harness.tasks import Tasks
from tests.chaos.harness.violation import Violation
from tests.chaos.limits import verify as limits_verdict
from tests.chaos.limits import workload as limits
from tests.chaos.limits.audit import audit_all
from tests.chaos.limits.recorder import Recorder
from tests.chaos.limits.tabs import Tabs
from tests.chaos.limits.verify_rooms import GRACE
from tests.chaos.messages import verify as messages_verdict
from tests.chaos.messages import workload as messages
from tests.chaos.messages.client import RunContext
from tests.chaos.messages.listener import AGENT
from tests.chaos.messages.record import Record
from tests.support.waiting import eventually

POLICY = "both"
CONNECTS_PER_SECOND = 10.0
MESSAGES_PER_SECOND = 40.0
MANY_SESSIONS = 1000


def settings() -> dict[str, str]:
    """Of the nodes, for both checkers."""
    return {
        **messages.SETTINGS,
        **limits.settings_for(POLICY),
        "PRESENCE_GRACE": str(GRACE),
        "PRESENCE_INLINE_MAX": "50",
    }


class Besieged:
    """`prepare` the stage, `run` both, and ask for the `violations`."""

    def __init__(self, seed: int) -> None:
        self.history = History()
        """Of the stage, and of the checker of limits."""
        self._seed = seed
        self._recorder = Recorder(self.history)
        self._record = Record(History(), kept=messages.KEPT)
        self._registry = ConnectionRegistry(self._record.history)

    async def prepare(self, stage: Stage) -> None:
        """The agents whose messages are heard have no limit to speak of."""
        for name in (bystander.AGENT, *(channel.removeprefix(AGENT) for channel in messages.AGENTS)):
            agent = limits.Agent(name, MANY_SESSIONS, "reject")

            async def is_set(agent: limits.Agent = agent) -> bool:
                return await limits.set_limit(stage, agent)

            await eventually(is_set, what=f"the limit of {name} is set")

    async def run(self, stage: Stage, until: asyncio.Event) -> None:
        try:
            await asyncio.gather(self._check_limits(stage, until), self._check_messages(stage, until))
            stage.record_dead_nodes()
        finally:
            self._registry.close()
            self._recorder.close()

    @property
    def violations(self) -> list[Violation]:
        return [*limits_verdict.verify(self.history), *messages_verdict.verify(self._record)]

    def progress(self) -> str:
        return f"{self._recorder.attempts} connects, {self._record.deliveries} deliveries"

    async def _check_limits(self, stage: Stage, until: asyncio.Event) -> None:
        agents, recorder = limits.agents_for(POLICY), self._recorder
        limits.record_limits(stage, agents)
        set_limits = limits.Limits(stage, agents)
        await eventually(set_limits.apply, what="the agents have their limits")
        workload = limits.Workload(stage, recorder, agents, seed=self._seed, rate=CONNECTS_PER_SECOND)
        tabs, tasks = Tabs(stage, recorder, seed=self._seed), Tasks()
        tasks.start(limits.Publisher(stage, agents, self._seed).run())
        try:
            tabs.start()
            await workload.run(2**31, until.is_set)
            tabs.check()
            await workload.finish()
            await tabs.stop()
            await audit_all(stage, recorder, agents, tabs, set_limits)
            tasks.check()
        finally:
            await tasks.close()

    async def _check_messages(self, stage: Stage, until: asyncio.Event) -> None:
        context = RunContext(stage, self._record, self._registry, self._seed)
        workload = messages.Workload(context, rate=MESSAGES_PER_SECOND)
        workload.start()
        try:
            await until.wait()
            workload.check()
            await workload.finish()
        finally:
            await workload.close()
