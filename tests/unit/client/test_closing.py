"""What the end of a connection means: come back or not, when, and with which error."""

import pytest
from tannoy.client.closing import describe_end, describe_refusal
from tannoy.client.errors import (
    AccessForbidden,
    ConnectionLost,
    Disconnected,
    Evicted,
    Replaced,
    SessionEnded,
    TokenRefused,
    TooManyBadFrames,
)
from tannoy.shared.codes import CLOSE_RULES, CloseCode

NO_BYE: dict[str, object] = {}


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1009, 1011, 1012, 1013, 4001, 4002, 4003, 4004, 4401, 4499])
def test_a_temporary_close_code_is_not_final(code: int) -> None:
    assert not describe_end(code, "why", NO_BYE).is_final


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1002, SessionEnded),
        (1007, SessionEnded),
        (4500, Evicted),
        (4501, TokenRefused),
        (4503, AccessForbidden),
        (4504, Disconnected),
        (4505, TooManyBadFrames),
        (4506, Replaced),
        (4999, SessionEnded),
    ],
)
def test_a_final_close_code_has_its_own_error(code: int, kind: type[SessionEnded]) -> None:
    end = describe_end(code, "why", NO_BYE)
    assert (type(end), end.is_final, end.code) == (kind, True, code)


def test_the_bye_counts_more_than_the_close_frame() -> None:
    end = describe_end(1006, "", {"code": 4001, "reason": "node is draining", "reconnect": True, "retry_after": 2})
    assert (str(end), end.code, end.retry_after, end.is_final) == ("4001 node is draining", 4001, 2.0, False)


def test_a_bye_without_reconnect_is_final_whatever_its_code() -> None:
    assert describe_end(4001, "", {"code": 4001, "reason": "for good", "reconnect": False}).is_final


def test_an_error_in_place_of_the_welcome_says_why() -> None:
    end = describe_end(4501, "bad token", NO_BYE, {"code": "bad_token", "message": "it was revoked"})
    assert str(end) == "4501 bad token: it was revoked"


def test_a_lost_connection_without_a_close_frame_is_not_final() -> None:
    end = describe_end(None, "", NO_BYE)
    assert (str(end), end.is_final) == ("1006 no close frame", False)


@pytest.mark.parametrize("code", [code for code in CLOSE_RULES if code not in (1000, 1001)])
def test_a_close_frame_without_a_bye_means_what_the_bye_would_have_said(code: CloseCode) -> None:
    assert describe_end(code, "", NO_BYE).is_final is not CLOSE_RULES[code].reconnect


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_temporary_http_status_is_not_final_and_names_its_time(status: int) -> None:
    refusal = describe_refusal(status, "3")
    assert (type(refusal), refusal.retry_after) == (ConnectionLost, 3.0)


@pytest.mark.parametrize("status", [400, 403, 404, 414, 426])
def test_another_http_status_is_final(status: int) -> None:
    refusal = describe_refusal(status, "")
    assert isinstance(refusal, SessionEnded)
    assert (refusal.code, refusal.is_final) == (status, True)


def test_a_retry_after_that_is_no_number_of_seconds_is_ignored() -> None:
    assert describe_refusal(503, "Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None
