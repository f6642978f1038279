"""What the claims of a token allow."""

import orjson
import pytest
from tannoy.node.auth.claims import Claims, ExpectedClaims, Permission, parse_claims
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused


def parse(**claims: object) -> Claims:
    return parse_claims(orjson.dumps({"sub": "ada", "exp": 1_800_000_000, **claims}), ExpectedClaims())


def test_a_token_without_lists_may_use_all_rooms_no_agents_and_all_but_observe() -> None:
    claims = parse()
    assert claims.rooms.match("any")
    assert not claims.agents.match("42")
    assert claims.can == {Permission.PUBLISH, Permission.PRIVATE, Permission.PRESENCE, Permission.HISTORY}


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        (["lobby"], "lobby", True),
        (["lobby"], "lobby2", False),
        (["lobby"], "Lobby", False),
        (["team.*"], "team.red", True),
        (["team.*"], "team.", True),
        (["team.*"], "team", False),
        (["*"], "anything", True),
        (["a", "b*"], "b1", True),
        ([], "lobby", False),
    ],
)
def test_a_pattern_matches_the_name_or_what_begins_with_it(patterns: list[str], name: str, matches: bool) -> None:
    assert parse(rooms=patterns).rooms.match(name) is matches
    assert parse(agents=patterns).agents.match(name) is matches


def test_an_empty_list_of_permissions_allows_nothing() -> None:
    assert parse(can=[]).can == frozenset()


def test_the_username_is_the_user_id_where_none_is_given() -> None:
    assert parse().username == "ada"
    assert parse(name="Ada L.").username == "Ada L."


def test_a_username_that_could_forge_a_line_of_the_log_is_refused() -> None:
    with pytest.raises(TokenRefused) as caught:
        parse(name="\n09:00:00 root")
    assert caught.value.problem is TokenProblem.BAD_CLAIM
    assert "\n" not in caught.value.message


def test_the_representation_of_claims_does_not_contain_the_id_of_the_token() -> None:
    assert "secret-id" not in repr(parse(jti="secret-id"))
