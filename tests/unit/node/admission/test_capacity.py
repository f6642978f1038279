"""Whether a node takes any client at present."""

import pytest
from tannoy.node.admission import capacity
from tannoy.node.admission.capacity import Capacity
from tannoy.node.admission.handshake import Rejected
from tannoy.node.admission.refusals import Reason
from tannoy.node.lifecycle import files
from tannoy.node.lifecycle.files import reserve_of

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
    found = Capacity(max_sessions).find_refusal(sessions, is_draining=is_draining)

    assert _reason(found) is reason
    assert found is None or (found.status, found.headers) == (503, {"Retry-After": "1"})


@pytest.mark.parametrize(("limit", "reserve"), [(80, 16), (1024, 128), (20_000, 256), (1_048_576, 256)])
def test_the_reserve_is_an_eighth_of_the_limit_within_bounds(limit: int, reserve: int) -> None:
    assert reserve_of(limit) == reserve
