"""What a node knows of all revocations: the later record of an ID holds, in whatever order they come."""

import itertools

import pytest
from tannoy.fanout.revocations import known as module
from tannoy.fanout.revocations.known import KnownRevocations
from tannoy.shared.revocations import Revocation, RevocationKind

USER, AGENT, TOKEN = RevocationKind.USER, RevocationKind.AGENT, RevocationKind.TOKEN
NOW, UNTIL = 1000.0, 2000


def revoked(value: str = "ada", *, at: int = 1, until: int = UNTIL, kind: RevocationKind = USER) -> Revocation:
    return Revocation(kind, value, until, created_at=at, changed_at=at)


def lifted(value: str = "ada", *, at: int = 2, until: int = UNTIL) -> Revocation:
    return Revocation(USER, value, until, created_at=1, changed_at=at, is_lifted=True)


def known_of(*records: Revocation) -> KnownRevocations:
    known = KnownRevocations()
    for record in records:
        known.merge(record)
    return known


@pytest.mark.parametrize("kind", list(RevocationKind))
def test_what_is_revoked_is_refused_until_its_end_and_nothing_else_is(kind: RevocationKind) -> None:
    known = known_of(revoked("42", kind=kind))
    assert [each for each in RevocationKind if known.is_revoked(each, "42", NOW)] == [kind]
    assert not known.is_revoked(kind, "43", NOW)
    assert not known.is_revoked(kind, "42", UNTIL)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_in_whatever_order_records_come_the_last_change_holds(order: tuple[int, ...]) -> None:
    changes = [revoked(at=1), lifted(at=2), revoked(at=3, until=UNTIL + 7), revoked(at=2)]
    known = known_of(*(changes[each] for each in order))
    assert known.active(NOW) == [changes[2]]
    assert known.is_revoked(USER, "ada", UNTIL + 6)


def test_only_a_later_record_changes_anything() -> None:
    known = KnownRevocations()
    assert [known.merge(each) for each in (revoked(at=2), revoked(at=2), revoked(at=1), lifted(at=3))] == [
        True,
        False,
        False,
        True,
    ]
    assert not known.is_revoked(USER, "ada", NOW)
    assert known.active(NOW) == []


def test_those_that_have_an_effect_are_listed_the_newest_first() -> None:
    old, new, over = revoked("old", at=1), revoked("new", at=2), revoked("over", until=1)
    assert known_of(old, new, over, lifted("gone")).active(NOW) == [new, old]


def test_what_redis_lacks_or_has_older_is_lost() -> None:
    here, older, lacking = revoked("here", at=5), revoked("older", at=5), lifted("lacking", at=5)
    known = known_of(here, older, lacking)
    lost = [(older.id, older.pack()), (lacking.id, lacking.pack())]
    assert known.find_lost(known.ids(), {here.id: 5, older.id: 4}, NOW) == lost
    assert known.find_lost(known.ids(), {here.id: 5, older.id: 6, lacking.id: 5}, NOW) == []
    assert known.find_lost(known.ids(), {}, UNTIL) == [], "what is over need not be in Redis"
    assert known.find_lost([lacking.id, "gone meanwhile"], {}, NOW) == lost[1:]


def test_the_packed_record_is_the_one_that_holds() -> None:
    later = revoked(at=2)
    assert known_of(revoked(at=1), later).packed(later.id) == later.pack()
    assert known_of().packed(later.id) == b""


def test_a_record_is_the_same_only_if_redis_has_it_byte_by_byte() -> None:
    ada = revoked()
    known = known_of(ada)
    assert known.find_same(ada.id, ada.pack()) == ada
    assert known.find_same(ada.id, revoked(at=2).pack()) is None
    assert known.find_same(revoked("bob").id, ada.pack()) is None


def test_what_is_over_is_forgotten_unless_it_was_revoked_again_meanwhile() -> None:
    over, again, gone = revoked("over", until=900), revoked("again", until=900), lifted("gone", until=900)
    known = known_of(over, again, gone, revoked("stays"))
    ids = known.find_expired(known.ids(), NOW)
    assert sorted(ids) == sorted([over.id, again.id, gone.id])
    known.merge(revoked("again", at=7))
    known.forget_expired([*ids, "unknown"], NOW)
    assert [each.value for each in known.active(NOW)] == ["again", "stays"]
    assert len(known) == 2
    assert known.packed(over.id) == b""


def test_beyond_the_bound_only_known_records_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_MAX", 2)
    known = known_of(revoked("a"), revoked("b"), revoked("c"))
    assert (len(known), known.ignored) == (2, 1)
    assert not known.is_revoked(USER, "c", NOW)
    assert known.merge(lifted("a"))
