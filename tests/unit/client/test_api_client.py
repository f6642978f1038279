"""The content of a message as the command line reads it, and the repetition of unconfirmed messages."""

import random
import time
from typing import Any

import pytest
from tannoy.client.api_client import BACKOFF_CAP, TRIES, ApiClient, parse_content
from tannoy.client.errors import ClientError, NoAnswer, Unconfirmed
from tannoy.shared.errors import BadRequest

PATH = "/api/v1/rooms/lobby/messages"
CONFIRMED = {"epoch": "e1", "offset": 7}


class ScriptedClient(ApiClient):
    """Answers its POSTs with these results, one after the other: an answer, or an error to raise."""

    def __init__(self, *results: dict[str, Any] | ClientError) -> None:
        super().__init__("http://127.0.0.1:8000", "")
        self._results = iter(results)
        self.bodies: list[dict[str, Any]] = []

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self.bodies.append(body)
        result = next(self._results)
        if isinstance(result, ClientError):
            raise result
        return result


def _ignore(report: str) -> None:
    """Takes the report of an unconfirmed try."""


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept, with the longest jitter each time."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    monkeypatch.setattr(random, "uniform", max)
    return seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"hi": [1, null]}', {"hi": [1, None]}),
        ("42", 42),
        ('"quoted"', "quoted"),
        ("plain text", "plain text"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ('{"a": NaN}', '{"a": NaN}'),
        ("", ""),
    ],
)
def test_content_is_the_value_of_a_json_text_and_any_other_text_as_it_is(text: str, value: object) -> None:
    assert parse_content(text, is_text=False) == value


def test_content_given_as_text_is_not_parsed() -> None:
    assert parse_content('{"hi": 1}', is_text=True) == '{"hi": 1}'


def test_content_that_nests_too_deep_is_refused() -> None:
    with pytest.raises(BadRequest):
        parse_content("[" * 100_000, is_text=False)


def test_an_unconfirmed_message_is_sent_again_under_the_same_key(slept: list[float]) -> None:
    client = ScriptedClient(Unconfirmed("first"), NoAnswer("second"), CONFIRMED)
    reports: list[str] = []

    assert client.publish(PATH, {"content": "hi"}, reports.append) == CONFIRMED
    assert len({body["key"] for body in client.bodies}) == 1
    assert reports == ["first", "http://127.0.0.1:8000 does not answer."]
    assert slept == [0.5, 1.0]


def test_a_given_key_takes_precedence_over_a_new_one(slept: list[float]) -> None:
    client = ScriptedClient(CONFIRMED)
    client.publish(PATH, {"content": "hi", "key": "k1"}, _ignore)

    assert client.bodies == [{"content": "hi", "key": "k1"}]


def test_without_an_answer_to_the_first_try_the_error_is_raised(slept: list[float]) -> None:
    client = ScriptedClient(NoAnswer("nothing listens"))
    with pytest.raises(NoAnswer):
        client.publish(PATH, {"content": "hi"}, _ignore)
    assert slept == []


def test_a_refused_message_is_not_sent_again(slept: list[float]) -> None:
    client = ScriptedClient(ClientError("refused"))
    with pytest.raises(ClientError, match="refused"):
        client.publish(PATH, {"content": "hi"}, _ignore)
    assert len(client.bodies) == 1


def test_after_the_last_try_the_error_names_the_key(slept: list[float]) -> None:
    client = ScriptedClient(*[Unconfirmed("not yet")] * TRIES)
    with pytest.raises(ClientError, match="--key k1"):
        client.publish(PATH, {"content": "hi", "key": "k1"}, _ignore)
    assert len(client.bodies) == TRIES
    assert slept[-1] == BACKOFF_CAP
    assert len(slept) == TRIES - 1
