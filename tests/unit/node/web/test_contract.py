"""The fields of bodies: what they take, and that what they refuse has the contract's code and sentence."""

from typing import Any

import pytest
from tannoy.node.web.bodies import BatchBody, BatchMessage, DirectBody, LimitBody, MessageBody, RevocationBody
from tannoy.node.web.contract import ContractBody
from tannoy.shared.errors import BadName, BadRequest, Refused
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.policy import LimitPolicy
from tannoy.shared.protocol.frames import Author

KEYSPACE = Keyspace("tannoy")


def test_a_message_has_the_fields_of_its_body() -> None:
    body = MessageBody.model_validate(
        {"content": [1], "user_id": "ada", "username": "Ada", "exclude_session": "s1", "key": "k", "report": True}
    )
    assert (body.content, body.author) == ([1], Author(UserId("ada"), "Ada", None))
    assert (body.exclude_session, body.key, body.report) == (SessionId("s1"), "k", True)


@pytest.mark.parametrize("content", [None, False, 0, "", [], {}])
def test_any_content_is_taken_as_it_is(content: object) -> None:
    body = MessageBody.model_validate({"content": content})
    assert (body.content, body.author, body.report) == (content, Author(None, None, None), False)
    assert type(body.content) is type(content)


@pytest.mark.parametrize("field", ["user_id", "username", "exclude_session", "key"])
def test_null_is_as_if_the_field_was_missing(field: str) -> None:
    assert MessageBody.model_validate({"content": 1, field: None}) == MessageBody.model_validate({"content": 1})


def test_the_username_is_the_user_id_if_it_is_missing() -> None:
    assert DirectBody.model_validate({"content": 1, "user_id": 7}).author == Author(UserId("7"), "7", None)


REFUSED: list[tuple[type[ContractBody], Any, type[Refused], str]] = [
    (MessageBody, [], BadRequest, "the body has to be one JSON object"),
    (MessageBody, {}, BadRequest, "the field 'content' is missing"),
    (DirectBody, {"content": 1, "key": "k"}, BadRequest, "no field 'key' here: allowed are content user_id"),
    (MessageBody, {"content": 1, "user_id": "a b"}, BadName, "user_id"),
    (MessageBody, {"content": 1, "exclude_session": 1}, BadName, "session_id has to be a string"),
    (MessageBody, {"content": 1, "key": ""}, BadRequest, "key has to be a string of 1 to 256 characters"),
    (MessageBody, {"content": 1, "report": 1}, BadRequest, "report has to be true or false"),
    (MessageBody, {"content": 1, "report": None}, BadRequest, "report has to be true or false"),
    (BatchMessage, {"content": 1, "report": True, "room": "a"}, BadRequest, "no field 'report' here"),
    (BatchMessage, {"content": 1, "room": None}, BadName, "room has to be a string"),
    (BatchBody, {"messages": 1}, BadRequest, "messages has to be an array of at most 1000 messages"),
    (BatchBody, {"messages": [1] * 1001}, BadRequest, "messages has to be an array of at most 1000 messages"),
    (LimitBody, {"max_sessions": True, "policy": "reject"}, BadRequest, "max_sessions has to be an integer from 1"),
    (LimitBody, {"max_sessions": 0, "policy": "reject"}, BadRequest, "max_sessions has to be an integer from 1"),
    (LimitBody, {"max_sessions": 1, "policy": "no"}, BadRequest, "policy has to be one of: reject, evict_oldest"),
    (LimitBody, {"max_sessions": 1}, BadRequest, "the field 'policy' is missing"),
    (RevocationBody, {"jti": "t", "reason": "theft"}, BadRequest, "no field 'reason' here"),
]


@pytest.mark.parametrize(("model", "value", "error", "sentence"), REFUSED)
def test_what_is_refused_has_the_code_and_sentence_of_the_contract(
    model: type[ContractBody], value: Any, error: type[Refused], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        model.model_validate(value)
    assert sentence in caught.value.message


def test_a_limit_is_parsed() -> None:
    body = LimitBody.model_validate({"max_sessions": 3, "policy": "evict_oldest"})
    assert (body.max_sessions, body.policy) == (3, LimitPolicy.EVICT_OLDEST)


@pytest.mark.parametrize("target", [{}, {"room": "a", "agent_id": "b"}])
def test_a_message_of_a_batch_names_either_a_room_or_an_agent(target: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="a message names either a room or an agent_id"):
        BatchMessage.model_validate({"content": 1, **target}).channel(KEYSPACE)


def test_messages_of_a_batch_are_not_parsed_with_it() -> None:
    assert BatchBody.model_validate({"messages": [1, {"content": 1}]}).messages == [1, {"content": 1}]
