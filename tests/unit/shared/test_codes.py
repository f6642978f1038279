"""docs/protocol.md §4 and §5: the error codes and the close codes are those of the tables there."""

import pytest
from tannoy.shared.codes import CLOSE_RULES, HTTP_STATUS, CloseCode, ErrorCode

COME_BACK, STAY_AWAY = True, False

OF_THE_CONTRACT = [
    (1000, "normal", None),
    (1001, "page left", None),
    (1002, "protocol error", STAY_AWAY),
    (1007, "invalid UTF-8 in a text frame", STAY_AWAY),
    (1009, "message too large", COME_BACK),
    (1013, "connection limit or rate reached, node overloaded, or Redis not available", COME_BACK),
    (4001, "node is draining", COME_BACK),
    (4002, "too slow to read", COME_BACK),
    (4003, "no pong", COME_BACK),
    (4004, "session state lost", COME_BACK),
    (4401, "token expired", COME_BACK),
    (4500, "evicted: a newer session took the place", STAY_AWAY),
    (4501, "bad token", STAY_AWAY),
    (4503, "forbidden", STAY_AWAY),
    (4504, "disconnected by an operator", STAY_AWAY),
    (4505, "too many bad frames", STAY_AWAY),
    (4506, "replaced: the same session connected again", STAY_AWAY),
]

ERROR_CODES = (
    "bad_request bad_name bad_token token_expired forbidden not_joined already_joined too_large rate_limited"
    " limit_reached unavailable internal"
)


@pytest.mark.parametrize(("code", "reason", "reconnect"), OF_THE_CONTRACT)
def test_a_close_code_has_the_documented_reason_and_reconnect(code: int, reason: str, reconnect: bool | None) -> None:
    rule = CLOSE_RULES[CloseCode(code)]
    assert rule.reason == reason
    assert reconnect is None or rule.reconnect is reconnect


def test_every_close_code_from_4000_is_documented() -> None:
    assert {int(code) for code in CloseCode if code >= 4000} == {code for code, _, _ in OF_THE_CONTRACT if code >= 4000}


def test_the_only_undocumented_close_code_is_the_internal_error_of_rfc_6455() -> None:
    # §7.4.1: internal error.
    assert {int(code) for code in CloseCode} - {code for code, _, _ in OF_THE_CONTRACT} == {1011}


@pytest.mark.parametrize("code", [code for code in CloseCode if code >= 4000], ids=int)
def test_the_range_of_a_close_code_says_whether_to_reconnect(code: CloseCode) -> None:
    assert CLOSE_RULES[code].reconnect is (code < 4500)


@pytest.mark.parametrize("code", CloseCode, ids=int)
def test_every_close_code_has_a_rule(code: CloseCode) -> None:
    assert CLOSE_RULES[code].reason


@pytest.mark.parametrize("code", CloseCode, ids=int)
def test_every_reason_fits_into_a_close_frame(code: CloseCode) -> None:
    assert len(CLOSE_RULES[code].reason.encode()) <= 123


def test_the_error_codes_are_the_documented_ones() -> None:
    assert {code.value for code in ErrorCode} == set(ERROR_CODES.split())


@pytest.mark.parametrize("code", ErrorCode)
def test_every_error_code_has_an_http_status_of_4xx_or_5xx(code: ErrorCode) -> None:
    assert 400 <= HTTP_STATUS[code] <= 599


def test_only_unavailable_and_internal_have_an_http_status_of_5xx() -> None:
    assert {code for code in ErrorCode if HTTP_STATUS[code] >= 500} == {ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL}
