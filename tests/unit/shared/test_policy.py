"""Pure decisions, as tables."""

import pytest
from tannoy.shared.policy import Overflow, SlowPolicy, decide_overflow, local_share

LIMIT = 1000


@pytest.mark.parametrize(
    ("policy", "is_direct", "direct_bytes", "verdict"),
    [
        (SlowPolicy.DISCONNECT, False, 0, Overflow.CLOSE),
        (SlowPolicy.DISCONNECT, True, 10, Overflow.CLOSE),
        (SlowPolicy.DISCONNECT, True, LIMIT + 1, Overflow.CLOSE),
        (SlowPolicy.SKIP, False, 0, Overflow.DROP),
        (SlowPolicy.SKIP, False, LIMIT, Overflow.DROP),
        (SlowPolicy.SKIP, True, 10, Overflow.DROP),
        (SlowPolicy.SKIP, True, LIMIT, Overflow.DROP),
        (SlowPolicy.SKIP, True, LIMIT + 1, Overflow.CLOSE),
    ],
)
def test_a_full_outbox_drops_or_closes_by_policy(
    policy: SlowPolicy, is_direct: bool, direct_bytes: int, verdict: Overflow
) -> None:
    assert decide_overflow(policy, is_direct=is_direct, direct_bytes=direct_bytes, limit_bytes=LIMIT) is verdict


@pytest.mark.parametrize(
    ("limit", "nodes", "share"),
    [(10, 1, 10), (10, 2, 5), (10, 3, 3), (10, 10, 1), (10, 100, 1), (1, 3, 1), (10, 0, 10)],
)
def test_local_share_is_the_limit_divided_by_the_nodes_and_at_least_one(limit: int, nodes: int, share: int) -> None:
    assert local_share(limit, nodes) == share
