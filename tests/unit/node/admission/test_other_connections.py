"""How many connections that are no sessions a node has, and which of them make place for others."""

from tannoy.node.admission.other_connections import (
    ADDRESS_OTHERS_MAX,
    OTHERS_MAX,
    WAIT_MIN,
    OtherConnections,
    OtherStatistics,
)
from tannoy.node.server.listeners import BACKLOG

from tests.support.clock import ManualClock

CROWDED = "192.0.2.1"


class Waiter:
    """A connection that notes that it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def close_waiting(self) -> None:
        self.is_closed = True


def full(clock: ManualClock, maximum: int = 3) -> tuple[OtherConnections, list[Waiter]]:
    """As many connections as there may be, that have come one after the other."""
    others, waiters = OtherConnections(clock, maximum=maximum), [Waiter() for _ in range(maximum)]
    for waiter in waiters:
        assert others.add(waiter)
        clock.advance(WAIT_MIN)
    return others, waiters


def test_a_newcomer_takes_the_place_of_the_one_that_has_waited_longest() -> None:
    others, waiters = full(ManualClock())

    assert others.add(Waiter())
    assert [waiter.is_closed for waiter in waiters] == [True, False, False]
    assert others.statistics() == OtherStatistics(open=3, waiting=3, closed=1, addresses=0)


def test_one_that_was_answered_has_waited_since_its_answer() -> None:
    clock = ManualClock()
    others, waiters = full(clock)
    others.begin_answer(waiters[0])
    others.end_answer(waiters[0])
    assert others.add(Waiter())

    assert [waiter.is_closed for waiter in waiters] == [False, True, False]


def test_one_that_is_being_answered_is_not_closed() -> None:
    others, waiters = full(ManualClock())
    others.begin_answer(waiters[0])
    assert others.add(Waiter())

    assert [waiter.is_closed for waiter in waiters] == [False, True, False]


def test_a_newcomer_is_refused_where_all_are_being_answered() -> None:
    others, waiters = full(ManualClock())
    for waiter in waiters:
        others.begin_answer(waiter)

    assert not others.add(Waiter())
    assert others.statistics() == OtherStatistics(open=3, waiting=0, closed=0, addresses=0)


def test_a_newcomer_is_refused_where_all_have_only_just_come() -> None:
    others = OtherConnections(ManualClock(), maximum=1)
    first = Waiter()

    assert others.add(first)
    assert not others.add(Waiter())
    assert not first.is_closed


def test_one_that_has_ended_makes_place() -> None:
    others, waiters = full(ManualClock())
    others.begin_answer(waiters[2])
    others.remove(waiters[1])
    others.remove(waiters[2])
    others.end_answer(waiters[2])

    assert others.statistics().open == 1
    assert others.add(Waiter())
    assert not waiters[0].is_closed


def test_a_burst_of_handshakes_fits() -> None:
    """A listener accepts all that its backlog holds before the first of them is read, and then as many again."""
    assert OTHERS_MAX >= 2 * BACKLOG


def of_one_address(
    clock: ManualClock, elsewhere: Waiter | None = None, maximum: int = 3
) -> tuple[OtherConnections, list[Waiter]]:
    """As many connections of `CROWDED` as may wait, that have come one after the other; there is place for others.

    `elsewhere`: one of another address that has come before them.
    """
    others = OtherConnections(clock, maximum=2 * maximum, address_maximum=maximum)
    waiters = [Waiter() for _ in range(maximum)]
    if elsewhere is not None:
        assert others.add(elsewhere, "192.0.2.2")
    for waiter in waiters:
        assert others.add(waiter, CROWDED)
        clock.advance(WAIT_MIN)
    return others, waiters


def test_a_newcomer_takes_the_place_of_the_one_of_its_address_that_has_waited_longest() -> None:
    clock, elsewhere = ManualClock(), Waiter()
    others, waiters = of_one_address(clock, elsewhere)

    assert others.add(Waiter(), CROWDED)
    assert [waiter.is_closed for waiter in (elsewhere, *waiters)] == [False, True, False, False]
    assert others.statistics() == OtherStatistics(open=4, waiting=4, closed=1, addresses=2)


def test_a_newcomer_is_refused_where_all_of_its_address_have_only_just_come_and_others_are_not() -> None:
    others = OtherConnections(ManualClock(), maximum=4, address_maximum=1)
    assert others.add(Waiter(), CROWDED)

    assert not others.add(Waiter(), CROWDED)
    assert others.add(Waiter(), "192.0.2.2")


def test_those_of_an_address_that_are_answered_or_have_ended_leave_place() -> None:
    others, waiters = of_one_address(ManualClock())
    others.begin_answer(waiters[0])
    others.remove(waiters[1])

    assert others.add(Waiter(), CROWDED)
    assert others.add(Waiter(), CROWDED)
    assert not any(waiter.is_closed for waiter in waiters)


def test_one_that_was_answered_waits_among_those_of_its_address_again() -> None:
    clock = ManualClock()
    others, waiters = of_one_address(clock)
    others.begin_answer(waiters[0])
    others.end_answer(waiters[0])
    assert others.add(Waiter(), CROWDED)

    assert [waiter.is_closed for waiter in waiters] == [False, True, False]


def test_clients_of_this_machine_are_not_counted_by_address() -> None:
    others = OtherConnections(ManualClock(), maximum=2, address_maximum=1)

    assert others.add(Waiter(), "127.0.0.1")
    assert others.add(Waiter(), "127.0.0.1")


def test_nothing_is_kept_of_an_address_whose_connections_have_ended() -> None:
    others, waiters = of_one_address(ManualClock())
    others.begin_answer(waiters[0])
    for waiter in waiters:
        others.remove(waiter)

    assert others.statistics().addresses == 0


def test_a_burst_of_one_address_fits() -> None:
    assert BACKLOG <= ADDRESS_OTHERS_MAX <= OTHERS_MAX // 2
