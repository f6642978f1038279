"""Token buckets, and those of a session."""

import pytest
from tannoy.node.admission.rate_limits import REFUSALS_RATE, SessionBuckets, SessionRates, TokenBucket
from tannoy.shared.codes import ErrorCode
from tannoy.shared.rates import BURST_FACTOR, NO_LIMIT, Rate

START = 1000.0


def take_all(bucket: TokenBucket, now: float) -> int:
    """How many can be taken one after the other, without time passing."""
    taken = 0
    while bucket.take(1, now) == 0:
        taken += 1
    return taken


@pytest.mark.parametrize("rate", [Rate(50), Rate(600, 60), Rate(3, 3600)], ids=str)
def test_five_times_the_count_is_allowed_at_once(rate: Rate) -> None:
    assert take_all(TokenBucket(rate), START) == BURST_FACTOR * rate.count


def test_so_many_a_second_are_allowed_in_the_long_run() -> None:
    bucket = TokenBucket(Rate(50))
    taken = sum(take_all(bucket, START + second) for second in range(1000))

    assert taken == BURST_FACTOR * 50 + 999 * 50


def test_silence_adds_nothing_beyond_a_full_bucket() -> None:
    bucket = TokenBucket(Rate(50))
    take_all(bucket, START)

    assert take_all(bucket, START + 10_000) == BURST_FACTOR * 50


def test_who_waits_as_long_as_it_was_told_is_admitted_and_not_before() -> None:
    bucket = TokenBucket(Rate(3))
    take_all(bucket, START)
    wait = bucket.take(1, START)

    assert wait == pytest.approx(1 / 3)
    assert bucket.take(1, START + wait - 0.01) > 0
    assert bucket.take(1, START + wait) == 0


def test_what_is_refused_takes_nothing() -> None:
    bucket = TokenBucket(Rate(1))
    take_all(bucket, START)
    waits = [bucket.take(1, START) for _ in range(100)]

    assert waits == [1.0] * 100


def test_more_than_a_bucket_holds_is_taken_from_a_full_one_which_then_fills_the_longer() -> None:
    bucket = TokenBucket(Rate(10))

    assert bucket.take(1000, START) == 0
    assert bucket.take(1, START) == pytest.approx(95.1)
    assert bucket.take(1000, START + 99) == pytest.approx(1)
    assert bucket.take(1000, START + 100) == 0


def test_what_is_given_back_can_be_taken_again() -> None:
    bucket = TokenBucket(Rate(1))
    take_all(bucket, START)
    bucket.give_back(1)

    assert take_all(bucket, START) == 1


def test_a_drained_bucket_gives_nothing_until_it_has_filled_and_is_drained_no_further_than_that() -> None:
    bucket = TokenBucket(Rate(1))
    bucket.take(1, START)
    for _ in range(7):
        bucket.drain(START)

    assert bucket.take(1, START) == pytest.approx(6)
    assert bucket.take(1, START + 5) == pytest.approx(1)
    assert take_all(bucket, START + 6) == 1


def test_a_rate_of_0_is_no_limit() -> None:
    bucket = TokenBucket(NO_LIMIT)

    assert all(bucket.take(10**9, START) == 0 for _ in range(1000))


# ---- of a session


def session(messages: Rate = NO_LIMIT, commands: Rate = NO_LIMIT, of_bytes: Rate = NO_LIMIT) -> SessionBuckets:
    return SessionBuckets(SessionRates(messages, commands, of_bytes))


@pytest.mark.parametrize(
    ("buckets", "sentence"),
    [
        (session(messages=Rate(1)), "too many messages: 1/s are allowed"),
        (session(commands=Rate(2, 60)), "too many commands: 2/m are allowed"),
        (session(of_bytes=Rate(100)), "too many bytes: 100/s are allowed"),
    ],
    ids=["messages", "commands", "bytes"],
)
def test_what_is_beyond_a_rate_is_refused_with_the_rate_and_the_time_to_wait(
    buckets: SessionBuckets, sentence: str
) -> None:
    refusals = [buckets.take(100, START, is_message=True) for _ in range(11)]
    refusal = refusals[-1]

    assert refusals[0] is None
    assert refusal is not None
    assert (refusal.code, refusal.message) == (ErrorCode.RATE_LIMITED, sentence)
    assert refusal.retry_after is not None
    assert buckets.take(100, START + refusal.retry_after, is_message=True) is None


def test_messages_have_a_rate_of_their_own() -> None:
    buckets = session(messages=Rate(1))

    assert [buckets.take(1, START, is_message=False) for _ in range(100)] == [None] * 100
    assert [buckets.take(1, START, is_message=True) for _ in range(5)] == [None] * 5


def test_what_is_refused_for_its_bytes_takes_no_message_and_no_command() -> None:
    five_an_hour = Rate(1, 3600)
    buckets = session(messages=five_an_hour, commands=five_an_hour, of_bytes=Rate(100))

    assert buckets.take(500, START, is_message=True) is None
    assert None not in [buckets.take(500, START, is_message=True) for _ in range(100)]
    assert [buckets.take(1, START + 5, is_message=True) for _ in range(4)] == [None] * 4


def test_what_is_refused_as_a_command_takes_no_message() -> None:
    buckets = session(messages=Rate(2, 3600), commands=Rate(1))

    assert [buckets.take(1, START, is_message=True) for _ in range(5)] == [None] * 5
    assert None not in [buckets.take(1, START, is_message=True) for _ in range(100)]
    assert [buckets.take(1, START + 5, is_message=True) for _ in range(5)] == [None] * 5


def test_no_rates_at_all_are_false() -> None:
    assert not SessionRates(NO_LIMIT, NO_LIMIT, NO_LIMIT)
    assert SessionRates(NO_LIMIT, NO_LIMIT, Rate(1))


# ---- refusals


def test_100_refusals_at_once_are_not_too_many_and_the_next_one_is() -> None:
    buckets = session()

    assert [buckets.count_refusal(START) for _ in range(101)] == [False] * 100 + [True]


def test_so_many_refusals_as_come_back_are_never_too_many() -> None:
    buckets = session()
    pause = REFUSALS_RATE.interval

    assert not any(buckets.count_refusal(START + number * pause) for number in range(10_000))
