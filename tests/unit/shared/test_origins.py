"""Which pages may connect: origins as browsers send them, against what the setting and the Host header say."""

import pytest
from tannoy.shared.origins import AllowedOrigins, check_allowed_origin, is_of_host, normalize_origin


@pytest.mark.parametrize(
    ("origin", "normalized"),
    [
        ("https://chat.example", "https://chat.example"),
        ("HTTPS://Chat.Example:443", "https://chat.example"),
        ("http://chat.example:080", "http://chat.example"),
        ("http://chat.example:443", "http://chat.example:443"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefghij", "chrome-extension://abcdefghij"),
        ("app://.", "app://."),
        ("null", "null"),
    ],
)
def test_an_origin_is_normalized_as_browsers_write_it(origin: str, normalized: str) -> None:
    assert normalize_origin(origin) == normalized


@pytest.mark.parametrize(
    "origin",
    ["", "*", "chat.example", "https://", "https:///", "https://a/", "https://a?", "https://a@b", "https://a:0",
     "https://a:65536", "https://a b", "https://[::g]", "https://a\n", "file://", "https://b\xfccher.example"],
    ids=ascii,
)  # fmt: skip
def test_a_text_that_is_no_origin_has_no_normal_form(origin: str) -> None:
    assert normalize_origin(origin) is None


@pytest.mark.parametrize(
    ("origin", "host", "served"),
    [
        ("https://chat.example", "chat.example:443", True),
        ("https://chat.example:443", "Chat.Example", True),
        ("http://chat.example:8000", "chat.example:8000", True),
        ("http://chat.example", "chat.example:443", False),
        ("http://chat.example", "chat.example:8000", False),
        ("capacitor://localhost", "localhost", False),
        ("null", "null", False),
        ("http://", "", False),
    ],
)
def test_a_page_is_of_a_host_if_scheme_and_port_fit(origin: str, host: str, served: bool) -> None:
    assert is_of_host(origin, host) is served


ALLOWED = AllowedOrigins(("https://*.below.example", "http://*.dev.example:3000", "https://A.example:443", "null"))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example", True),
        ("https://a.example:8443", False),
        ("http://a.example", False),
        ("null", True),
        ("https://x.below.example", True),
        ("https://x.y.BELOW.example", True),
        ("https://below.example", False),
        ("https://.below.example", False),
        ("https://evilbelow.example", False),
        ("https://x.below.example.evil.example", False),
        ("https://x.below.example:8443", False),
        ("http://x.below.example", False),
        ("http://x.dev.example:3000", True),
        ("http://x.dev.example", False),
        ("", False),
    ],
)
def test_an_origin_is_allowed_if_an_entry_matches_it(origin: str, allowed: bool) -> None:
    assert ALLOWED.allow(origin) is allowed


def test_a_star_allows_whatever_is_sent_as_an_origin() -> None:
    assert AllowedOrigins(("https://a.example", "*")).allow("not an origin")


def test_without_entries_nothing_is_listed() -> None:
    assert (bool(AllowedOrigins(())), bool(ALLOWED), bool(AllowedOrigins(("*",)))) == (False, True, True)


@pytest.mark.parametrize(
    "entry",
    ["*", "null", "https://a.example", "https://A.example:443", "http://10.0.0.1:8000", "http://[::1]:8000",
     "http://localhost:3000", "capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://.",
     "moz-extension://5f3a-11", "https://*.a.example", "https://*.a.example:8443", "https://a.example."],
)  # fmt: skip
def test_an_entry_that_an_origin_can_match_is_accepted(entry: str) -> None:
    check_allowed_origin(entry)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("a.example", "is not an origin"),
        ("https://a.example/chat", "is not an origin"),
        ("https://ada@a.example", "is not an origin"),
        ("https://a.example:99999", "is not an origin"),
        ("https://*", "is not an origin"),
        ("https://a.*.example", "is not an origin"),
        ("file://", "null for pages that have none"),
        ("https://b\xfccher.example", "xn--"),
        ("https://a..example", "'a..example' is not a host name"),
        ("https://10.0.0", "'10.0.0' is not a host name"),
        ("https://*.10.0.0.1", "'10.0.0.1' is not a host name"),
    ],
    ids=ascii,
)
def test_an_entry_that_no_origin_can_match_is_refused_with_what_is_allowed(entry: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"(is not|can't match)") as caught:
        check_allowed_origin(entry)
    assert repr(entry) in str(caught.value)
    assert sentence in str(caught.value)
