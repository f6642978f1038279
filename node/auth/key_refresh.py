"""The job that keeps the keys of tokens as their issuer publishes them: read at start, then again when they are due."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from ...shared.clock import Clock
from ...shared.errors import StartError
from ...shared.waiting import wait_up_to
from .jwks import KeySet
from .jwks_reader import KeysUnreadable
from .keys import VerificationKey

_log = structlog.get_logger("tannoy.keys")


class KeyRefresh:
    """Needs `start`, and then `run` running. `keys` is the KeySource.

    `read` returns the keys by their `kid`, or None if they have not changed, and raises KeysUnreadable. `period` is the
    time between two readings, in seconds. `source` is where the keys are, for people.
    """

    def __init__(
        self,
        clock: Clock,
        read: Callable[[], Awaitable[Mapping[str, VerificationKey] | None]],
        *,
        period: float,
        source: str,
    ) -> None:
        self._due_earlier = asyncio.Event()
        self.keys = KeySet(clock, period, self._due_earlier.set)
        self._read = read
        self._source = source

    async def start(self) -> None:
        """Read the keys for the first time. Raises StartError if there are none that can be used."""
        try:
            await self._read_now()
        except KeysUnreadable as error:
            raise StartError(f"the keys of TANNOY_JWKS_URL={self._source} can't be read: {error}") from error

    async def run(self) -> None:
        """Read the keys whenever they are due, for ever. While that fails the known ones stay in use."""
        while True:
            while (seconds := self.keys.seconds_until_due()) > 0:
                self._due_earlier.clear()
                await wait_up_to(seconds, self._due_earlier)
            await self._read_again()

    async def _read_again(self) -> None:
        was_stale = self.keys.is_stale
        try:
            await self._read_now()
        except KeysUnreadable as error:
            if not was_stale:
                _log.warning(
                    "the keys of tokens can't be read: those that are known stay in use, new ones are not accepted",
                    source=self._source,
                    error=str(error),
                )
            return
        if was_stale:
            _log.info("the keys of tokens can be read again", source=self._source)

    async def _read_now(self) -> None:
        self.keys.begin()
        try:
            keys = await self._read()
        except KeysUnreadable:
            self.keys.fail()
            raise
        self.keys.accept(keys)
