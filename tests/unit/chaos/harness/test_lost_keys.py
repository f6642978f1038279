"""Which keys vanish by the fault of that name: a share, drawn from the seed, and one of each room or agent at most."""

import random

import pytest

from tests.chaos.harness.fault_spans import FaultSpan
from tests.chaos.harness.history import FaultKind
from tests.chaos.harness.lost_keys import SHARE, choose_keys, has_lost

ROOM = [f"tannoy:{{7}}:{key}" for key in ("users:room:a", "presence:room:a", "leaving:room:a", "in:n1:room:a")]
AGENT = [f"tannoy:{{8}}:{kind}:agent:42" for kind in ("held", "info", "state", "gone")]
LIMIT = ["tannoy:{8}:limit:agent:42", "tannoy:{8}:limit:agent:43", "tannoy:{8}:limits"]


def chosen(keys: list[str], seed: int = 1) -> list[str]:
    return choose_keys(keys, random.Random(seed))


@pytest.mark.parametrize("keys", [ROOM, AGENT, LIMIT], ids=["room", "agent", "limit"])
def test_one_key_of_a_whole_vanishes_and_each_may(keys: list[str]) -> None:
    drawn = [chosen(keys, seed) for seed in range(100)]
    assert {len(each) for each in drawn} == {1}
    assert {key for each in drawn for key in each} == set(keys)


def test_a_share_of_all_wholes_loses_a_key() -> None:
    keys = [key.replace(":a", f":{number}") for key in ROOM for number in range(100)]
    assert len(chosen(keys)) == round(100 * SHARE)


def test_the_same_seed_draws_the_same_keys() -> None:
    keys = [key.replace(":a", f":{number}") for key in ROOM for number in range(100)]
    assert chosen(keys, 3) == chosen(list(reversed(keys)), 3) != chosen(keys, 4)


def test_no_keys_give_none() -> None:
    assert chosen([]) == []


@pytest.mark.parametrize(
    ("key", "whole", "kinds", "is_lost"),
    [
        ("users:room:a", "room:a", ["users"], True),
        ("in:n1:room:a", "room:a", ["in"], True),
        ("once:room:a:digest", "room:a", ["once"], True),
        ("users:room:a", "room:b", ["users"], False),
        ("users:room:ab", "room:a", ["users"], False),
        ("users:room:a", "room:a", ["log", "head"], False),
    ],
)
def test_a_fault_has_lost_a_key_of_a_kind_and_a_whole(key: str, whole: str, kinds: list[str], is_lost: bool) -> None:
    span = FaultSpan(1.0, 2.0, FaultKind.VANISH, f"redis tannoy:{{1}}:other:room:z tannoy:{{7}}:{key}")
    assert has_lost(span, whole, *kinds) is is_lost


def test_other_faults_lose_no_single_key() -> None:
    assert not has_lost(FaultSpan(1.0, 2.0, FaultKind.EMPTY_REDIS, "redis"), "room:a", "users")
