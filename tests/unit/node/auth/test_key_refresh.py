"""The keys of tokens are read at start, and kept as their issuer publishes them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from tannoy.node.auth.jwks_reader import KeysUnreadable
from tannoy.node.auth.key_refresh import KeyRefresh
from tannoy.node.auth.keys import VerificationKey, parse_jwks
from tannoy.node.auth.token_problems import TokenRefused
from tannoy.shared.errors import StartError

from tests.support.clock import manual_clock, on_manual_time
from tests.support.forged_tokens import P256_KEY, RSA_KEY
from tests.support.key_server import key_set

PERIOD = 300.0


class Issuer:
    """Publishes keys that a test changes; None: they can't be read."""

    def __init__(self, **keys: object) -> None:
        self.keys: Mapping[str, VerificationKey] | None = parse_jwks(key_set(**keys)) if keys else None
        self.read_at: list[float] = []

    def publish(self, **keys: object) -> None:
        self.keys = parse_jwks(key_set(**keys))

    async def read(self) -> Mapping[str, VerificationKey]:
        self.read_at.append(manual_clock().monotonic())
        if self.keys is None:
            raise KeysUnreadable("it is down")
        return self.keys

    def new_refresh(self) -> KeyRefresh:
        return KeyRefresh(manual_clock(), self.read, period=PERIOD, source="https://keys.example/")

    @asynccontextmanager
    async def refreshed(self) -> AsyncGenerator[KeyRefresh]:
        refresh = self.new_refresh()
        await refresh.start()
        task = asyncio.create_task(refresh.run())
        yield refresh
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_manual_time
async def test_keys_that_can_not_be_read_stop_the_start() -> None:
    with pytest.raises(StartError, match=r"TANNOY_JWKS_URL=https://keys\.example/ can't be read: it is down"):
        await Issuer().new_refresh().start()


@on_manual_time
async def test_keys_are_read_at_start_and_each_period() -> None:
    issuer = Issuer(a=RSA_KEY)
    begun = manual_clock().monotonic()
    async with issuer.refreshed() as refresh:
        issuer.publish(a=RSA_KEY, b=P256_KEY)
        await asyncio.sleep(2 * PERIOD + 1)
        assert refresh.keys.find("b") is not None
    assert issuer.read_at == [begun, begun + PERIOD, begun + 2 * PERIOD]


@on_manual_time
async def test_an_unknown_kid_is_looked_up_soon() -> None:
    issuer = Issuer(a=RSA_KEY)
    async with issuer.refreshed() as refresh:
        await asyncio.sleep(100)
        issuer.publish(b=P256_KEY)
        with pytest.raises(TokenRefused) as refused:
            refresh.keys.find("b")
        await asyncio.sleep(refused.value.retry_after or 0)
        assert refresh.keys.find("b") is not None


@on_manual_time
async def test_forged_kids_cause_one_reading_in_10_seconds() -> None:
    issuer = Issuer(a=RSA_KEY)
    async with issuer.refreshed() as refresh:
        for number in range(100):
            with pytest.raises(TokenRefused):
                refresh.keys.find(f"forged-{number}")
            await asyncio.sleep(1)
    start, *later = issuer.read_at
    assert [read - start for read in later] == [10.0 * number for number in range(1, 11)]


@on_manual_time
async def test_an_outage_is_logged_once_and_keeps_the_known_keys() -> None:
    issuer = Issuer(a=RSA_KEY)
    published = issuer.keys
    async with issuer.refreshed() as refresh:
        with capture_logs() as logs:
            issuer.keys = None
            await asyncio.sleep(PERIOD + 301)
            assert refresh.keys.find("a") is not None
            assert refresh.keys.statistics().failed_readings == 11, "one each 30 s"
            issuer.keys = published
            await asyncio.sleep(31 + PERIOD)
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "the keys of tokens can't be read: those that are known stay in use, new ones are not accepted"),
        ("info", "the keys of tokens can be read again"),
    ]
    assert (logs[0]["source"], logs[0]["error"]) == ("https://keys.example/", "it is down")
