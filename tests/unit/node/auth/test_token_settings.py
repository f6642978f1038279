"""The settings of tokens: which of them verify, and what stops the start."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

import pytest
from tannoy.node.auth import jwks
from tannoy.node.auth.claims import Claims
from tannoy.node.auth.token_problems import TokenProblem, TokenRefused
from tannoy.node.auth.token_settings import Tokens, create_tokens
from tannoy.node.auth.verifier import TokenVerifier
from tannoy.shared.clock import SystemClock
from tannoy.shared.errors import StartError
from tannoy.shared.settings import Settings, SettingValues

from tests.support.clock import ManualClock
from tests.support.forged_tokens import OTHER_RSA_KEY, RSA_KEY, RSA_PEM, SECRET, signed
from tests.support.key_server import KeyServer, key_set
from tests.support.waiting import eventually

FAR = 4_000_000_000
"""Unix seconds, in the year 2096: those tokens are compared with the real time."""


def no_revocations(claims: Claims) -> bool:
    return False


def tokens_of(**values: Unpack[SettingValues]) -> Tokens:
    settings = Settings(**values).model_copy(update={"auth": "jwt"})
    tokens = create_tokens(settings, SystemClock() if "jwks_url" in values else ManualClock(), no_revocations)
    assert tokens is not None
    return tokens


def verifier_of(**values: Unpack[SettingValues]) -> TokenVerifier:
    return tokens_of(**values).verifier


def test_without_tokens_there_is_no_verifier() -> None:
    assert create_tokens(Settings(jwt_secret=SECRET), ManualClock(), no_revocations) is None


def test_a_key_of_the_settings_needs_no_refresh() -> None:
    assert tokens_of(jwt_secret=SECRET).refresh is None


def test_a_token_of_the_secret_is_valid() -> None:
    assert verifier_of(jwt_secret=SECRET).verify(signed()).user_id == "ada"


@pytest.mark.parametrize("form", ["lines", "escaped", "a file"])
def test_a_token_of_the_public_key_is_valid(form: str, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(RSA_PEM)
    value = {"lines": RSA_PEM, "escaped": RSA_PEM.replace("\n", "\\n"), "a file": str(file)}[form]
    token = signed(RSA_KEY, "RS256")
    assert verifier_of(jwt_public_key=value).verify(token).user_id == "ada"


def test_audience_and_issuer_of_the_settings_are_expected() -> None:
    verifier = verifier_of(jwt_secret=SECRET, jwt_audience="us", jwt_issuer="me")
    assert verifier.verify(signed(aud="us", iss="me")).user_id == "ada"
    with pytest.raises(TokenRefused, match="issuer"):
        verifier.verify(signed(aud="us", iss="other"))


# ---- keys of TANNOY_JWKS_URL


def token_of(key: object, key_id: str) -> str:
    return signed(key, "RS256", {"kid": key_id}, exp=FAR)


@asynccontextmanager
async def refreshed(url: str) -> AsyncGenerator[TokenVerifier]:
    """The verifier of a node whose keys are at this address."""
    tokens = tokens_of(jwks_url=url)
    assert tokens.refresh is not None
    await tokens.refresh.start()
    task = asyncio.create_task(tokens.refresh.run())
    yield tokens.verifier
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_token_of_a_published_key_is_valid_and_one_of_another_key_of_that_name_is_not() -> None:
    with KeyServer(key_set(a=RSA_KEY)).running() as server:
        async with refreshed(server.url) as verifier:
            assert verifier.verify(token_of(RSA_KEY, "a")).user_id == "ada"
            with pytest.raises(TokenRefused, match="signature"):
                verifier.verify(token_of(OTHER_RSA_KEY, "a"))


async def test_after_a_rotation_tokens_of_the_new_key_are_valid_and_those_of_the_old_one_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwks, "LOOKUP_PAUSE", 0.0)
    with KeyServer(key_set(old=RSA_KEY)).running() as server:
        async with refreshed(server.url) as verifier:
            assert verifier.verify(token_of(RSA_KEY, "old")).user_id == "ada"
            server.body = key_set(new=OTHER_RSA_KEY)

            async def is_accepted() -> bool:
                try:
                    return verifier.verify(token_of(OTHER_RSA_KEY, "new")).user_id == "ada"
                except TokenRefused as refusal:
                    if refusal.retry_after is None:
                        raise
                    return False  # its owner comes back

            await eventually(is_accepted, what="the new key is known")
            with pytest.raises(TokenRefused, match="not known") as refused:
                verifier.verify(token_of(RSA_KEY, "old"))
            assert refused.value.problem is TokenProblem.UNKNOWN_KEY


async def test_without_the_keys_of_the_address_the_node_does_not_start() -> None:
    with KeyServer(b"{}").running() as server:
        tokens = tokens_of(jwks_url=server.url)
        assert tokens.refresh is not None
        with pytest.raises(
            StartError, match=f"TANNOY_JWKS_URL={re.escape(server.url)} can't be read: it is not a JWKS"
        ):
            await tokens.refresh.start()


async def test_only_the_allowed_algorithms_of_published_keys_are_used(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(key_set(a=RSA_KEY))
    tokens = tokens_of(jwks_url=str(file), jwt_algorithms="ES256")
    assert tokens.refresh is not None
    with pytest.raises(StartError, match="none of its keys can be used with ES256"):
        await tokens.refresh.start()


# ---- bad settings

BAD: dict[str, tuple[SettingValues, str]] = {
    "no key": ({}, "TANNOY_AUTH=jwt needs a key"),
    "two keys": ({"jwt_secret": SECRET, "jwt_public_key": RSA_PEM}, "both set"),
    "a secret and published keys": (
        {"jwt_secret": SECRET, "jwks_url": "https://keys.example/"},
        "TANNOY_JWT_SECRET and TANNOY_JWKS_URL are both set",
    ),
    "a public key and published keys": (
        {"jwt_public_key": RSA_PEM, "jwks_url": "https://keys.example/"},
        "TANNOY_JWT_PUBLIC_KEY and TANNOY_JWKS_URL are both set",
    ),
    "all three": (
        {"jwt_secret": SECRET, "jwt_public_key": RSA_PEM, "jwks_url": "https://keys.example/"},
        "are all set",
    ),
    "keys that anybody on the way can replace": ({"jwks_url": "http://keys.example/"}, "Use https://"),
    "an algorithm of secrets for published keys": (
        {"jwks_url": "https://keys.example/", "jwt_algorithms": "HS256"},
        "does not fit TANNOY_JWKS_URL: with it RS256, ES256, EdDSA can be used",
    ),
    "a short secret": ({"jwt_secret": "x" * 31}, "has 31 bytes"),
    "a public key as the secret": ({"jwt_secret": RSA_PEM}, "TANNOY_JWT_PUBLIC_KEY takes one"),
    "no PEM": ({"jwt_public_key": "-----BEGIN NOTHING"}, "not a public key in PEM"),
    "no such file": ({"jwt_public_key": "/no/such/file"}, "No such file"),
    "a directory": ({"jwt_public_key": "/"}, "Is a directory"),
    "a name that no file has": ({"jwt_public_key": "a\0b"}, "no path"),
    "an algorithm of another key": (
        {"jwt_secret": SECRET, "jwt_algorithms": "RS256"},
        "does not fit TANNOY_JWT_SECRET",
    ),
    "pages of any site": ({"jwt_secret": SECRET, "allowed_origins": "*"}, "TANNOY_ALLOWED_ORIGINS=*"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings_stop_the_start_with_what_to_do(case: str) -> None:
    values, sentence = BAD[case]
    with pytest.raises(StartError, match=re.escape(sentence)):
        verifier_of(**values)


def test_no_sentence_contains_the_secret() -> None:
    with pytest.raises(StartError) as refused:
        verifier_of(jwt_secret="hunter2-hunter2")
    assert "hunter2" not in str(refused.value)
