"""Credential providers: asked for each connection, in a thread if they are synchronous; what they may do wrong."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.credentials import CredentialProvider, UsernamePasswordCredentialProvider
from tannoy.fanout.redis.credentials import CREDENTIALS_TIMEOUT, ProvidedCredentials, load_credentials
from tannoy.fanout.redis.errors import CannotConnect

from tests.support.clock import on_manual_time, turns
from tests.support.waiting import eventually


class Synchronous(CredentialProvider):
    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer
        self.threads: list[threading.Thread] = []

    def get_credentials(self) -> Any:
        self.threads.append(threading.current_thread())
        return self.answer()


class Asynchronous(CredentialProvider):
    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.go_on = asyncio.Event()
        self.calls = 0

    async def get_credentials_async(self) -> Any:
        self.calls += 1
        await self.go_on.wait()
        return next(self.answers)


class AsynchronousThatCallsTheOther(UsernamePasswordCredentialProvider):
    """Its class defines only the synchronous one, so the inherited asynchronous one must not be called."""

    def get_credentials(self) -> Any:
        return threading.current_thread().name, "secret"


def fail() -> Any:
    raise PermissionError("the role may not ask for tokens")


async def given(provider: CredentialProvider) -> tuple[str, str]:
    return await ProvidedCredentials(provider, "m:a").get()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("app", "token"), ("app", "token")),
        (("token",), ("default", "token")),
        (("", "token"), ("default", "token")),
    ],
)
async def test_user_and_password_are_those_of_the_provider(answer: Any, expected: tuple[str, str]) -> None:
    assert await given(Synchronous(lambda: answer)) == expected


async def test_each_connection_asks_anew() -> None:
    tokens = iter(("first", "second"))
    credentials = ProvidedCredentials(Synchronous(lambda: ("app", next(tokens))), "m:a")
    assert [await credentials.get(), await credentials.get()] == [("app", "first"), ("app", "second")]


async def test_a_synchronous_provider_is_asked_in_a_thread() -> None:
    provider = Synchronous(lambda: ("app", "token"))
    await given(provider)
    assert threading.main_thread() not in provider.threads
    user, _ = await given(AsynchronousThatCallsTheOther())
    assert user != threading.main_thread().name


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (fail, "TANNOY_REDIS_CREDENTIALS=m:a gives no credentials: PermissionError: the role may not ask for tokens"),
        (lambda: None, "TANNOY_REDIS_CREDENTIALS=m:a gives NoneType, and no tuple"),
        (lambda: "secret", "TANNOY_REDIS_CREDENTIALS=m:a gives str, and no tuple"),
        (lambda: ("app", b"secret"), "TANNOY_REDIS_CREDENTIALS=m:a gives tuple, and no tuple"),
    ],
)
async def test_a_provider_without_credentials_is_an_error_of_one_sentence(
    answer: Callable[[], Any], complaint: str
) -> None:
    with pytest.raises(CannotConnect, match=f"^{complaint}") as caught:
        await given(Synchronous(answer))
    assert "secret" not in str(caught.value)


@on_manual_time
async def test_a_provider_that_hangs_fails_the_attempt_and_blocks_one_thread() -> None:
    release = threading.Event()
    provider = Synchronous(lambda: release.wait() and ("app", "token"))
    credentials = ProvidedCredentials(provider, "m:a")
    try:
        for _ in range(5):
            attempts = await asyncio.gather(*(credentials.get() for _ in range(4)), return_exceptions=True)
            assert {str(attempt) for attempt in attempts} == {
                f"TANNOY_REDIS_CREDENTIALS=m:a has given no credentials within {CREDENTIALS_TIMEOUT:g} s"
            }
        assert len(provider.threads) == 1
        assert provider.threads[0].daemon, "it does not keep the process from ending"
    finally:
        release.set()


@on_manual_time
async def test_a_provider_that_takes_longer_than_an_attempt_is_heard_by_the_next_one() -> None:
    provider = Asynchronous(("app", "late"), ("app", "fresh"))
    credentials = ProvidedCredentials(provider, "m:a")
    with pytest.raises(CannotConnect):
        await credentials.get()
    provider.go_on.set()
    await turns()

    assert await credentials.get() == ("app", "late")
    assert await credentials.get() == ("app", "fresh")
    assert provider.calls == 2


async def test_a_provider_that_answers_after_its_loop_has_ended_disturbs_nobody() -> None:
    release = threading.Event()
    provider = Synchronous(lambda: release.wait() and ("app", "token"))

    def run_and_give_up() -> None:
        async def ask() -> None:
            asking = asyncio.ensure_future(given(provider))
            await eventually(has_begun, what="the provider is asked")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        async def has_begun() -> bool:
            return bool(provider.threads)

        asyncio.run(ask())

    await asyncio.to_thread(run_and_give_up)
    release.set()
    await asyncio.to_thread(provider.threads[0].join)


# ---- by its name


INSTANCE = UsernamePasswordCredentialProvider("app", "from the instance")


class ByClass(CredentialProvider):
    def get_credentials(self) -> tuple[str, str]:
        return "app", "from the class"


def by_function() -> CredentialProvider:
    return UsernamePasswordCredentialProvider("app", "from the function")


def by_failing_function() -> CredentialProvider:
    raise KeyError("AWS_REGION")


NOT_A_PROVIDER = "text"


@pytest.mark.parametrize(
    ("attribute", "password"),
    [("INSTANCE", "from the instance"), ("ByClass", "from the class"), ("by_function", "from the function")],
)
async def test_a_name_leads_to_an_instance_a_class_or_a_function(
    attribute: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await load_credentials(f"{__name__}:{attribute}").get() == ("app", password)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere_at_all:A", "has no module nowhere_at_all: it has to be installed, or on PYTHONPATH"),
        (f"{__name__}:Missing", "can't be used: AttributeError"),
        (f"{__name__}:by_failing_function", "can't be used: KeyError: 'AWS_REGION'"),
        (f"{__name__}:NOT_A_PROVIDER", "can't be used: TypeError"),
        (f"{__name__}:dict", "can't be used: AttributeError"),
        ("builtins:dict", "is no redis.CredentialProvider, and no class or function that returns one"),
    ],
)
def test_a_name_that_leads_to_no_provider_is_a_value_error(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        load_credentials(name)
