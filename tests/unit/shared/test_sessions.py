"""Descriptions of sessions and of disconnects: what the HTTP API shows of them, and what is refused from the bus."""

import pytest
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.sessions import Disconnect, SessionInfo

SESSION = {"session_id": "s1", "user_id": "ada", "username": "Ada", "node": "n1", "connected_at": "T1"}
DISCONNECT = {
    "at": "T1",
    "session_id": "s1",
    "code": 4500,
    "reason": "evicted",
    "rule": "agent_max_sessions",
    "count": 10,
    "node": "n1",
}


@pytest.mark.parametrize("fields", [SESSION, {**SESSION, "agent_id": "42"}], ids=["of a room", "of an agent"])
def test_a_session_is_shown_with_the_fields_it_was_parsed_from(fields: dict[str, object]) -> None:
    assert SessionInfo.parse(fields).as_object() == fields


@pytest.mark.parametrize("fields", [DISCONNECT, {**DISCONNECT, "count": None}, {**DISCONNECT, "displaced_by": "s2"}])
def test_a_disconnect_is_shown_with_the_fields_it_was_parsed_from(fields: dict[str, object]) -> None:
    assert Disconnect.parse(fields).as_object() == fields


@pytest.mark.parametrize("missing", SESSION)
def test_a_session_that_lacks_a_field_is_malformed(missing: str) -> None:
    with pytest.raises(MalformedBytes, match="not the description of a session"):
        SessionInfo.parse({name: value for name, value in SESSION.items() if name != missing})


@pytest.mark.parametrize("missing", DISCONNECT)
def test_a_disconnect_that_lacks_a_field_is_malformed(missing: str) -> None:
    with pytest.raises(MalformedBytes, match="not an entry of disconnects"):
        Disconnect.parse({name: value for name, value in DISCONNECT.items() if name != missing})


@pytest.mark.parametrize("value", [None, [], "s1", {**SESSION, "agent_id": 42}, {**SESSION, "user_id": 7}])
def test_a_session_of_another_shape_is_malformed(value: object) -> None:
    with pytest.raises(MalformedBytes):
        SessionInfo.parse(value)
