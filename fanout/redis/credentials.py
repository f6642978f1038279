"""User and password from a credential provider of redis-py: tokens that run out, passwords that are rotated.

The setting `REDIS_CREDENTIALS` names one as `module:attribute`. It is asked for each connection anew, and may fail or
hang: then the attempt to connect fails, and the next one asks again.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import CannotConnect

if TYPE_CHECKING:
    from redis.credentials import CredentialProvider

SETTING = "TANNOY_REDIS_CREDENTIALS"
CREDENTIALS_TIMEOUT = 3.0
"""Seconds that an attempt to connect waits for credentials: less than the 5 that a step of a node's start may take."""
SAID_MAX = 300
"""Characters of a provider's own error that are shown."""


class ProvidedCredentials:
    """Asks one provider. `name` is that of the setting.

    One call is under way at a time, however many connections wait for it: a provider that hangs occupies one thread.
    """

    def __init__(self, provider: "CredentialProvider", name: str) -> None:
        self.name = name
        self._provider = provider
        self._call: asyncio.Future[Any] | None = None

    def __str__(self) -> str:
        return f"{SETTING}={self.name}"

    async def get(self, within: float = CREDENTIALS_TIMEOUT) -> tuple[str, str]:
        """(user, password). Raises CannotConnect if the provider raises, or gives none within so many seconds.

        A call that takes longer goes on, and whoever asks next gets its result.
        """
        if self._call is None:
            self._call = self._ask()
        call = self._call
        await asyncio.wait((call,), timeout=within)
        if not call.done():
            raise CannotConnect(f"{self} has given no credentials within {within:g} s")
        if self._call is call:
            self._call = None
        if (error := call.exception()) is not None:
            said = f"{type(error).__name__}: {error}"[:SAID_MAX]
            raise CannotConnect(f"{self} gives no credentials: {said}") from error
        return self._read(call.result())

    def _ask(self) -> "asyncio.Future[Any]":
        if _is_asynchronous(self._provider):
            return asyncio.ensure_future(self._provider.get_credentials_async())
        return asyncio.wrap_future(_call_in_thread(self._provider.get_credentials))

    def _read(self, credentials: object) -> tuple[str, str]:
        match credentials:
            case [str() as password]:
                return "default", password
            case [str() as user, str() as password]:
                return user or "default", password
            case _:
                raise CannotConnect(
                    f"{self} gives {type(credentials).__name__}, and no tuple (user, password)"
                    " or (password,) of strings"
                )


def _is_asynchronous(provider: "CredentialProvider") -> bool:
    """Which of its two methods the provider's class defines; redis-py's own asynchronous one only calls the other."""
    from redis.credentials import CredentialProvider

    for each in type(provider).__mro__:
        if each is CredentialProvider:
            break
        if "get_credentials_async" in vars(each):
            return True
        if "get_credentials" in vars(each):
            return False
    return False


def _call_in_thread(function: Callable[[], Any]) -> "Future[Any]":
    """The thread is a daemon: one that hangs does not keep the process from ending."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # the provider is not ours: whatever it raises is reported by who waits for it
            outcome.set_exception(error)

    threading.Thread(target=run, name="redis-credentials", daemon=True).start()
    return outcome


def load_credentials(name: str) -> ProvidedCredentials:
    """The provider that `module:attribute` names: an instance, or a class or function that returns one.

    Raises ValueError: its message says what is wrong, and continues a sentence that begins with the name.
    """
    from redis.credentials import CredentialProvider

    module_name, _, path = name.partition(":")
    try:
        found: Any = import_module(module_name)
        for attribute in path.split("."):
            found = getattr(found, attribute)
        provider = found if isinstance(found, CredentialProvider) else found()
    except ModuleNotFoundError as error:
        raise ValueError(f"has no module {error.name}: it has to be installed, or on PYTHONPATH") from error
    except Exception as error:  # importing and making it runs code that is not ours
        raise ValueError(f"can't be used: {type(error).__name__}: {error}"[:SAID_MAX]) from error
    if not isinstance(provider, CredentialProvider):
        raise ValueError("is no redis.CredentialProvider, and no class or function that returns one")
    return ProvidedCredentials(provider, name)
