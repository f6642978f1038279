"""Records of revocations: their ID, their bytes, and what of it others may see."""

import pytest
from tannoy.shared.errors import BadName, MalformedBytes
from tannoy.shared.revocations import TOKEN_ID_MAX_CHARACTERS, Revocation, RevocationKind, parse_value, revocation_id

USER, AGENT, TOKEN = RevocationKind.USER, RevocationKind.AGENT, RevocationKind.TOKEN
UNTIL, CREATED_MS, CHANGED = 1_900_000_000, 1_795_000_000_250, 1_795_000_000_250_000
RECORDS = [
    Revocation(USER, "auth0|ada+1=x", UNTIL, CREATED_MS, CHANGED),
    Revocation(AGENT, "42", UNTIL, CREATED_MS, CHANGED, is_lifted=True),
    Revocation(TOKEN, "|a|\nb ü", 0, 0, 0),
    Revocation(TOKEN, "x" * TOKEN_ID_MAX_CHARACTERS, 253_402_300_799, 253_402_300_799_000, 2**53 - 1),
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_a_record_is_the_same_after_packing_and_parsing(record: Revocation) -> None:
    assert Revocation.parse(record.pack()) == record


ODD = [
    b"",
    b"1|2|revoked|3|user|",
    b"1|2|revoked|3|user|a b",
    b"1|2|revoked|3|agent|a|b",
    b"1|2|revoked|3|token|" + b"x" * (TOKEN_ID_MAX_CHARACTERS + 1),
    b"1|2|revoked|3|token|\xff",
    b"1|2|revoked|3|robot|ada",
    b"1|2|paused|3|user|ada",
    b"-1|2|revoked|3|user|ada",
    b"1|x|revoked|3|user|ada",
    b"1|2|3|user|ada",
    b"%d|2|revoked|3|user|ada" % 2**53,
    b"1|253402300800|revoked|3|user|ada",
    b"1|2|revoked|253402300800000|user|ada",
]


@pytest.mark.parametrize("record", ODD, ids=range(len(ODD)))
def test_what_no_node_writes_is_malformed(record: bytes) -> None:
    with pytest.raises(MalformedBytes):
        Revocation.parse(record)


def test_a_revocation_has_an_effect_until_its_end_unless_it_was_lifted() -> None:
    active, lifted = RECORDS[:2]
    assert active.is_active(UNTIL - 0.5)
    assert not active.is_active(UNTIL)
    assert not lifted.is_active(UNTIL - 0.5)


def test_the_id_is_that_of_what_is_revoked() -> None:
    same = Revocation(USER, "ada", 1, 2, 3), Revocation(USER, "ada", 4, 5, 6, is_lifted=True)
    others = [revocation_id(kind, value) for kind in RevocationKind for value in ("ada", "bob")]
    assert same[0].id == same[1].id == revocation_id(USER, "ada")
    assert len(set(others)) == len(others)


def test_the_id_can_stand_in_a_url_and_a_log_and_does_not_reveal_the_jti() -> None:
    id = revocation_id(TOKEN, "the secret / name?")
    assert id.isascii()
    assert id.isalnum()
    assert "secret" not in repr(Revocation(TOKEN, "the secret / name?", 1, 2, 3)) + id


@pytest.mark.parametrize(("kind", "field"), [(USER, "user_id"), (AGENT, "agent_id"), (TOKEN, "jti")])
def test_as_an_object_it_names_what_is_revoked_by_its_field(kind: RevocationKind, field: str) -> None:
    assert Revocation(kind, "42", UNTIL, CREATED_MS, CHANGED).as_object() == {
        "id": revocation_id(kind, "42"),
        field: "42",
        "until": "2030-03-17T17:46:40.000Z",
        "created_at": "2026-11-18T11:06:40.250Z",
    }


def test_what_is_revoked_is_named_as_everywhere() -> None:
    assert [parse_value(USER, 7), parse_value(AGENT, "42"), parse_value(TOKEN, " any text ")] == [
        "7",
        "42",
        " any text ",
    ]


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        (USER, "a b", "user_id"),
        (AGENT, "a|b", "agent_id"),
        (AGENT, 42, "agent_id"),
        (TOKEN, "", "jti"),
        (TOKEN, 7, "jti"),
        (TOKEN, "x" * (TOKEN_ID_MAX_CHARACTERS + 1), "jti"),
    ],
)
def test_a_name_that_none_can_have_is_refused(kind: RevocationKind, value: object, field: str) -> None:
    with pytest.raises(BadName, match=field):
        parse_value(kind, value)
