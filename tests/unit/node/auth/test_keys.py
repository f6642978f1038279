"""Which keys a node starts with, and which algorithms each may be used with."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tannoy.node.auth.keys import from_jwks, from_pem, from_secret
from tannoy.shared.errors import StartError

from tests.support.forged_tokens import ED25519_KEY, P256_KEY, P384_KEY, RSA_KEY, RSA_PEM, SECRET, jwk_of, pem_of


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_secret_under_32_bytes_stops_the_start(secret: str) -> None:
    with pytest.raises(StartError, match=f"TANNOY_JWT_SECRET has {len(secret)} bytes: at least 32"):
        from_secret(secret)


@pytest.mark.parametrize(
    ("length", "algorithms"), [(32, ("HS256",)), (48, ("HS256", "HS384")), (64, ("HS256", "HS384", "HS512"))]
)
def test_a_secret_is_used_with_the_algorithms_for_which_it_is_long_enough(
    length: int, algorithms: tuple[str, ...]
) -> None:
    assert from_secret("x" * length).algorithms == algorithms


def test_an_algorithm_for_which_the_secret_is_too_short_stops_the_start() -> None:
    with pytest.raises(StartError, match="has 40 bytes: HS512 needs at least 64"):
        from_secret("x" * 40, ("HS256", "HS512"))


def test_a_public_key_as_the_secret_stops_the_start() -> None:
    with pytest.raises(StartError, match="TANNOY_JWT_PUBLIC_KEY"):
        from_secret(RSA_PEM)


PRIVATE_PEM = RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SHORT_RSA_PEM = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024))
SECP256K1_PEM = pem_of(ec.generate_private_key(ec.SECP256K1()))


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "not a public key in PEM"),
        ("a secret", "not a public key in PEM"),
        (PRIVATE_PEM, "not a public key in PEM"),
        (RSA_PEM[:100], "not a public key in PEM"),
        (SHORT_RSA_PEM, "another kind"),
        (pem_of(P384_KEY), "another kind"),
        (SECP256K1_PEM, "another kind"),
    ],
    ids=["empty", "a secret", "a private key", "cut", "a short RSA key", "P-384", "secp256k1"],
)
def test_what_is_no_usable_public_key_stops_the_start(pem: str, reason: str) -> None:
    with pytest.raises(StartError, match=reason) as caught:
        from_pem(pem)
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "algorithms"), [(RSA_KEY, ("RS256",)), (P256_KEY, ("ES256",)), (ED25519_KEY, ("EdDSA",))]
)
def test_a_public_key_is_used_with_the_algorithms_of_its_kind(key: object, algorithms: tuple[str, ...]) -> None:
    assert from_pem(pem_of(key)).algorithms == algorithms


def test_algorithms_of_another_kind_stop_the_start() -> None:
    with pytest.raises(StartError, match="JWT_ALGORITHMS=RS256 does not fit TANNOY_JWT_SECRET: with it HS256"):
        from_secret(SECRET, ("RS256",))
    with pytest.raises(StartError, match="JWT_ALGORITHMS=HS256 does not fit TANNOY_JWT_PUBLIC_KEY"):
        from_pem(RSA_PEM, ("HS256",))


def test_a_key_set_gives_the_keys_that_can_be_used() -> None:
    keys = from_jwks(
        {
            "keys": [
                jwk_of(RSA_KEY, kid="rsa", alg="RS256", use="sig"),
                jwk_of(P256_KEY, kid="p256"),
                jwk_of(ED25519_KEY, kid="ed"),
                jwk_of(RSA_KEY, kid="for encryption", use="enc"),
                jwk_of(RSA_KEY, kid="of another algorithm", alg="PS256"),
                jwk_of(P384_KEY, kid="p384"),
                jwk_of(RSA_KEY),
                {"kty": "oct", "kid": "a secret", "k": "AAAA"},
                {"kty": "RSA", "kid": "broken"},
                {"kid": 1},
                "no object",
            ]
        }
    )
    assert {name: key.algorithms for name, key in keys.items()} == {
        "rsa": ("RS256",),
        "p256": ("ES256",),
        "ed": ("EdDSA",),
    }


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_key_set_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        from_jwks(document)
