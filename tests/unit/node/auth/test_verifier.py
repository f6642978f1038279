"""Which tokens are accepted, and why all others are refused."""

from typing import Any

import jwt
import pytest
from tannoy.node.auth.claims import Claims, ExpectedClaims, NamePatterns, Permission
from tannoy.node.auth.keys import VerificationKey, from_pem, from_secret
from tannoy.node.auth.signing import sign_token
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused
from tannoy.node.auth.verifier import HEADERS_MAX, REMEMBERED_MAX, SingleKey, TokenVerifier
from tannoy.shared.codes import ErrorCode
from tannoy.shared.names import UserId

from tests.support.clock import ManualClock
from tests.support.forged_tokens import (
    ED25519_KEY,
    OTHER_SECRET,
    P256_KEY,
    RSA_KEY,
    RSA_PEM,
    SECRET,
    TOKEN_NOW,
    Forgery,
    forged_for_a_public_key,
    forged_for_a_secret,
    good_claims,
    pem_of,
    signed,
)


class KeySet:
    """Keys by `kid`, which a test replaces."""

    def __init__(self, keys: dict[str | None, VerificationKey]) -> None:
        self.generation = 0
        self.keys = keys
        self.asked = 0

    def find(self, key_id: str | None) -> VerificationKey | None:
        self.asked += 1
        return self.keys.get(key_id)


def no_revocations(claims: Claims) -> bool:
    return False


def new_verifier(
    key: VerificationKey | None = None, *, expected: ExpectedClaims | None = None, clock: ManualClock | None = None
) -> TokenVerifier:
    keys = SingleKey(key or from_secret(SECRET))
    return TokenVerifier(keys, expected or ExpectedClaims(), clock or ManualClock(), no_revocations)


def problem_of(verifier: TokenVerifier, token: str | None) -> TokenProblem | None:
    """Why the token is refused; None: it is accepted."""
    try:
        verifier.verify(token)
    except TokenRefused as refusal:
        return refusal.problem
    return None


@pytest.mark.parametrize("forgery", forged_for_a_secret(), ids=lambda forgery: forgery.name)
def test_a_forged_token_is_refused_with_its_reason(forgery: Forgery) -> None:
    verifier = new_verifier()
    assert problem_of(verifier, forgery.token) is forgery.problem
    assert problem_of(verifier, forgery.token) is forgery.problem, "the second time too"


@pytest.mark.parametrize("forgery", forged_for_a_public_key(), ids=lambda forgery: forgery.name)
def test_a_token_forged_for_a_public_key_is_refused(forgery: Forgery) -> None:
    assert problem_of(new_verifier(from_pem(RSA_PEM)), forgery.token) is forgery.problem


@pytest.mark.parametrize("forgery", forged_for_a_secret(), ids=lambda forgery: forgery.name)
def test_a_refusal_does_not_contain_the_token(forgery: Forgery) -> None:
    with pytest.raises(TokenRefused) as caught:
        new_verifier().verify(forgery.token)
    assert not forgery.token or len(forgery.token) < 4 or forgery.token not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_signed_with_the_secret_is_accepted(algorithm: str) -> None:
    assert new_verifier().verify(signed(algorithm=algorithm)).user_id == "ada"


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [(RSA_KEY, "RS256"), (P256_KEY, "ES256"), (ED25519_KEY, "EdDSA")],
    ids=["RS256", "ES256", "EdDSA"],
)
def test_a_token_signed_with_the_private_key_is_accepted(private: object, algorithm: str) -> None:
    token = jwt.encode(good_claims(), private, algorithm)  # type: ignore[arg-type] # any of the three kinds
    assert new_verifier(from_pem(pem_of(private))).verify(token).user_id == "ada"


def test_a_signed_token_carries_what_it_was_signed_for() -> None:
    token = sign_token(
        SECRET,
        subject="ada",
        expires_at=TOKEN_NOW + 60,
        username="Ada",
        rooms=["team.*"],
        agents=["42"],
        can=[Permission.OBSERVE],
        token_id="t1",
    )
    assert new_verifier().verify(token) == Claims(
        UserId("ada"),
        "Ada",
        TOKEN_NOW + 60,
        NamePatterns.parse(("team.*",)),
        NamePatterns.parse(("42",)),
        frozenset({Permission.OBSERVE}),
        token_id="t1",
    )


def test_only_the_allowed_algorithms_of_a_key_are_accepted() -> None:
    verifier = new_verifier(from_secret(SECRET, ("HS512",)))
    assert problem_of(verifier, signed(algorithm="HS512")) is None
    assert problem_of(verifier, signed(algorithm="HS256")) is TokenProblem.BAD_SIGNATURE


def test_a_remembered_token_is_refused_once_it_has_expired() -> None:
    clock = ManualClock()
    verifier = new_verifier(clock=clock)
    token = signed(exp=TOKEN_NOW + 10)
    assert problem_of(verifier, token) is None
    clock.advance(10)
    assert problem_of(verifier, token) is TokenProblem.EXPIRED


def test_an_expired_token_is_told_apart_from_a_bad_one() -> None:
    with pytest.raises(TokenRefused) as expired:
        new_verifier().verify(signed(exp=TOKEN_NOW - 1))
    with pytest.raises(TokenRefused) as bad:
        new_verifier().verify(signed(OTHER_SECRET))
    assert (expired.value.code, bad.value.code) == (ErrorCode.TOKEN_EXPIRED, ErrorCode.BAD_TOKEN)


def test_a_token_is_not_verified_again_while_it_is_remembered() -> None:
    keys = KeySet({None: from_secret(SECRET)})
    verifier = TokenVerifier(keys, ExpectedClaims(), ManualClock(), no_revocations)
    token = signed()
    assert verifier.verify(token) == verifier.verify(token)
    assert keys.asked == 1


def test_a_remembered_token_is_refused_once_its_key_is_gone() -> None:
    keys = KeySet({None: from_secret(SECRET)})
    verifier = TokenVerifier(keys, ExpectedClaims(), ManualClock(), no_revocations)
    token = signed()
    assert problem_of(verifier, token) is None
    keys.keys.clear()
    keys.generation += 1
    assert problem_of(verifier, token) is TokenProblem.UNKNOWN_KEY


def test_a_remembered_token_is_refused_once_it_is_revoked() -> None:
    revoked: set[str | None] = set()
    verifier = TokenVerifier(
        SingleKey(from_secret(SECRET)), ExpectedClaims(), ManualClock(), lambda claims: claims.token_id in revoked
    )
    token = signed(jti="t1")
    assert problem_of(verifier, token) is None
    revoked.add("t1")
    assert problem_of(verifier, token) is TokenProblem.REVOKED


def test_no_more_tokens_are_remembered_than_the_bound() -> None:
    keys = KeySet({None: from_secret(SECRET)})
    verifier = TokenVerifier(keys, ExpectedClaims(), ManualClock(), no_revocations)
    first = signed(jti="first")
    verifier.verify(first)
    for number in range(REMEMBERED_MAX):
        verifier.verify(signed(jti=str(number)))
    asked = keys.asked
    verifier.verify(first)
    assert keys.asked == asked + 1, "the oldest was forgotten, and verified anew"


def test_each_token_is_verified_with_the_key_that_its_header_names_however_many_headers_there_are() -> None:
    keys = KeySet({f"k{number}": from_secret(SECRET) for number in range(HEADERS_MAX + 1)})
    verifier = TokenVerifier(keys, ExpectedClaims(), ManualClock(), no_revocations)

    def token_of(key_id: str | None, number: int) -> str:
        return jwt.encode({**good_claims(), "jti": str(number)}, SECRET, headers={"kid": key_id})

    for number, key_id in enumerate((*keys.keys, *keys.keys)):
        assert problem_of(verifier, token_of(key_id, number)) is None
    keys.keys["k1"] = from_secret(OTHER_SECRET)
    assert problem_of(verifier, token_of("k1", -1)) is TokenProblem.BAD_SIGNATURE
    assert problem_of(verifier, token_of("k2", -1)) is None


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({}, TokenProblem.WRONG_AUDIENCE),
        ({"aud": "billing"}, TokenProblem.WRONG_AUDIENCE),
        ({"aud": ["billing", "tannoys"]}, TokenProblem.WRONG_AUDIENCE),
        ({"aud": "tannoy"}, TokenProblem.WRONG_ISSUER),
        ({"aud": "tannoy", "iss": "https://other.example"}, TokenProblem.WRONG_ISSUER),
        ({"aud": ["billing", "tannoy"], "iss": "https://id.example"}, None),
    ],
)
def test_audience_and_issuer_have_to_be_those_of_the_settings(
    claims: dict[str, Any], problem: TokenProblem | None
) -> None:
    verifier = new_verifier(expected=ExpectedClaims("tannoy", "https://id.example"))
    assert problem_of(verifier, signed(**claims)) is problem
