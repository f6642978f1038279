"""The verifier of tokens that the settings ask for, or a sentence that says what to set instead."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...shared.clock import Clock
from ...shared.errors import StartError
from ...shared.settings import Settings
from .claims import Claims, ExpectedClaims
from .jwks_reader import create_reader
from .key_refresh import KeyRefresh
from .keys import PUBLIC, VerificationKey, from_pem, from_secret, narrow, parse_jwks
from .verifier import SingleKey, TokenVerifier

PEM_MAX_BYTES = 65_536
"""Of the file that TANNOY_JWT_PUBLIC_KEY names."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a node needs to verify tokens.

    `refresh`: await its `start` before the first token is verified, then keep its `run` running; None: the key is that
    of the settings, and never changes.
    """

    verifier: TokenVerifier
    refresh: KeyRefresh | None = None


def create_tokens(settings: Settings, clock: Clock, is_revoked: Callable[[Claims], bool]) -> Tokens | None:
    """None unless TANNOY_AUTH=jwt. Reads a file of TANNOY_JWT_PUBLIC_KEY, and nothing else. Raises StartError."""
    if settings.auth == "none":
        return None
    if "*" in settings.allowed_origins:
        raise StartError(
            f"TANNOY_ALLOWED_ORIGINS=* lets pages of any site connect: with TANNOY_AUTH={settings.auth} list those of "
            "yours"
        )
    if settings.auth == "hook":
        return None
    source = _create_source(settings, clock)
    refresh = source if isinstance(source, KeyRefresh) else None
    keys = source.keys if isinstance(source, KeyRefresh) else source
    expected = ExpectedClaims(settings.jwt_audience, settings.jwt_issuer)
    return Tokens(TokenVerifier(keys, expected, clock, is_revoked), refresh)


def _create_source(settings: Settings, clock: Clock) -> SingleKey | KeyRefresh:
    secret = settings.jwt_secret.get_secret_value()
    given = {
        "TANNOY_JWT_SECRET": secret,
        "TANNOY_JWT_PUBLIC_KEY": settings.jwt_public_key,
        "TANNOY_JWKS_URL": settings.jwks_url,
    }
    match [name for name, value in given.items() if value]:
        case []:
            raise StartError(f"TANNOY_AUTH=jwt needs a key that verifies tokens: set one of {', '.join(given)}")
        case ["TANNOY_JWT_SECRET"]:
            return SingleKey(from_secret(secret, settings.jwt_algorithms))
        case ["TANNOY_JWT_PUBLIC_KEY"]:
            return SingleKey(_public_key(settings))
        case ["TANNOY_JWKS_URL"]:
            return _create_refresh(settings, clock)
        case named:
            all_of = "both" if len(named) == 2 else "all"
            raise StartError(
                f"{' and '.join(named)} are {all_of} set: tokens are verified with one of them, unset the other"
            )


def _create_refresh(settings: Settings, clock: Clock) -> KeyRefresh:
    allowed = narrow(PUBLIC, settings.jwt_algorithms, "TANNOY_JWKS_URL")
    reader = create_reader(settings.jwks_url, lambda raw: parse_jwks(raw, allowed))
    return KeyRefresh(clock, partial(asyncio.to_thread, reader.read), period=reader.period, source=str(reader))


def _public_key(settings: Settings) -> VerificationKey:
    """The key in TANNOY_JWT_PUBLIC_KEY, or in the file that it names."""
    value = settings.jwt_public_key
    if "-----BEGIN" in value:
        # An environment file has no lines in a value: there they are written as \n.
        return from_pem(value.replace("\\n", "\n"), settings.jwt_algorithms)
    try:
        with Path(value).open("rb") as file:
            pem = file.read(PEM_MAX_BYTES).decode("ascii", "replace")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise StartError(
            f"TANNOY_JWT_PUBLIC_KEY is neither a public key in PEM nor a file that can be read: {reason}"
        ) from None
    return from_pem(pem, settings.jwt_algorithms)
