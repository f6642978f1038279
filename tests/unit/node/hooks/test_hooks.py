"""What may be a hook, and what it is called with."""

from functools import partial
from typing import Any

import pytest
from tannoy import ChannelRequest, LiveSession
from tannoy.node.hooks.hooks import NO_HOOKS, Hooks
from tannoy.node.protocols.session import Endpoint, Session
from tannoy.shared.names import SessionId, UserId
from tannoy.shared.protocol.frames import Author

from tests.support.unit_node import AGENT, KEYSPACE, ROOM

ADA = Author(UserId("ada"), "Ada", SessionId("s1"))


async def hook(*arguments: object) -> None: ...


class CallableHook:
    async def __call__(self, *arguments: object) -> None: ...

    async def method(self, *arguments: object) -> None: ...


@pytest.mark.parametrize("allowed", [hook, partial(hook, 1), CallableHook(), CallableHook().method])
def test_an_async_function_of_any_kind_is_a_hook(allowed: Any) -> None:
    assert Hooks(on_connect=allowed).are_there


def plain(*arguments: object) -> bool:
    return True


@pytest.mark.parametrize("wrong", [plain, Hooks, "hook", 7])
def test_what_is_no_async_function_is_refused_by_its_name(wrong: Any) -> None:
    with pytest.raises(TypeError, match="authorize has to be an async function, not "):
        Hooks(authorize=wrong)


@pytest.mark.parametrize(
    ("bounds", "wrong"),
    [
        ({"timeout": 0}, r"hook_timeout has to be 0\.01 to 300 s, not 0"),
        ({"timeout": float("nan")}, r"hook_timeout has to be 0\.01 to 300 s, not nan"),
        ({"at_once": 0}, "hooks_at_once has to be 1 to 100000, not 0"),
    ],
)
def test_a_bound_out_of_its_range_is_refused(bounds: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Hooks(**bounds)


def test_an_application_may_have_no_hooks() -> None:
    assert not NO_HOOKS.are_there


def test_a_session_is_known_by_what_its_endpoint_names() -> None:
    in_room = LiveSession(Session(Endpoint.ROOM, ADA, ROOM, KEYSPACE), "203.0.113.1", None)
    of_agent = LiveSession(Session(Endpoint.AGENT, ADA, AGENT, KEYSPACE), None, None)

    assert (in_room.room, in_room.agent_id, in_room.address) == ("lobby", None, "203.0.113.1")
    assert (of_agent.room, of_agent.agent_id) == (None, "42")
    assert (in_room.user_id, in_room.username, in_room.session_id) == (ADA.user_id, ADA.username, ADA.session_id)


def test_a_request_for_a_channel_names_a_room_or_an_agent() -> None:
    assert ChannelRequest.of(ROOM, observe=True) == ChannelRequest("lobby", None, observe=True)
    assert ChannelRequest.of(AGENT) == ChannelRequest(None, "42")
