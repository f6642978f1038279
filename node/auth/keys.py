"""Keys that verify tokens: each with the algorithms of its family, and no others.

A key is used with no algorithm but its own: what an attacker writes into the header of a token can't turn a public key
into a secret (RFC 8725 §3.1).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ...shared.errors import StartError

SECRET_MIN_BYTES = 32
"""Of a shared secret."""
RSA_MIN_BITS = 2048
"""RFC 7518 §3.3."""

HMAC_MIN_BYTES = {"HS256": SECRET_MIN_BYTES, "HS384": 48, "HS512": 64}
"""The secret of each: as long as the output of its hash function (RFC 7518 §3.2)."""
HMAC = tuple(HMAC_MIN_BYTES)
RSA = ("RS256",)
ELLIPTIC = ("ES256",)
EDWARDS = ("EdDSA",)
PUBLIC = (*RSA, *ELLIPTIC, *EDWARDS)
"""Those of public keys."""
LISTED_KEYS_MAX = 100
"""Entries of a JSON Web Key Set."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, and the algorithms that may be used with it. `key_id` is its `kid`; None: the only key there is."""

    algorithms: tuple[str, ...]
    key: Any = field(repr=False)
    key_id: str | None = None


def from_secret(secret: str, allowed: Sequence[str] = ()) -> VerificationKey:
    """The key of a shared secret, with the algorithms for which it is long enough.

    `allowed`: TANNOY_JWT_ALGORITHMS; empty: all of its family. Raises StartError.
    """
    encoded = secret.encode()
    if len(encoded) < SECRET_MIN_BYTES:
        raise StartError(
            f"TANNOY_JWT_SECRET has {len(encoded)} bytes: at least {SECRET_MIN_BYTES} are needed,"
            ' for instance from python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    if encoded.lstrip().startswith((b"-----BEGIN", b"ssh-")):
        raise StartError("TANNOY_JWT_SECRET is a public key or a certificate: TANNOY_JWT_PUBLIC_KEY takes one")
    for name in narrow(HMAC, allowed, "TANNOY_JWT_SECRET") if allowed else ():
        if len(encoded) < HMAC_MIN_BYTES[name]:
            raise StartError(
                f"TANNOY_JWT_SECRET has {len(encoded)} bytes: {name} needs at least {HMAC_MIN_BYTES[name]}"
            )
    long_enough = tuple(name for name in HMAC if len(encoded) >= HMAC_MIN_BYTES[name])
    return VerificationKey(narrow(long_enough, allowed, "TANNOY_JWT_SECRET"), encoded)


def from_pem(pem: str, allowed: Sequence[str] = ()) -> VerificationKey:
    """The key of TANNOY_JWT_PUBLIC_KEY, in PEM. Raises StartError."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise StartError("TANNOY_JWT_PUBLIC_KEY is not a public key in PEM: it begins -----BEGIN PUBLIC KEY") from None
    family = _family_of(key)
    if family is None:
        raise StartError(
            f"TANNOY_JWT_PUBLIC_KEY is a key of another kind than {', '.join(RSA + ELLIPTIC + EDWARDS)} use:"
            f" RSA with {RSA_MIN_BITS} bits or more, P-256, Ed25519 or Ed448"
        )
    return VerificationKey(narrow(family, allowed, "TANNOY_JWT_PUBLIC_KEY"), key)


def parse_jwks(raw: bytes, allowed: Sequence[str] = ()) -> dict[str, VerificationKey]:
    """The usable keys in the text of a JSON Web Key Set, as `from_jwks`, and at least one.

    Raises ValueError, which says what to change.
    """
    try:
        document: object = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON, or nests too deep") from None
    keys = from_jwks(cast("dict[str, Any]", document) if isinstance(document, dict) else {}, allowed)
    if not keys:
        raise ValueError(
            f"none of its keys can be used with {', '.join(allowed or PUBLIC)}: one is needed that is public, has a "
            f"'kid', and is RSA with {RSA_MIN_BITS} bits or more, P-256, Ed25519 or Ed448"
        )
    return keys


def from_jwks(document: Mapping[str, Any], allowed: Sequence[str] = ()) -> dict[str, VerificationKey]:
    """The keys of a JSON Web Key Set by `kid`: those that verify signatures and that we can use; others are skipped.

    Secrets and private keys in a set are skipped too: it is public. Raises ValueError if it is no such set.
    """
    if not isinstance(document.get("keys"), list):
        raise ValueError("it is not a JWKS: an object with the list 'keys'")
    listed: list[Any] = document["keys"]
    if len(listed) > LISTED_KEYS_MAX:
        raise ValueError(f"it lists more than {LISTED_KEYS_MAX} keys")
    keys: dict[str, VerificationKey] = {}
    for entry in listed:
        if not _is_for_signatures(entry):
            continue
        try:
            key = jwt.PyJWK(entry).key
        except jwt.PyJWTError:
            continue
        family = [name for name in _family_of(key) or () if name in (allowed or PUBLIC)]
        if family and entry.get("alg", family[0]) in family:
            keys[entry["kid"]] = VerificationKey(tuple(family), key, entry["kid"])
    return keys


def _is_for_signatures(entry: object) -> bool:
    members = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
    if not isinstance(members.get("kid"), str) or members.get("use", "sig") != "sig":
        return False
    # PyJWT raises errors of any type for members that it does not expect.
    return members.get("kty") in ("RSA", "EC", "OKP") and members.get("alg", PUBLIC[0]) in PUBLIC


def _family_of(key: object) -> tuple[str, ...] | None:
    """The algorithms that may be used with a public key; None: none that we know, or the key is too weak."""
    if isinstance(key, RSAPublicKey):
        return RSA if key.key_size >= RSA_MIN_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return ELLIPTIC if isinstance(key.curve, SECP256R1) else None
    return EDWARDS if isinstance(key, Ed25519PublicKey | Ed448PublicKey) else None


def narrow(family: tuple[str, ...], allowed: Sequence[str], setting: str) -> tuple[str, ...]:
    """Those of the family that are allowed; `allowed` empty: all. Raises StartError if none is."""
    narrowed = tuple(name for name in family if name in (allowed or family))
    if not narrowed:
        raise StartError(
            f"TANNOY_JWT_ALGORITHMS={','.join(allowed)} does not fit {setting}: with it {', '.join(family)} can be used"
        )
    return narrowed
