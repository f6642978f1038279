"""How requests to the target of the HTTP hooks are signed, and how a back end verifies them. Pure.

    Tannoy-Signature: t=1764547200,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd

`v1` is HMAC-SHA256 with TANNOY_HOOK_SECRET over `t`, a dot, and the body, in hexadecimal digits. `t` is when the
request was sent, in Unix seconds: whoever records a request can't send it again later.
"""

import hmac
from hashlib import sha256

SIGNATURE_HEADER = "Tannoy-Signature"
SECRET_BYTES_MIN = 32
"""Of the secret: a shorter one could be found by trying."""


def sign(secret: bytes, body: bytes, at: int) -> str:
    """The value of the header. `at` is in Unix seconds."""
    return f"t={at},v1={_digest(secret, body, str(at))}"


def _digest(secret: bytes, body: bytes, at: str) -> str:
    return hmac.new(secret, at.encode() + b"." + body, sha256).hexdigest()
