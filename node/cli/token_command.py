"""`tannoy token`: prints a signed token, to try things out; in production the back end signs them.

What only this command needs is imported when it is called: `--help` does without it.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from ...shared.errors import BadName, StartError
from .exits import fail, load_settings_or_fail

if TYPE_CHECKING:
    from ...shared.settings import Settings
    from ..auth.claims import ExpectedClaims, Permission
    from ..auth.keys import VerificationKey

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
ALGORITHM = "HS256"
"""That tokens are signed with here."""

_parse_duration = re.compile(r"([0-9]{1,9})([smhd])").fullmatch

Names = list[str] | None
"""Options that may be repeated, each with entries that are separated by commas. None: not given."""


def token(
    sub: Annotated[str, typer.Option(help="User id.")],
    name: Annotated[str | None, typer.Option(help="Username.", show_default="the user id")] = None,
    rooms: Annotated[
        Names,
        typer.Option(
            metavar="NAMES", help="Rooms that may be used; team.* is all that begin with team.", show_default="all"
        ),
    ] = None,
    agents: Annotated[
        Names, typer.Option(metavar="NAMES", help="Agents that may be used, alike.", show_default="none")
    ] = None,
    can: Annotated[
        Names,
        typer.Option(
            metavar="WORDS",
            help="What is allowed, out of publish, private, presence, history, observe.",
            show_default="all but observe",
        ),
    ] = None,
    expires_in: Annotated[str, typer.Option(help="How long it is valid: 30s, 15m, 12h or 7d.")] = "1h",
    jti: Annotated[str | None, typer.Option(help="Makes this one token revocable.", show_default=False)] = None,
    audience: Annotated[
        str | None, typer.Option(help="Its claim aud.", show_default="TANNOY_JWT_AUDIENCE, or none")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Its claim iss.", show_default="TANNOY_JWT_ISSUER, or none")
    ] = None,
) -> None:
    """Print a token that nodes with the same TANNOY_JWT_SECRET accept, signed with HS256.

    Nothing but the token goes to standard output. NAMES and WORDS are separated by commas, or in an option each; an
    empty one, as --rooms '', allows nothing.

    Examples:

      tannoy token --sub ada

      tannoy token --sub ada --name "Ada Lovelace" --rooms 'team.*,lobby' --expires-in 15m

      tannoy token --sub worker --rooms '' --agents 42 --agents 43 --can publish,history

      curl -H "Authorization: Bearer $(tannoy token --sub ada)" …
    """
    from ...shared.clock import SystemClock
    from ...shared.names import parse_agent, parse_room, parse_user, parse_username
    from ..auth.claims import ExpectedClaims
    from ..auth.signing import sign_token

    settings = load_settings_or_fail()
    key = _find_key(settings)
    expected = ExpectedClaims(
        settings.jwt_audience if audience is None else audience, settings.jwt_issuer if issuer is None else issuer
    )
    signed = sign_token(
        settings.jwt_secret.get_secret_value(),
        subject=_check_name("--sub", sub, parse_user),
        username=None if name is None else _check_name("--name", name, parse_username),
        rooms=_parse_patterns("--rooms", rooms, parse_room),
        agents=_parse_patterns("--agents", agents, parse_agent),
        can=_parse_permissions(can),
        expires_at=SystemClock.now() + _parse_seconds(expires_in),
        audience=expected.audience,
        issuer=expected.issuer,
        token_id=jti,
    )
    _check_token(signed, key, expected)
    typer.echo(signed)


def _find_key(settings: "Settings") -> "VerificationKey":
    """The key of the secret, if it is what nodes with these settings verify tokens with."""
    from ..auth.keys import from_secret

    for setting, value in (
        ("TANNOY_JWT_PUBLIC_KEY", settings.jwt_public_key),
        ("TANNOY_JWKS_URL", settings.jwks_url),
    ):
        if value:
            fail(f"{setting} is set: nodes accept only tokens that the owner of the private key has signed")
    secret = settings.jwt_secret.get_secret_value()
    if not secret:
        fail(
            "no TANNOY_JWT_SECRET is set, with which tokens are signed and verified. Make one for all nodes: "
            """echo "TANNOY_JWT_SECRET=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')" >> .env"""
        )
    try:
        key = from_secret(secret, settings.jwt_algorithms)
    except StartError as error:
        fail(str(error))
    if ALGORITHM not in key.algorithms:
        fail(f"TANNOY_JWT_ALGORITHMS={','.join(settings.jwt_algorithms)}: this command signs with {ALGORITHM} only")
    return key


def _check_name(option: str, value: str, parse: Callable[[object], str]) -> str:
    """The value of an option that is a name."""
    try:
        return parse(value)
    except BadName as refusal:
        fail(f"{option}: {refusal.message}")


def _split(given: Iterable[str]) -> list[str]:
    return [entry.strip() for words in given for entry in words.split(",") if entry.strip()]


def _parse_patterns(option: str, given: Names, parse: Callable[[object], str]) -> Names:
    if given is None:
        return None
    patterns = _split(given)
    for pattern in patterns:
        if "*" in pattern[:-1]:
            fail(f"{option} {pattern!r}: '*' may stand at the end of a name only")
        if pattern != "*":
            _check_name(option, pattern.removesuffix("*"), parse)
    return patterns


def _parse_permissions(given: Names) -> "list[Permission] | None":
    from ..auth.claims import Permission

    if given is None:
        return None
    permissions: list[Permission] = []
    for word in _split(given):
        try:
            permissions.append(Permission(word))
        except ValueError:
            fail(f"--can {word!r} is no permission: there are {', '.join(Permission)}")
    return permissions


def _parse_seconds(duration: str) -> int:
    found = _parse_duration(duration)
    if found is None or int(found[1]) == 0:
        fail(f"--expires-in {duration!r} is no duration: write it as 30s, 15m, 12h or 7d")
    return int(found[1]) * SECONDS[found[2]]


def _check_token(signed: str, key: "VerificationKey", expected: "ExpectedClaims") -> None:
    """Verify the token as a node does, so that none is printed that is too long, or has too many names."""
    from ...shared.clock import SystemClock
    from ..auth.token_problems import TokenRefused
    from ..auth.verifier import SingleKey, TokenVerifier

    try:
        TokenVerifier(SingleKey(key), expected, SystemClock(), lambda claims: False).verify(signed)
    except TokenRefused as refusal:
        fail(f"no node would accept this token: {refusal.message}")
