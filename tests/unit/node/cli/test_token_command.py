"""The token that `tannoy token` prints: a node accepts it, and every mistake is told in a sentence."""

from pathlib import Path

import pytest
from tannoy.node.auth.claims import ALL_NAMES, DEFAULT_PERMISSIONS, NO_NAMES, Claims, ExpectedClaims, Permission
from tannoy.node.auth.keys import from_secret
from tannoy.node.auth.verifier import SingleKey, TokenVerifier
from tannoy.node.cli.main import app
from tannoy.shared.clock import SystemClock
from typer.testing import CliRunner, Result

SECRET = "a-secret-of-more-than-32-bytes-for-this-test"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret in the environment, and no other setting from anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANNOY_JWT_SECRET", SECRET)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["token", *words], env={"COLUMNS": "200", "NO_COLOR": "1"})


def claims_of(*words: str, expected: ExpectedClaims | None = None) -> Claims:
    """The claims of the printed token, as a node with the same secret finds them; nothing else was printed."""
    ran = run(*words)
    assert (ran.exit_code, ran.stderr) == (0, "")
    (line,) = ran.stdout.splitlines()
    verifier = TokenVerifier(
        SingleKey(from_secret(SECRET)), expected or ExpectedClaims(), SystemClock(), lambda _: False
    )
    return verifier.verify(line)


def complaint(*words: str) -> str:
    """What the command says instead of printing a token."""
    ran = run(*words)
    assert (ran.exit_code, ran.stdout) == (1, "")
    return ran.stderr


def test_a_token_is_accepted_by_nodes_with_the_same_secret() -> None:
    claims = claims_of("--sub", "ada")
    assert (claims.user_id, claims.username, claims.token_id) == ("ada", "ada", None)
    assert (claims.rooms, claims.agents, claims.can) == (ALL_NAMES, NO_NAMES, DEFAULT_PERMISSIONS)


def test_the_secret_may_be_in_the_file_of_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TANNOY_JWT_SECRET")
    (tmp_path / ".env").write_text(f"TANNOY_JWT_SECRET={SECRET}\n")
    assert claims_of("--sub", "ada").user_id == "ada"


def test_a_token_says_who_its_owner_is() -> None:
    claims = claims_of("--sub", "auth0|7+x", "--name", "Ada Lovelace", "--jti", "t1")
    assert (claims.user_id, claims.username, claims.token_id) == ("auth0|7+x", "Ada Lovelace", "t1")


def test_names_are_separated_by_commas_or_in_options_of_their_own() -> None:
    claims = claims_of("--sub", "ada", "--rooms", "team.*, lobby", "--rooms", "hall", "--agents", "42,43")
    assert claims.rooms.names == {"lobby", "hall"}
    assert claims.rooms.prefixes == ("team.",)
    assert claims.agents.names == {"42", "43"}


def test_all_agents_are_a_star() -> None:
    assert claims_of("--sub", "ada", "--agents", "*").agents == ALL_NAMES


def test_permissions_are_those_that_are_listed() -> None:
    claims = claims_of("--sub", "ada", "--can", "publish,history", "--can", "observe")
    assert claims.can == {Permission.PUBLISH, Permission.HISTORY, Permission.OBSERVE}


def test_an_empty_option_allows_nothing() -> None:
    claims = claims_of("--sub", "ada", "--rooms", "", "--can", "")
    assert (claims.rooms, claims.can) == (NO_NAMES, frozenset())


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ([], 3600),
        (["--expires-in", "30s"], 30),
        (["--expires-in", "15m"], 900),
        (["--expires-in", "12h"], 43_200),
        (["--expires-in", "7d"], 604_800),
    ],
    ids=["not given", "30s", "15m", "12h", "7d"],
)
def test_a_token_expires_after_the_time_that_is_given(words: list[str], seconds: int) -> None:
    before = int(SystemClock.now())
    claims = claims_of("--sub", "ada", *words)
    assert claims.expires_at is not None
    assert before + seconds <= claims.expires_at <= SystemClock.now() + seconds


def test_audience_and_issuer_are_those_of_the_settings_if_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANNOY_JWT_AUDIENCE", "us")
    monkeypatch.setenv("TANNOY_JWT_ISSUER", "https://id.example")
    claims_of("--sub", "ada", expected=ExpectedClaims("us", "https://id.example"))
    claims_of("--sub", "ada", "--audience", "them", "--issuer", "me", expected=ExpectedClaims("them", "me"))
    claims_of("--sub", "ada", "--audience", "", "--issuer", "", expected=ExpectedClaims())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--sub", "a b"], "--sub: user_id 'a b' must not contain ' '"),
        (["--sub", ""], "--sub: user_id has to have 1 to 128 characters"),
        (["--sub", "ada", "--name", "\n"], "--name: username has to be printable text"),
        (["--sub", "ada", "--rooms", "a*b"], "--rooms 'a*b': '*' may stand at the end of a name only"),
        (["--sub", "ada", "--rooms", "lobby,a b"], "--rooms: room 'a b' must not contain ' '"),
        (["--sub", "ada", "--agents", "é"], "--agents: agent_id 'é' must not contain"),
        (["--sub", "ada", "--can", "publish,admin"], "--can 'admin' is no permission: there are publish, private"),
        (["--sub", "ada", "--expires-in", "1 hour"], "--expires-in '1 hour' is no duration: write it as 30s"),
        (["--sub", "ada", "--expires-in", "0s"], "--expires-in '0s' is no duration"),
        (["--sub", "ada", "--expires-in", "-1h"], "--expires-in '-1h' is no duration"),
        (["--sub", "ada", "--expires-in", "3600"], "--expires-in '3600' is no duration"),
        (["--sub", "ada", "--jti", "x" * 257], "no node would accept this token: the claim 'jti'"),
        (["--sub", "ada", "--rooms", ",".join(["r"] * 1001)], "no node would accept this token: the claim 'rooms'"),
        (["--sub", "ada", "--audience", "x" * 9000], "no node would accept this token: the token has more than 8192"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else " ".join(value)[:40],
)
def test_a_mistake_is_told_in_a_sentence(words: list[str], sentence: str) -> None:
    assert complaint(*words).startswith(f"tannoy: {sentence}")


def test_without_a_secret_the_command_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANNOY_JWT_SECRET")
    said = complaint("--sub", "ada")
    assert said.startswith("tannoy: no TANNOY_JWT_SECRET is set")
    assert "secrets.token_urlsafe(32)" in said


def test_a_secret_that_is_too_short_is_not_used_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANNOY_JWT_SECRET", "hunter2")
    said = complaint("--sub", "ada")
    assert "TANNOY_JWT_SECRET has 7 bytes" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("setting", ["TANNOY_JWT_PUBLIC_KEY", "TANNOY_JWKS_URL"])
def test_where_public_keys_are_set_only_the_owner_of_the_private_key_can_sign(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "/etc/keys")
    assert complaint("--sub", "ada").startswith(f"tannoy: {setting} is set: nodes accept only tokens that the owner of")


def test_a_token_that_the_allowed_algorithms_exclude_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANNOY_JWT_SECRET", "x" * 64)
    monkeypatch.setenv("TANNOY_JWT_ALGORITHMS", "HS512")
    assert "TANNOY_JWT_ALGORITHMS=HS512: this command signs with HS256 only" in complaint("--sub", "ada")


def test_help_names_every_permission_and_shows_examples() -> None:
    shown = run("--help").stdout
    assert "Examples:" in shown
    assert [permission for permission in Permission if permission not in shown] == []
