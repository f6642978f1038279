"""Tokens as attackers make them: each with the problem by which it has to be refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from tannoy.node.auth.token_problems import TokenProblem

from tests.support.clock import EPOCH, START

TOKEN_NOW = int(EPOCH + START)
"""The time of a new ManualClock, in Unix seconds."""
SECRET = "a-secret-of-64-bytes-or-more-so-that-all-three-algorithms-can-use-it"
OTHER_SECRET = "another-secret-of-more-than-32-bytes-here"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
P256_KEY = ec.generate_private_key(ec.SECP256R1())
P384_KEY = ec.generate_private_key(ec.SECP384R1())
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()
GOOD: Mapping[str, Any] = {"sub": "ada", "exp": TOKEN_NOW + 600}


def pem_of(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


RSA_PEM = pem_of(RSA_KEY)


def jwk_of(key: Any, **members: str) -> dict[str, Any]:
    """The public key as an entry of a JSON Web Key Set."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        entry = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        entry = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**entry, **members}


def good_claims() -> dict[str, Any]:
    return dict(GOOD)


def encode_part(part: bytes | object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def assemble(header: bytes | object, payload: bytes | object, secret: str = SECRET) -> str:
    """A token whose HS256 signature is right, whatever its parts are."""
    signed = f"{encode_part(header)}.{encode_part(payload)}"
    return f"{signed}.{encode_part(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def signed(secret: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    return jwt.encode({**GOOD, **claims}, secret, algorithm, headers)


def with_claims(payload: bytes | object) -> str:
    return assemble({"alg": "HS256", "typ": "JWT"}, payload)


def with_header(**header: Any) -> str:
    return assemble(header, GOOD)


def unsigned(alg: str) -> str:
    return f"{encode_part({'alg': alg, 'typ': 'JWT'})}.{encode_part(GOOD)}."


def change_claims(token: str, **claims: Any) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{encode_part({**GOOD, **claims})}.{signature}"


@dataclass(frozen=True)
class Forgery:
    name: str
    token: str | None
    problem: TokenProblem


def _all(problem: TokenProblem, tokens: Mapping[str, str | None]) -> list[Forgery]:
    return [Forgery(name, token, problem) for name, token in tokens.items()]


def forged_for_a_secret() -> list[Forgery]:
    """For a verifier with SECRET, and no audience or issuer."""
    good = signed()
    header, payload, signature = good.split(".")
    return [
        *_all(TokenProblem.MISSING, {"missing": None}),
        *_all(TokenProblem.EMPTY, {"empty": ""}),
        *_all(TokenProblem.TOO_LONG, {"9 kB": signed(blob="x" * 9000), "dots": "." * 10_000, "1 MB": "a" * 1_000_000}),
        *_all(
            TokenProblem.BAD_SIGNATURE,
            {
                "another secret": signed(OTHER_SECRET),
                "no signature": f"{header}.{payload}.",
                "signature cut": good[:-3],
                "signature of another token": f"{header}.{payload}.{signed(sub='eve').split('.')[2]}",
                "claims changed": change_claims(good, sub="eve"),
                "claims and rights changed": change_claims(good, agents=["*"], can=["observe"]),
                "header changed": f"{encode_part({'alg': 'HS256', 'typ': 'jwt'})}.{payload}.{signature}",
                "header says HS512": f"{encode_part({'alg': 'HS512'})}.{payload}.{signature}",
                "alg none": unsigned("none"),
                "alg None": unsigned("None"),
                "alg NONE": unsigned("NONE"),
                "alg nOnE": unsigned("nOnE"),
                "alg none with a signature": with_header(alg="none"),
                "alg missing": with_header(typ="JWT"),
                "alg null": with_header(alg=None),
                "alg a list": with_header(alg=["HS256"]),
                "alg a number": with_header(alg=256),
                "alg empty": with_header(alg=""),
                "alg with a space": with_header(alg="HS256 "),
                "alg in lower case": with_header(alg="hs256"),
                "alg unknown": with_header(alg="HS1"),
                "alg RS256 over the secret": with_header(alg="RS256"),
                "RS256": jwt.encode(dict(GOOD), RSA_KEY, "RS256"),
                "ES256": jwt.encode(dict(GOOD), P256_KEY, "ES256"),
                "EdDSA": jwt.encode(dict(GOOD), ED25519_KEY, "EdDSA"),
                "own key in the header": signed(
                    OTHER_SECRET, headers={"jwk": {"kty": "oct", "k": encode_part(OTHER_SECRET.encode())}}
                ),
                "own key set in the header": signed(OTHER_SECRET, headers={"jku": "http://127.0.0.1:1/jwks.json"}),
                "own certificate in the header": signed(OTHER_SECRET, headers={"x5u": "http://127.0.0.1:1/cert.pem"}),
                "own certificate chain": signed(OTHER_SECRET, headers={"x5c": ["MIIB"]}),
                "kid that is a path": signed("0" * 32, headers={"kid": "../../../../dev/null"}),
                "kid that is SQL": signed("0" * 32, headers={"kid": "x' UNION SELECT '0"}),
                "signed with nothing": assemble({"alg": "HS256"}, GOOD, secret=""),
            },
        ),
        *_all(
            TokenProblem.MALFORMED,
            {
                "one part": "abc",
                "two parts": f"{header}.{payload}",
                "four parts": f"{good}.x",
                "only dots": "..",
                "spaces": f" {good}",
                "line break": f"{good}\n",
                "NUL": f"{good}\0",
                "unicode": f"{header}.{payload}.é",
                "surrogates": f"{header}.{payload}.\ud800",
                "Bearer": f"Bearer {good}",
                "JSON": json.dumps(dict(GOOD)),
                "header is no base64": f"!!!!.{payload}.{signature}",
                "header is no JSON": assemble(b"{", GOOD),
                "header is a list": assemble([], GOOD),
                "header is no UTF-8": assemble(b"\xff\xfe", GOOD),
                "header is nested": assemble(b'{"alg":' + b"[" * 2500 + b"]" * 2500 + b"}", GOOD),
                "kid is a number": with_header(alg="HS256", kid=1),
                "kid is an object": with_header(alg="HS256", kid={"a": 1}),
                "critical extension": with_header(alg="HS256", crit=["exp-not"], **{"exp-not": 1}),
                "detached payload": with_header(alg="HS256", b64=False, crit=["b64"]),
                "claims are no JSON": with_claims(b"{"),
                "claims are empty": with_claims(b""),
                "claims are a list": with_claims([]),
                "claims are a string": with_claims("sub"),
                "claims are null": with_claims(None),
                "claims are no UTF-8": with_claims(b'{"sub":"\xff","exp":9999999999}'),
                "claims hold NaN": with_claims(b'{"sub":"ada","exp":NaN}'),
                "claims hold Infinity": with_claims(b'{"sub":"ada","exp":Infinity}'),
                "claims are nested": with_claims(b"[" * 2000 + b"]" * 2000),
                "claims twice": with_claims(b'{"sub":"ada","exp":1800000600,"sub":"eve"}'),
                "an encrypted token": "a.b.c.d.e",
            },
        ),
        *_all(
            TokenProblem.EXPIRED,
            {"exp now": signed(exp=TOKEN_NOW), "exp 0": signed(exp=0), "exp past": signed(exp=TOKEN_NOW - 0.5)},
        ),
        *_all(
            TokenProblem.NOT_YET_VALID,
            {"nbf in a second": signed(nbf=TOKEN_NOW + 1), "nbf far": signed(nbf=TOKEN_NOW + 10**9)},
        ),
        *_all(TokenProblem.WRONG_AUDIENCE, {"for another service": signed(aud="billing"), "aud empty": signed(aud=[])}),
        *_all(
            TokenProblem.BAD_CLAIM,
            {
                "no exp": with_claims({"sub": "ada"}),
                "exp a string": with_claims({"sub": "ada", "exp": str(TOKEN_NOW + 600)}),
                "exp true": with_claims({"sub": "ada", "exp": True}),
                "exp null": with_claims({"sub": "ada", "exp": None}),
                "exp a list": with_claims({"sub": "ada", "exp": [TOKEN_NOW + 600]}),
                "exp negative": with_claims({"sub": "ada", "exp": -1}),
                "exp far future": with_claims({"sub": "ada", "exp": 10**18}),
                "exp beyond 64 bits": with_claims({"sub": "ada", "exp": 1e300}),
                "nbf a string": with_claims({**GOOD, "nbf": "0"}),
                "nbf null": with_claims({**GOOD, "nbf": None}),
                "no sub": with_claims({"exp": TOKEN_NOW + 600}),
                "sub empty": with_claims({**GOOD, "sub": ""}),
                "sub null": with_claims({**GOOD, "sub": None}),
                "sub a list": with_claims({**GOOD, "sub": ["ada"]}),
                "sub an object": with_claims({**GOOD, "sub": {"id": "ada"}}),
                "sub a number": with_claims({**GOOD, "sub": 7}),
                "sub with a line break": with_claims({**GOOD, "sub": "ada\nroot"}),
                "sub a pattern": with_claims({**GOOD, "sub": "*"}),
                "sub long": with_claims({**GOOD, "sub": "a" * 129}),
                "sub a look-alike": with_claims({**GOOD, "sub": "аda"}),
                "name a number": with_claims({**GOOD, "name": 1}),
                "name with a line break": with_claims({**GOOD, "name": "\n09:00:00 root"}),
                "rooms a string": with_claims({**GOOD, "rooms": "*"}),
                "rooms with a star inside": with_claims({**GOOD, "rooms": ["a*b"]}),
                "rooms of numbers": with_claims({**GOOD, "rooms": [1]}),
                "rooms an object": with_claims({**GOOD, "rooms": {"*": True}}),
                "rooms too many": with_claims({**GOOD, "rooms": ["r"] * 1001}),
                "agents true": with_claims({**GOOD, "agents": True}),
                "can unknown": with_claims({**GOOD, "can": ["publish", "admin"]}),
                "can a string": with_claims({**GOOD, "can": "publish"}),
                "can of lists": with_claims({**GOOD, "can": [["publish"]]}),
                "jti a number": with_claims({**GOOD, "jti": 1}),
                "jti empty": with_claims({**GOOD, "jti": ""}),
            },
        ),
    ]


def forged_for_a_public_key() -> list[Forgery]:
    """For a verifier with the public key of RSA_KEY."""
    sign: Callable[[Any, str], str] = lambda key, algorithm: jwt.encode(dict(GOOD), key, algorithm)  # noqa: E731
    return _all(
        TokenProblem.BAD_SIGNATURE,
        {
            "HS256 with the public key as the secret": assemble({"alg": "HS256"}, GOOD, secret=RSA_PEM),
            "HS256 with the stripped public key": assemble({"alg": "HS256"}, GOOD, secret=RSA_PEM.strip()),
            "another RSA key": sign(OTHER_RSA_KEY, "RS256"),
            "RS512 of the right key": sign(RSA_KEY, "RS512"),
            "PS256 of the right key": sign(RSA_KEY, "PS256"),
            "ES256": sign(P256_KEY, "ES256"),
            "ES384": sign(P384_KEY, "ES384"),
            "EdDSA": sign(ED25519_KEY, "EdDSA"),
            "alg none": unsigned("none"),
            "a signature of zeros": f"{encode_part({'alg': 'RS256'})}.{encode_part(GOOD)}.{encode_part(bytes(256))}",
        },
    )
