"""docs/protocol.md §1: one alphabet for rooms, agents, users, sessions and nodes."""

import string
from collections.abc import Callable

import pytest
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadName
from tannoy.shared.names import parse_agent, parse_node, parse_room, parse_session, parse_user, parse_username

Parser = Callable[[object], str]
every_parser = pytest.mark.parametrize("parse", [parse_room, parse_agent, parse_user, parse_session, parse_node])


@every_parser
@pytest.mark.parametrize(
    "name", ["a", "Z", "0", "_", ".", ":", "@", "~", "-", "team.blue:42", "ada@example.org", "a" * 128]
)
def test_a_name_of_the_alphabet_is_kept_as_it_is(parse: Parser, name: str) -> None:
    assert parse(name) == name


@every_parser
@pytest.mark.parametrize(
    "name",
    ["", "a" * 129, " ", "a b", "a\n", "\na", "a\x00", "a/b", "../etc",
     "a*", "a?", "[a]", "{a}", "a\\b", "é", "ａ", "٣", "🎉"],
    ids=ascii,
)  # fmt: skip
def test_a_text_with_another_character_or_length_is_refused(parse: Parser, name: str) -> None:
    with pytest.raises(BadName):
        parse(name)


@pytest.mark.parametrize("user_id", ["auth0|5f7c8ec7c33c6c004bbafe82", "ada+test@example.com", "YWRh=="])
def test_a_user_id_may_have_the_characters_of_identity_providers_and_mail_addresses(user_id: str) -> None:
    assert parse_user(user_id) == user_id


@pytest.mark.parametrize("parse", [parse_room, parse_agent, parse_session, parse_node])
@pytest.mark.parametrize("name", ["a|b", "a+b", "a=b"])
def test_any_other_name_with_a_character_of_user_ids_alone_is_refused(parse: Parser, name: str) -> None:
    with pytest.raises(BadName):
        parse(name)


@pytest.mark.parametrize(("value", "user_id"), [(7, "7"), (0, "0"), (-1, "-1"), (2**63, "9223372036854775808")])
def test_an_integer_as_user_id_is_its_decimal_text(value: int, user_id: str) -> None:
    assert parse_user(value) == user_id


def test_an_integer_that_is_too_long_as_user_id_is_refused() -> None:
    with pytest.raises(BadName):
        parse_user(10**128)


@pytest.mark.parametrize("parse", [parse_room, parse_agent, parse_session, parse_node])
def test_an_integer_as_any_other_name_is_refused(parse: Parser) -> None:
    with pytest.raises(BadName, match="has to be a string, not 7"):
        parse(7)


@every_parser
@pytest.mark.parametrize("value", [None, 1.5, True, b"lobby", ["lobby"], {"room": "lobby"}], ids=repr)
def test_a_value_that_is_not_a_text_is_refused(parse: Parser, value: object) -> None:
    with pytest.raises(BadName):
        parse(value)


def test_exactly_the_documented_characters_are_allowed() -> None:
    def allowed(character: str) -> bool:
        try:
            parse_room(character)
        except BadName:
            return False
        return True

    of_the_contract = set(string.ascii_letters + string.digits + "_.:@~-")
    assert {chr(code) for code in range(0x3000) if allowed(chr(code))} == of_the_contract


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("a b", "room 'a b' must not contain ' ': allowed are A-Z a-z 0-9 _ . : @ ~ -"),
        ("naïve", r"room 'naïve' must not contain '\\xef': allowed are"),
        ("", "room has to have 1 to 128 characters, not 0"),
        ("a" * 129, "room has to have 1 to 128 characters, not 129"),
    ],
)
def test_the_refusal_names_the_offending_character_or_the_length(value: str, sentence: str) -> None:
    with pytest.raises(BadName, match=f"^{sentence}") as caught:
        parse_room(value)
    assert caught.value.code is ErrorCode.BAD_NAME


def test_the_refusal_shows_no_more_than_the_beginning_of_a_long_value() -> None:
    with pytest.raises(BadName) as caught:
        parse_user(" " * 100_000)
    assert len(caught.value.message) < 200


def test_the_refusal_escapes_line_breaks() -> None:
    with pytest.raises(BadName) as caught:
        parse_room("lobby\nroot logged in")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["Ada", "Ada Lovelace", "Zoë 🎉", "小明", "a" * 128])
def test_a_username_may_be_any_printable_text(name: str) -> None:
    assert parse_username(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a" * 129,
        "a\nb",
        "\n09:00:00 root",
        "ada\n",
        "\x1cada",
        "ada\u3000",
        "a\x1b[31m",
        "a\u202eb",
        "a\u200bb",
        "\ud800",
        7,
        None,
    ],
    ids=ascii,
)
def test_a_username_that_is_not_printable_text_is_refused(name: object) -> None:
    with pytest.raises(BadName):
        parse_username(name)


@pytest.mark.parametrize("name", ["\u200d", "\u200d" * 3], ids=ascii)
def test_an_invisible_username_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        parse_username(name)
