"""Signatures of requests, against a value that another implementation has made."""

from tannoy.fanout.webhooks.signature import sign


def test_the_signature_is_hmac_sha256_over_time_and_body() -> None:
    # printf '1764547200.{"events":[]}' | openssl dgst -sha256 -hmac 'a secret of sixteen bytes or more'
    wanted = "8a550a4dda66967e218e5fc3665de6569e515f69d4ee8534bfd46be59cc892bb"
    assert sign(b"a secret of sixteen bytes or more", b'{"events":[]}', 1764547200) == f"t=1764547200,v1={wanted}"
