"""What an owner may send on all nodes, as one node knows it; and several nodes with one Redis."""

import pytest
from tannoy.node.admission.owner_rates import OWNERS_MAX, OwnerRates
from tannoy.shared.channels import OwnerKind
from tannoy.shared.rates import BURST_FACTOR, Rate

START = 1000.0
RATE = Rate(10)
AT_ONCE = BURST_FACTOR * RATE.count


def rates_of(rate: Rate = RATE, **options: int) -> OwnerRates:
    return OwnerRates(OwnerKind.USER, rate, **options)


def take_all(rates: OwnerRates, now: float, name: str = "ada", attempts: int = 10_000) -> int:
    """How many of so many attempts succeed."""
    return sum(rates.take(name, now) == 0 for _ in range(attempts))


def test_an_owner_may_take_five_times_the_rate_at_once_and_others_as_much() -> None:
    rates = rates_of()

    assert [take_all(rates, START, name) for name in ("ada", "bob")] == [AT_ONCE, AT_ONCE]
    assert rates.take("ada", START) == pytest.approx(0.1)


def test_what_was_taken_is_said_once() -> None:
    rates = rates_of()
    take_all(rates, START)
    rates.take("bob", START)

    assert rates.collect_unsaid(START) == {"ada": AT_ONCE, "bob": 1}
    assert rates.collect_unsaid(START) == {}


def test_what_is_given_back_is_not_said_and_can_be_taken_again() -> None:
    rates = rates_of()
    take_all(rates, START)
    rates.give_back("ada")

    assert take_all(rates, START) == 1
    assert rates.collect_unsaid(START) == {"ada": AT_ONCE}


def test_what_other_nodes_have_taken_counts_once_it_is_known() -> None:
    rates = rates_of()
    rates.take("ada", START)
    rates.collect_unsaid(START)
    rates.restate({"ada": RATE.fill_seconds - 0.3}, START)

    assert take_all(rates, START) == 3


def test_what_was_taken_while_redis_was_asked_counts_too() -> None:
    rates = rates_of()
    rates.take("ada", START)
    rates.collect_unsaid(START)
    rates.take("ada", START)
    rates.restate({"ada": RATE.fill_seconds - 0.3}, START)

    assert take_all(rates, START) == 2


def test_a_debt_has_to_be_paid_first() -> None:
    rates = rates_of()
    rates.take("ada", START)
    rates.collect_unsaid(START)
    rates.restate({"ada": RATE.fill_seconds + 2}, START)

    assert rates.take("ada", START) == pytest.approx(2.1)
    assert rates.take("ada", START + 2.1) == 0


def test_without_an_answer_the_rate_of_this_node_goes_on() -> None:
    rates = rates_of()
    take_all(rates, START)
    rates.collect_unsaid(START)
    rates.restate({}, START)

    assert take_all(rates, START) == 0
    assert take_all(rates, START + 1) == RATE.count


def test_an_answer_about_an_owner_that_is_not_known_any_more_is_ignored() -> None:
    rates = rates_of()
    rates.restate({"ada": 100.0}, START)

    assert take_all(rates, START) == AT_ONCE


# ---- the table


def test_silent_owners_are_forgotten_once_their_bucket_is_full() -> None:
    rates = rates_of()
    for number in range(100):
        rates.take(f"u{number}", START)
    rates.collect_unsaid(START)
    assert len(rates) == 100
    rates.collect_unsaid(START + 0.1)

    assert len(rates) == 0


def test_an_owner_that_has_taken_some_is_kept_until_redis_has_answered() -> None:
    rates = rates_of()
    rates.take("ada", START)
    assert rates.collect_unsaid(START + 10) == {"ada": 1}
    rates.restate({"ada": RATE.fill_seconds}, START + 10)

    assert rates.take("ada", START + 10) > 0


def test_in_a_full_table_the_owner_that_has_been_silent_longest_is_forgotten() -> None:
    rates = rates_of(maximum=2)
    for name in ("ada", "bob", "ada", "cy"):
        rates.take(name, START)

    assert rates.collect_unsaid(START) == {"ada": 2, "cy": 1}


def test_the_table_is_bounded() -> None:
    rates = rates_of()
    for number in range(OWNERS_MAX + 100):
        rates.take(f"u{number}", START)

    assert len(rates) == OWNERS_MAX


# ---- several nodes


class SharedBucket:
    """What `fanout/lua/rates_spend.lua` does for one owner."""

    def __init__(self) -> None:
        self._full_at = 0.0

    def spend(self, count: int, now: float) -> float:
        self._full_at = max(self._full_at, now) + count * RATE.interval
        return self._full_at - now


@pytest.mark.parametrize("nodes", [2, 5])
def test_in_the_long_run_all_nodes_admit_the_rate_and_at_once_each_what_a_bucket_holds(nodes: int) -> None:
    shared, admitted, rounds, pause = SharedBucket(), 0, 4000, 0.25
    all_rates = [rates_of() for _ in range(nodes)]
    for number in range(rounds):
        now = START + number * pause
        admitted += sum(take_all(rates, now, attempts=100) for rates in all_rates)
        for rates in all_rates:
            for name, count in rates.collect_unsaid(now).items():
                rates.restate({name: shared.spend(count, now)}, now)
    in_the_long_run = rounds * pause * RATE.count

    assert in_the_long_run <= admitted <= in_the_long_run + nodes * AT_ONCE
