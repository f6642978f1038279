"""Where key sets are read, and what of an address, a server or a file is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tannoy.node.auth.jwks_reader import JWKS_MAX_BYTES, FileReader, KeyReader, KeysUnreadable, UrlReader, create_reader
from tannoy.node.auth.keys import LISTED_KEYS_MAX, parse_jwks
from tannoy.shared.errors import StartError

from tests.support.certificates import Certificates
from tests.support.forged_tokens import OTHER_RSA_KEY, P384_KEY, RSA_KEY, jwk_of
from tests.support.key_server import Drip, KeyServer, key_set
from tests.support.ports import free_port

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def reader_of(value: str, *, seconds: float | None = None) -> KeyReader:
    reader = create_reader(value, parse_jwks)
    if seconds is not None:
        assert isinstance(reader, UrlReader)
        return UrlReader(reader.address, reader.proxy, reader.parse, seconds=seconds)
    return reader


def keys_of(reader: KeyReader) -> set[str] | None:
    keys = reader.read()
    return None if keys is None else set(keys)


def reason_of(reader: KeyReader) -> str:
    """Why the keys can't be read."""
    with pytest.raises(KeysUnreadable) as caught:
        reader.read()
    return str(caught.value)


# ---- an address


def test_the_keys_of_an_address_are_read_each_time() -> None:
    with KeyServer(key_set(a=RSA_KEY)).running() as server:
        reader = reader_of(f"{server.url}?tenant=1")
        assert keys_of(reader) == {"a"}
        server.body = key_set(b=RSA_KEY)
        assert keys_of(reader) == {"b"}
    assert server.requests == ["GET /jwks.json?tenant=1"] * 2


@needs_openssl
def test_the_keys_of_a_server_with_a_trusted_certificate_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority[0]))
    with KeyServer(key_set(a=RSA_KEY), certificates=certificates).running() as server:
        assert keys_of(reader_of(server.url)) == {"a"}


@needs_openssl
def test_a_server_whose_certificate_is_not_trusted_is_asked_for_nothing(tmp_path: Path) -> None:
    with KeyServer(key_set(a=RSA_KEY), certificates=Certificates(tmp_path)).running() as server:
        assert reason_of(reader_of(server.url)).startswith("the certificate of 127.0.0.1 is not trusted: ")
    assert server.requests == []


@needs_openssl
def test_a_server_whose_certificate_is_for_another_name_is_asked_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path, names="DNS:other.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority[0]))
    with KeyServer(key_set(a=RSA_KEY), certificates=certificates).running() as server:
        assert "is not trusted" in reason_of(reader_of(server.url))
    assert server.requests == []


def test_a_redirect_is_not_followed() -> None:
    with KeyServer(key_set(a=RSA_KEY)).running() as server:
        server.status, server.headers = 302, {"Location": server.url}
        assert "302, a redirect, which is not followed" in reason_of(reader_of(server.url))
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [204, 404, 500])
def test_an_answer_of_another_status_than_200_is_refused(status: int) -> None:
    with KeyServer(key_set(a=RSA_KEY)).running() as server:
        server.status = status
        assert reason_of(reader_of(server.url)) == f"the answer is {status}"


@pytest.mark.parametrize("drips", ["nothing", "head", "body"])
def test_an_answer_that_does_not_end_is_given_up_when_its_time_is_over(drips: Drip) -> None:
    """Though each read of the socket is quick."""
    with KeyServer().running() as server:
        server.drips = drips
        assert reason_of(reader_of(server.url, seconds=0.5)) == "no whole answer within 0.5 s"


def test_what_is_not_http_is_refused_without_repeating_it() -> None:
    with KeyServer().running() as server:
        server.raw = b"SSH-2.0-OpenSSH_9.6\r\n"
        assert reason_of(reader_of(server.url)) == "no answer: what came is not HTTP (BadStatusLine)"


def test_an_answer_that_is_cut_is_refused() -> None:
    with KeyServer(key_set(a=RSA_KEY)[:-10]).running() as server:
        server.headers = {"Content-Length": str(len(server.body) + 10)}
        assert "not JSON" in reason_of(reader_of(server.url))


def test_a_server_that_is_not_there_is_named_as_the_reason() -> None:
    assert "Connection refused" in reason_of(reader_of(f"http://127.0.0.1:{free_port()}/jwks.json"))


def test_a_host_that_no_name_is_like_is_refused() -> None:
    assert reason_of(reader_of(f"https://{'a' * 64}.example/")).startswith("no answer: ")


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with KeyServer().running() as proxy:
        proxy.status = 407
        monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{proxy.port}")
        reader = reader_of("https://keys.example/jwks.json")
        assert "407" in reason_of(reader)
    assert proxy.requests == ["CONNECT keys.example:443"]
    assert str(reader) == f"https://keys.example/jwks.json through the proxy 127.0.0.1:{proxy.port} (https_proxy)"


def test_what_people_see_of_an_address_has_no_query() -> None:
    assert str(reader_of("https://keys.example/jwks.json?token=secret")) == "https://keys.example/jwks.json"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("http://keys.example/jwks.json", "begins with http://"),
        ("http://127.0.0.1.example/", "begins with http://"),
        ("ftp://127.0.0.1/jwks.json", "is no address"),
        ("file:///etc/jwks.json", "is no address"),
        ("https://", "is no address"),
        ("https://[::1", "is no address"),
        ("https://keys.example:99999/", "is no address"),
        ("https://keys.example/a b", "is no address"),
        ("https://keys.example/\n", "is no address"),
        ("https://me:hunter2@keys.example/", "has a user or password"),
    ],
)
def test_an_address_that_can_not_be_used_stops_the_start(value: str, sentence: str) -> None:
    with pytest.raises(StartError, match=f"TANNOY_JWKS_URL {sentence}") as caught:
        reader_of(value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_address_of_this_machine_needs_no_https(host: str) -> None:
    assert str(reader_of(f"http://{host}:8080/jwks.json")) == f"http://{host}:8080/jwks.json"


# ---- a file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(a=RSA_KEY))
    return path


def test_a_file_is_read_again_only_if_it_has_changed(file: Path) -> None:
    reader = reader_of(str(file))
    assert isinstance(reader, FileReader)
    assert keys_of(reader) == {"a"}
    assert keys_of(reader) is None
    file.write_bytes(key_set(a=RSA_KEY, b=OTHER_RSA_KEY))
    assert keys_of(reader) == {"a", "b"}


def test_a_file_that_was_written_with_the_same_size_is_read_again(file: Path) -> None:
    reader = reader_of(str(file))
    assert keys_of(reader) == {"a"}
    file.write_bytes(key_set(b=RSA_KEY))
    os.utime(file, ns=(0, 1))
    assert keys_of(reader) == {"b"}


def test_a_file_that_could_not_be_read_is_read_once_it_can(file: Path) -> None:
    whole = file.read_bytes()
    reader = reader_of(str(file))
    file.write_bytes(whole[:20])
    assert "not JSON" in reason_of(reader)
    assert "not JSON" in reason_of(reader), "it has not changed, and still can't be read"
    file.write_bytes(whole)
    assert keys_of(reader) == {"a"}


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no file" in reason_of(reader_of(str(tmp_path / "pipe")))


@pytest.mark.parametrize(("path", "reason"), [("/no/such/file", "No such file"), ("/", "no file"), ("a\0b", "no path")])
def test_a_file_that_is_none_is_named_as_the_reason(path: str, reason: str) -> None:
    assert reason in reason_of(reader_of(path))


# ---- what stands in it

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON"),
    "a page": (b"<html>login</html>", "not JSON"),
    "no UTF-8": (b'{"keys": "\xff"}', "not JSON"),
    "nested": (b"[" * 100_000, "nests too deep"),
    "nested keys": (b'{"keys": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nests too deep"),
    "a long number": (b'{"keys": ' + b"1" * 5000 + b"}", "not JSON"),
    "a list": (b"[]", "not a JWKS"),
    "another object": (b'{"issuer": "https://id.example"}', "not a JWKS"),
    "no key": (b'{"keys": []}', "none of its keys can be used"),
    "keys that are none": (b'{"keys": [1, null, [], {}, "a"]}', "none of its keys can be used"),
    "a key for another curve": (key_set(a=P384_KEY), "none of its keys can be used"),
    "a secret": (b'{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}', "none of its keys can be used"),
    "a private key": (
        json.dumps({"keys": [{"kid": "a", "d": "AQAB", **jwk_of(RSA_KEY)}]}).encode(),
        "none of its keys can be used",
    ),
    "too many keys": (json.dumps({"keys": [{}] * (LISTED_KEYS_MAX + 1)}).encode(), "more than 100 keys"),
    "too large": (key_set(a=RSA_KEY) + b" " * JWKS_MAX_BYTES, "more than 262144 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_set_that_can_not_be_used_is_refused_with_its_reason(name: str, file: Path) -> None:
    content, reason = HOSTILE[name]
    file.write_bytes(content)
    assert reason in reason_of(reader_of(str(file)))
    with KeyServer(content).running() as server:
        assert reason in reason_of(reader_of(server.url))


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256", "", None, 5, ["RS256"], {"RS256": 1}])
def test_a_key_of_an_algorithm_that_can_not_be_used_is_skipped(alg: object, file: Path) -> None:
    usable, other = jwk_of(RSA_KEY, kid="a"), {**jwk_of(RSA_KEY, kid="b"), "alg": alg}
    file.write_text(json.dumps({"keys": [other, usable]}))
    assert keys_of(reader_of(str(file))) == {"a"}
