"""The verifier of tokens that the settings ask for, or a sentence that says what to set instead."""

from collections.abc import Callable
from pathlib import Path

from ...shared.clock import Clock
from ...shared.errors import StartError
from ...shared.settings import Settings
from .claims import Claims, ExpectedClaims
from .keys import VerificationKey, from_pem, from_secret
from .verifier import KeySource, SingleKey, TokenVerifier

PEM_MAX_BYTES = 65_536
"""Of the file that TANNOY_JWT_PUBLIC_KEY names."""


def create_verifier(settings: Settings, clock: Clock, is_revoked: Callable[[Claims], bool]) -> TokenVerifier | None:
    """None with TANNOY_AUTH=none. Raises StartError."""
    if settings.auth == "none":
        return None
    if "*" in settings.allowed_origins:
        raise StartError(
            "TANNOY_ALLOWED_ORIGINS=* lets pages of any site connect: with TANNOY_AUTH=jwt list those of yours"
        )
    expected = ExpectedClaims(settings.jwt_audience, settings.jwt_issuer)
    return TokenVerifier(_key_source(settings), expected, clock, is_revoked)


def _key_source(settings: Settings) -> KeySource:
    secret = settings.jwt_secret.get_secret_value()
    given = {"TANNOY_JWT_SECRET": secret, "TANNOY_JWT_PUBLIC_KEY": settings.jwt_public_key}
    named = [name for name, value in given.items() if value]
    if not named:
        raise StartError(f"TANNOY_AUTH=jwt needs a key that verifies tokens: set one of {', '.join(given)}")
    if len(named) > 1:
        raise StartError(f"{' and '.join(named)} are both set: tokens are verified with one of them, unset the other")
    return SingleKey(from_secret(secret, settings.jwt_algorithms) if secret else _public_key(settings))


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
