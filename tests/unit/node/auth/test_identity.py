"""The identity that a handshake gives, and the parts of it that are generated."""

import pytest
from tannoy.node.auth.identity import identify_client, is_guest, new_session_id
from tannoy.shared.errors import BadName
from tannoy.shared.names import UserId, parse_session, parse_user, parse_username


def test_a_given_identity_is_taken_as_it_is() -> None:
    author = identify_client({"user_id": "ada", "username": "Ada Lovelace", "session_id": "s1"})
    assert (author.user_id, author.username, author.session_id) == ("ada", "Ada Lovelace", "s1")


def test_a_missing_username_is_the_user_id() -> None:
    assert identify_client({"user_id": "ada"}).username == "ada"


def test_a_generated_identity_consists_of_valid_names() -> None:
    guest = identify_client({})
    assert guest.username == guest.user_id
    assert parse_user(guest.user_id) == guest.user_id
    assert parse_username(guest.username) == guest.username
    assert parse_session(guest.session_id) == guest.session_id


def test_only_a_generated_user_id_is_that_of_a_guest() -> None:
    guest = identify_client({}).user_id
    assert guest is not None
    assert (is_guest(guest), is_guest(UserId("ada"))) == (True, False)


def test_generated_session_ids_are_distinct_and_valid() -> None:
    ids = {parse_session(new_session_id()) for _ in range(1000)}
    assert len(ids) == 1000


@pytest.mark.parametrize(
    "query", [{"user_id": ""}, {"user_id": "a b"}, {"username": "\n"}, {"session_id": "/"}], ids=str
)
def test_a_bad_name_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadName):
        identify_client(query)
