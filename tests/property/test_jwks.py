"""Whatever a key set holds, it gives keys or a ValueError with our words: the job that reads it never ends by it."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tannoy.node.auth.keys import parse_jwks

from tests.support.forged_tokens import ED25519_KEY, P256_KEY, P384_KEY, RSA_KEY, jwk_of

MEMBERS = "kty kid alg use key_ops n e d p q dp dq qi oth crv x y k x5c".split()
WORDS = (
    "none HS256 RS256 ES256 EdDSA RSA EC OKP oct P-256 P-521 secp256k1 Ed25519 Ed448 X25519 sig enc AQAB AA==".split()
)
KEYS = [jwk_of(key, kid="a") for key in (RSA_KEY, P256_KEY, P384_KEY, ED25519_KEY)]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def change(key: dict[str, Any], changed: dict[str, Any], removed: set[str]) -> dict[str, Any]:
    return {name: value for name, value in (key | changed).items() if name not in removed}


entries = st.builds(
    change,
    st.sampled_from(KEYS),
    st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=4),
    st.sets(st.sampled_from(MEMBERS), max_size=2),
)


@given(entries | json_values)
@example({"kty": "oct", "kid": "a"})
@example(KEYS[0] | {"alg": "none"})
@example(KEYS[0] | {"alg": ["RS256"]})
def test_an_entry_of_any_form_does_not_keep_another_key_from_being_used(entry: Any) -> None:
    good = jwk_of(RSA_KEY, kid="good")
    assert "good" in parse_jwks(encode({"keys": [entry, good]}))


@given(st.binary() | st.builds(encode, json_values))
@example(b'{"keys": []}')
def test_what_is_no_key_set_is_refused_in_our_words(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(it is not|none of its keys) "):
        parse_jwks(raw)
