"""The settings of tokens: which of them verify, and what stops the start."""

import re
from pathlib import Path
from typing import Unpack

import pytest
from tannoy.node.auth.claims import Claims
from tannoy.node.auth.token_problems import TokenRefused
from tannoy.node.auth.token_settings import create_verifier
from tannoy.node.auth.verifier import TokenVerifier
from tannoy.shared.errors import StartError
from tannoy.shared.settings import Settings, SettingValues

from tests.support.clock import ManualClock
from tests.support.forged_tokens import RSA_KEY, RSA_PEM, SECRET, signed


def no_revocations(claims: Claims) -> bool:
    return False


def verifier_of(**values: Unpack[SettingValues]) -> TokenVerifier:
    settings = Settings(**values).model_copy(update={"auth": "jwt"})
    verifier = create_verifier(settings, ManualClock(), no_revocations)
    assert verifier is not None
    return verifier


def test_without_tokens_there_is_no_verifier() -> None:
    assert create_verifier(Settings(jwt_secret=SECRET), ManualClock(), no_revocations) is None


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


BAD: dict[str, tuple[SettingValues, str]] = {
    "no key": ({}, "TANNOY_AUTH=jwt needs a key"),
    "two keys": ({"jwt_secret": SECRET, "jwt_public_key": RSA_PEM}, "both set"),
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
