"""The records of `tannoy/shared/logs.py` that a test has caused."""

import pytest
from tannoy.shared.logs import Event


def logged_events(caplog: pytest.LogCaptureFixture) -> list[Event]:
    """In order; each has its text under `event`."""
    return [record.msg for record in caplog.records if isinstance(record.msg, Event)]
