"""Whether a node takes any client at present."""

import pytest
from tannoy.node.admission import capacity
from tannoy.node.admission.capacity import Capacity
from tannoy.node.admission.handshake import Rejected
from tannoy.node.admission.refusals import Reason
from tannoy.node.admission.resources import Resources
from tannoy.node.lifecycle import files
from tannoy.node.lifecycle.files import reserve_of
from tannoy.node.lifecycle.sampler import ResourceSample

LIMIT, OTHERS = 1000, 20
ROOM = LIMIT - reserve_of(LIMIT) - OTHERS


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many files may be open, and so many are."""
    monkeypatch.setattr(files, "file_limit", lambda: LIMIT)
    monkeypatch.setattr(capacity, "next_file", lambda: OTHERS)


def _reason(found: Rejected | None) -> Reason | None:
    return None if found is None else found.reason


@pytest.mark.parametrize(
    ("max_sessions", "sessions", "is_draining", "reason"),
    [
        (100, 99, False, None),
        (100, 100, False, Reason.SESSIONS),
        (100, 0, True, Reason.DRAINING),
        (5000, ROOM - 1, False, None),
        (5000, ROOM, False, Reason.FILES),
    ],
)
def test_a_client_is_taken_unless_the_node_drains_or_is_full(
    max_sessions: int, sessions: int, is_draining: bool, reason: Reason | None
) -> None:
    found = Capacity(max_sessions, Resources()).find_refusal(sessions, is_draining=is_draining)

    assert _reason(found) is reason
    assert found is None or (found.status, found.headers) == (503, {"Retry-After": "1"})


def test_no_client_is_taken_while_the_node_is_overloaded() -> None:
    resources = Resources(memory_max_mb=500)
    capacity = Capacity(100, resources)
    assert capacity.find_refusal(0, is_draining=False) is None

    resources.observe(ResourceSample(memory_mb=501, cpu_percent=0, loop_lag_ms=0, files_percent=0))
    found = capacity.find_refusal(0, is_draining=False)

    assert found is not None
    assert (found.status, found.reason, found.headers) == (503, Reason.MEMORY, {"Retry-After": "5"})
    assert "TANNOY_MEMORY_MAX_MB" in found.refusal.message


@pytest.mark.parametrize(("limit", "reserve"), [(80, 16), (1024, 128), (20_000, 256), (1_048_576, 256)])
def test_the_reserve_is_an_eighth_of_the_limit_within_bounds(limit: int, reserve: int) -> None:
    assert reserve_of(limit) == reserve


@pytest.mark.parametrize(
    ("next_number", "percent"), [(0, 100 / 875), (874, 100), (875, 87_600 / 875), (LIMIT, 100_100 / 875)]
)
def test_files_are_used_up_when_the_next_one_is_of_the_reserve(
    monkeypatch: pytest.MonkeyPatch, next_number: int, percent: float
) -> None:
    monkeypatch.setattr(files, "next_file", lambda: next_number)

    assert LIMIT - reserve_of(LIMIT) == 875
    assert files.used_percent() == percent
    assert files.is_reserved(next_number) is (percent > 100)
