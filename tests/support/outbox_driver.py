"""An outbox that a test drives, on a transport that stalls and drains."""

import pytest
from tannoy.node.delivery.outbox import Outbox, OutboxLimits
from tannoy.shared.policy import SlowPolicy

from tests.support.outbox_listener import OutboxListener
from tests.support.recording_transport import RecordingTransport

LIMIT = 100
both_policies = pytest.mark.parametrize("policy", SlowPolicy)


class OutboxDriver(OutboxListener):
    """An outbox on a recording transport; `skipped` and `overflowed` count what it reports."""

    def __init__(self, policy: SlowPolicy, *, high_water: int | None = None) -> None:
        self.skipped = 0
        self.overflowed = 0
        self.transport = RecordingTransport(high_water=high_water)
        self.limits = OutboxLimits(LIMIT, policy)
        self.outbox = Outbox(self.transport, self.limits, "s1", on_overflow=self._overflow, on_skipped=self._skip)
        self.transport.listener = self

    def _overflow(self) -> None:
        self.overflowed += 1

    def _skip(self) -> None:
        self.skipped += 1
        self.outbox.write_direct(b"<resync>")
