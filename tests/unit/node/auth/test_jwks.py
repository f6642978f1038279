"""Which keys of a set that changes are used, when it is read again, and what a `kid` that is not known causes."""

import pytest
from tannoy.node.auth.jwks import ASKED_MAX, KEY_ID_MAX_CHARACTERS, KeySet
from tannoy.node.auth.keys import VerificationKey, parse_jwks
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused
from tannoy.shared.codes import ErrorCode

from tests.support.clock import ManualClock
from tests.support.forged_tokens import OTHER_RSA_KEY, P256_KEY, RSA_KEY
from tests.support.key_server import key_set

PERIOD = 300.0


class ReadSet(KeySet):
    """A KeySet whose set was read, with the clock of a test."""

    def __init__(self, **keys: object) -> None:
        self.clock = ManualClock()
        self.due_earlier = 0
        super().__init__(self.clock, PERIOD, self._count)
        self.read(**keys)

    def _count(self) -> None:
        self.due_earlier += 1

    def read(self, **keys: object) -> None:
        self.begin()
        self.accept(keys_of(**keys))

    def refusal_of(self, key_id: str) -> TokenRefused:
        with pytest.raises(TokenRefused) as caught:
            self.find(key_id)
        return caught.value


def keys_of(**keys: object) -> dict[str, VerificationKey]:
    return parse_jwks(key_set(**keys))


def test_a_key_is_found_by_its_kid() -> None:
    keys = ReadSet(a=RSA_KEY, b=P256_KEY)
    assert [keys.find("a"), keys.find("b")] == list(keys_of(a=RSA_KEY, b=P256_KEY).values())


def test_without_a_kid_the_only_key_is_used() -> None:
    assert ReadSet(a=RSA_KEY).find(None) is not None
    assert ReadSet(a=RSA_KEY, b=P256_KEY).find(None) is None


# ---- when the set is read again


def test_the_set_is_read_again_each_period() -> None:
    keys = ReadSet(a=RSA_KEY)
    assert keys.seconds_until_due() == PERIOD
    keys.clock.advance(PERIOD + 1)
    assert keys.seconds_until_due() == 0


def test_a_set_that_can_not_be_read_is_tried_again_after_30_seconds_and_its_keys_stay() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.begin()
    keys.fail()
    assert keys.seconds_until_due() == 30
    assert keys.find("a") is not None


def test_an_unknown_kid_makes_the_set_due_at_once_if_it_was_not_read_in_the_last_10_seconds() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.clock.advance(20)
    keys.refusal_of("b")
    assert keys.seconds_until_due() == 0
    assert keys.due_earlier == 1


def test_unknown_kids_make_the_set_due_once_in_10_seconds_and_no_more_often() -> None:
    keys = ReadSet(a=RSA_KEY)
    readings = 0
    for number in range(60):
        keys.clock.advance(1)
        keys.refusal_of(f"forged-{number}")
        if keys.seconds_until_due() == 0:
            keys.read(a=RSA_KEY)
            readings += 1
    assert readings == 6


def test_an_unknown_kid_is_looked_up_once() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.refusal_of("b")
    keys.clock.advance(10)
    keys.read(a=RSA_KEY)
    assert keys.find("b") is None
    assert keys.seconds_until_due() == PERIOD


def test_an_unknown_kid_is_looked_up_again_each_10_seconds_while_the_set_can_not_be_read() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.refusal_of("b")
    keys.clock.advance(10)
    keys.begin()
    keys.fail()
    assert keys.seconds_until_due() == 10
    assert keys.refusal_of("b").code is ErrorCode.UNAVAILABLE


# ---- what the owner of a token with an unknown `kid` is told


def test_the_owner_of_an_unknown_kid_is_asked_to_come_back_when_the_set_has_been_read() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.clock.advance(4)
    refusal = keys.refusal_of("b")
    assert (refusal.problem, refusal.code) == (TokenProblem.UNKNOWN_KEY, ErrorCode.UNAVAILABLE)
    assert refusal.retry_after == 7, "6 s until the next reading is allowed, and 1 s for it"


def test_a_new_key_is_found_once_the_set_has_been_read() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.refusal_of("b")
    keys.clock.advance(10)
    keys.read(a=RSA_KEY, b=P256_KEY)
    assert keys.find("b") is not None


def test_a_set_whose_reading_began_before_a_kid_was_asked_for_does_not_decide_over_it() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.clock.advance(20)
    keys.begin()
    keys.clock.advance(1)
    keys.refusal_of("b")
    keys.accept(keys_of(a=RSA_KEY))
    keys.refusal_of("b")
    assert keys.seconds_until_due() == 9


def test_a_set_that_has_not_changed_decides_over_a_kid_too() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.refusal_of("b")
    keys.clock.advance(10)
    keys.begin()
    keys.accept(None)
    assert keys.find("b") is None
    assert keys.find("a") is not None


def test_a_kid_that_is_forgotten_among_many_is_looked_up_again() -> None:
    keys = ReadSet(a=RSA_KEY)
    for number in range(ASKED_MAX + 1):
        keys.refusal_of(str(number))
    keys.clock.advance(10)
    keys.read(a=RSA_KEY)
    assert keys.statistics().asked == ASKED_MAX
    assert keys.find("1") is None
    keys.refusal_of("0")


def test_a_kid_that_is_too_long_is_not_looked_up() -> None:
    keys = ReadSet(a=RSA_KEY)
    assert keys.find("x" * (KEY_ID_MAX_CHARACTERS + 1)) is None
    assert keys.statistics().asked == 0


# ---- generation


def test_the_generation_stays_while_keys_are_only_added() -> None:
    keys = ReadSet(a=RSA_KEY)
    keys.read(a=RSA_KEY, b=P256_KEY)
    assert keys.generation == 0


@pytest.mark.parametrize("changed", [{"b": P256_KEY}, {"a": OTHER_RSA_KEY, "b": P256_KEY}], ids=["removed", "replaced"])
def test_the_generation_changes_when_a_key_is_removed_or_replaced(changed: dict[str, object]) -> None:
    keys = ReadSet(a=RSA_KEY, b=P256_KEY)
    keys.read(**changed)
    assert keys.generation == 1
