"""The bounds of the attacks, and what is said where one is missed."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.attack.meter import Cost
from tests.attack.table import lines_of_faults
from tests.attack.verdict import Result
from tests.attack.window import Window

COST = Cost(grown=1, kept=1, cpu=0.5, redis_grown=0, redis_cpu=0.1, redis_longest=2, redis_command="EVALSHA")
WITHIN = Result(
    name="pongs",
    fault="F3",
    sockets=1,
    seconds=5.0,
    sent=10.0,
    before=Window(pongs=[1.0]),
    window=Window(pongs=[24.0]),
    cost=COST,
    outcomes=Counter({"served": 1}),
    expected=frozenset({"served"}),
    not_ready=0,
)


def test_what_is_within_all_bounds_misses_nothing() -> None:
    assert WITHIN.misses == []


@pytest.mark.parametrize(
    ("result", "missed"),
    [
        (replace(WITHIN, window=Window(pongs=[26.0])), "p99 26 ms"),
        (replace(WITHIN, window=Window(unanswered=2)), "2 pings unanswered"),
        (replace(WITHIN, window=Window(lost=["bye 4004"])), "sessions lost: bye 4004"),
        (replace(WITHIN, window=Window(refused=["unavailable"] * 3)), "publishes refused: unavailable 3"),
        (replace(WITHIN, window=Window(unheard=["/ws/chat/a 7"])), "1 messages unheard"),
        (replace(WITHIN, cost=replace(COST, grown=5.1)), "grown by 5 MB"),
        (replace(WITHIN, cost=replace(COST, redis_longest=21)), "EVALSHA took 21 ms"),
        (replace(WITHIN, not_ready=1), "not ready at 1 looks"),
        (replace(WITHIN, outcomes=Counter({"bye 1011": 2})), "ended as bye 1011 2"),
        (replace(WITHIN, cost=None), "the node has ended"),
    ],
)
def test_what_is_beyond_a_bound_is_said(result: Result, missed: str) -> None:
    assert result.misses == [missed]


def test_ten_sockets_have_wider_bounds() -> None:
    result = replace(WITHIN, sockets=10, window=Window(pongs=[49.0]), cost=replace(COST, grown=49.0))

    assert result.misses == []
    assert replace(result, window=Window(pongs=[51.0])).misses == ["p99 51 ms"]


def test_a_fault_is_as_bad_as_its_worst_case() -> None:
    slow, large = replace(WITHIN, window=Window(pongs=[30.0])), replace(WITHIN, cost=replace(COST, grown=4.5))

    assert lines_of_faults([slow, replace(WITHIN, fault="F10"), large]) == [
        "F3         2    30.0    4.5    2.0     0       1",
        "F10        1    24.0    1.0    2.0     0       0",
    ]
