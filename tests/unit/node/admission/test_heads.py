"""The bounds of a head that a server has read whole."""

import pytest
from tannoy.node.admission.handshake import Rejected
from tannoy.node.admission.heads import (
    HEAD_MAX_BYTES,
    HEAD_TOO_LARGE,
    HEADERS_MAX,
    TARGET_MAX_BYTES,
    TARGET_TOO_LONG,
    TOO_MANY_HEADERS,
    check_head,
)


@pytest.mark.parametrize(
    ("target_bytes", "headers", "expected"),
    [
        (TARGET_MAX_BYTES, [(b"host", b"a")], None),
        (TARGET_MAX_BYTES + 1, [(b"host", b"a")], TARGET_TOO_LONG),
        (3, [(b"", b"")] * HEADERS_MAX, None),
        (3, [(b"", b"")] * (HEADERS_MAX + 1), TOO_MANY_HEADERS),
        (3, [(b"cookie", b"x" * (HEAD_MAX_BYTES - 9))], None),
        (3, [(b"cookie", b"x" * (HEAD_MAX_BYTES - 8))], HEAD_TOO_LARGE),
    ],
)
def test_a_head_is_refused_by_whichever_bound_it_exceeds(
    target_bytes: int, headers: list[tuple[bytes, bytes]], expected: Rejected | None
) -> None:
    assert check_head(target_bytes, headers) is expected
