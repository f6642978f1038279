"""How many handshakes an address may make, and which address that is."""

import pytest
from structlog.testing import capture_logs
from tannoy.node.admission.connect_rates import ADDRESSES_MAX, ANSWER_DELAY, REFUSED_AT_ONCE, ConnectRates
from tannoy.node.admission.handshake import Handshake, Rejected
from tannoy.node.admission.refusals import Reason
from tannoy.node.auth.trusted_proxies import NO_PROXIES, TrustedProxies
from tannoy.shared.codes import ErrorCode
from tannoy.shared.ip_addresses import parse_network
from tannoy.shared.rates import NO_LIMIT, Rate

from tests.support.clock import ManualClock

RATE = Rate(2)
AT_ONCE = 10
PROXIES = TrustedProxies([parse_network("10.0.0.0/8"), parse_network("127.0.0.1")])


def from_peer(peer: str | None, forwarded_for: str | None = None) -> Handshake:
    headers = {"host": "chat.example"} | ({} if forwarded_for is None else {"x-forwarded-for": forwarded_for})
    return Handshake("/ws", "", headers, client_host=peer)


def count_admitted(rates: ConnectRates, handshake: Handshake, attempts: int = 100) -> int:
    return sum(rates.find_refusal(handshake) is None for _ in range(attempts))


def rates_of(rate: Rate = RATE, proxies: TrustedProxies = NO_PROXIES) -> ConnectRates:
    return ConnectRates(rate, proxies, ManualClock())


def test_five_times_the_rate_is_admitted_at_once_and_the_next_one_is_told_when_to_come_back() -> None:
    clock = ManualClock()
    rates = ConnectRates(RATE, NO_PROXIES, clock)
    assert count_admitted(rates, from_peer("203.0.113.7")) == AT_ONCE
    refused = rates.find_refusal(from_peer("203.0.113.7"))

    assert isinstance(refused, Rejected)
    assert (refused.status, refused.reason, dict(refused.headers)) == (429, Reason.RATE_LIMITED, {"Retry-After": "1"})
    assert (refused.refusal.code, refused.refusal.retry_after) == (ErrorCode.RATE_LIMITED, 0.5)
    assert refused.refusal.message == "too many handshakes from this address: 2/s are allowed"
    clock.advance(0.5)
    assert count_admitted(rates, from_peer("203.0.113.7")) == 1


def test_each_address_has_a_rate_of_its_own() -> None:
    rates = rates_of()
    count_admitted(rates, from_peer("203.0.113.7"))

    assert count_admitted(rates, from_peer("203.0.113.8")) == AT_ONCE


def test_all_addresses_of_an_ipv6_network_of_64_bits_are_one() -> None:
    rates = rates_of()
    count_admitted(rates, from_peer("2001:db8:0:1::1"))

    assert count_admitted(rates, from_peer("2001:db8:0:1:ffff::2")) == 0
    assert count_admitted(rates, from_peer("2001:db8:0:2::1")) == AT_ONCE


def test_an_ipv4_address_is_the_same_in_ipv6_notation() -> None:
    rates = rates_of()
    count_admitted(rates, from_peer("203.0.113.7"))

    assert count_admitted(rates, from_peer("::ffff:203.0.113.7")) == 0


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None])
def test_clients_on_this_machine_and_of_a_unix_socket_are_not_counted(peer: str | None) -> None:
    assert count_admitted(rates_of(), from_peer(peer)) == 100


def test_a_rate_of_0_is_no_limit() -> None:
    assert count_admitted(rates_of(NO_LIMIT), from_peer("203.0.113.7")) == 100


@pytest.mark.parametrize("proxy", ["10.1.2.3", "127.0.0.1"])
def test_clients_of_a_trusted_proxy_are_counted_by_the_address_that_it_has_forwarded(proxy: str) -> None:
    rates = rates_of(proxies=PROXIES)

    assert count_admitted(rates, from_peer(proxy, "203.0.113.7")) == AT_ONCE
    assert count_admitted(rates, from_peer(proxy, "203.0.113.8")) == AT_ONCE
    assert count_admitted(rates, from_peer(proxy, "127.0.0.2")) == AT_ONCE
    assert count_admitted(rates, from_peer("203.0.113.7")) == 0


def test_a_client_gains_nothing_by_a_header_of_its_own() -> None:
    rates = rates_of(proxies=PROXIES)

    assert sum(rates.find_refusal(from_peer("203.0.113.7", f"192.0.2.{n}")) is None for n in range(100)) == AT_ONCE
    behind = (from_peer("10.1.2.3", f"192.0.2.{n}, 203.0.113.9") for n in range(100))
    assert sum(rates.find_refusal(handshake) is None for handshake in behind) == AT_ONCE


def test_where_a_trusted_proxy_names_nobody_its_own_address_counts() -> None:
    rates = rates_of(proxies=PROXIES)

    assert count_admitted(rates, from_peer("127.0.0.1", "unknown")) == AT_ONCE
    assert count_admitted(rates, from_peer("127.0.0.1")) == 0


# ---- the table of addresses


def test_addresses_that_may_make_all_handshakes_again_are_forgotten() -> None:
    clock = ManualClock()
    rates = ConnectRates(RATE, NO_PROXIES, clock)
    for number in range(100):
        rates.find_refusal(from_peer(f"203.0.113.{number}"))
    assert len(rates) == 100
    clock.advance(0.5)
    rates.find_refusal(from_peer("192.0.2.1"))

    assert len(rates) == 1


def test_in_a_full_table_the_address_that_has_been_silent_longest_is_forgotten() -> None:
    rates = ConnectRates(RATE, NO_PROXIES, ManualClock(), maximum=2)
    count_admitted(rates, from_peer("203.0.113.1"))
    count_admitted(rates, from_peer("203.0.113.2"))
    rates.find_refusal(from_peer("203.0.113.1"))
    rates.find_refusal(from_peer("203.0.113.3"))

    assert len(rates) == 2
    assert rates.find_refusal(from_peer("203.0.113.1")) is not None
    assert rates.find_refusal(from_peer("203.0.113.2")) is None


def test_the_table_is_bounded() -> None:
    rates = rates_of()
    for number in range(ADDRESSES_MAX + 100):
        rates.find_refusal(from_peer(f"20.{number >> 16}.{number >> 8 & 255}.{number & 255}"))

    assert len(rates) == ADDRESSES_MAX


# ---- a proxy that is not listed


def test_a_peer_that_seems_to_be_a_proxy_and_is_not_listed_is_reported_once() -> None:
    rates = rates_of()
    with capture_logs() as lines:
        rates.find_refusal(from_peer("203.0.113.7"))
        for _ in range(3):
            rates.find_refusal(from_peer("10.1.2.3", "203.0.113.7"))

    assert [(line["log_level"], line["peer"]) for line in lines] == [("warning", "10.1.2.3")]
    assert "TANNOY_TRUSTED_PROXIES" in lines[0]["event"]


def test_a_listed_proxy_is_not_reported() -> None:
    with capture_logs() as lines:
        rates_of(proxies=PROXIES).find_refusal(from_peer("10.1.2.3", "203.0.113.7"))

    assert lines == []


# ---- clients that send too much


def test_an_address_makes_no_handshake_while_it_pays_for_a_session_that_was_closed_for_sending_too_much() -> None:
    clock = ManualClock()
    rates = ConnectRates(RATE, NO_PROXIES, clock)
    assert count_admitted(rates, from_peer("203.0.113.7"), 1) == 1
    assert count_admitted(rates, from_peer("203.0.113.8"), 1) == 1
    for _ in range(3):
        rates.charge("203.0.113.7")

    clock.advance(AT_ONCE / RATE.count * RATE.seconds)
    assert count_admitted(rates, from_peer("203.0.113.7")) == 0
    clock.advance(1 / RATE.count * RATE.seconds)
    assert count_admitted(rates, from_peer("203.0.113.7")) == 1
    assert count_admitted(rates, from_peer("203.0.113.8")) == AT_ONCE


def test_a_client_behind_a_proxy_is_charged_and_not_its_proxy() -> None:
    rates = rates_of(proxies=PROXIES)
    assert count_admitted(rates, from_peer("10.1.2.3", "203.0.113.7"), 1) == 1
    rates.charge("203.0.113.7")

    assert count_admitted(rates, from_peer("10.1.2.3", "203.0.113.7")) == 0
    assert count_admitted(rates, from_peer("10.1.2.3", "203.0.113.8")) == AT_ONCE


@pytest.mark.parametrize("host", [None, "", "127.0.0.1", "203.0.113.7"])
def test_a_client_that_is_not_counted_is_not_charged(host: str | None) -> None:
    rates = rates_of()
    rates.charge(host)

    assert len(rates) == 0


def _delays(rates: ConnectRates, attempts: int, peer: str = "203.0.113.7") -> list[float]:
    """Of the refusals among so many handshakes."""
    decisions = [rates.find_refusal(from_peer(peer)) for _ in range(attempts)]
    return [rejected.delay for rejected in decisions if rejected is not None]


def test_an_address_that_goes_on_after_many_refusals_is_answered_late_and_others_are_not() -> None:
    rates = rates_of()
    assert _delays(rates, AT_ONCE + REFUSED_AT_ONCE) == [0.0] * REFUSED_AT_ONCE
    assert _delays(rates, 3) == [ANSWER_DELAY] * 3
    assert _delays(rates, AT_ONCE + 1, "203.0.113.8") == [0.0]


def test_an_address_that_has_kept_to_its_rate_since_is_answered_at_once_again() -> None:
    clock = ManualClock()
    rates = ConnectRates(RATE, NO_PROXIES, clock)
    _delays(rates, AT_ONCE + 100 * REFUSED_AT_ONCE)
    for _ in range(2 * REFUSED_AT_ONCE):
        clock.advance(RATE.interval)
        assert rates.find_refusal(from_peer("203.0.113.7")) is None
    assert _delays(rates, 1) == [0.0]
