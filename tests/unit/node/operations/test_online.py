"""Cursors of `GET /users`: what they are made of, and what is none."""

import pytest
from tannoy.node.operations.online import make_cursor, parse_cursor
from tannoy.shared.errors import BadRequest


@pytest.mark.parametrize("user_id", ["a", "ada", "auth0|42", "a+b=c@d~e", "x" * 128])
def test_a_cursor_leads_behind_the_user_it_was_made_of(user_id: str) -> None:
    cursor = make_cursor(user_id)
    assert parse_cursor(cursor) == user_id
    assert cursor.replace("-", "").replace("_", "").isalnum(), "it needs no escape in a query"


@pytest.mark.parametrize("cursor", ["", "a", "YWRh!", "YSBi", "//8=", "é", "_w"])
def test_what_was_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        parse_cursor(cursor)
