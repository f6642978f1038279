"""docs/protocol.asyncapi.yaml says what the source says: endpoints, the commands legal there, and all frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tannoy.node.protocols import session
from tannoy.node.protocols.session import Endpoint
from tannoy.shared.protocol.schema import build_schema

from tests.support.protocol_schema import definition_of

PAGE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "docs/protocol.asyncapi.yaml").read_text())
SCHEMA_FILE = "protocol.schema.json"
SCHEMA = build_schema()
CHANNELS = {"rooms": Endpoint.ROOMS, "room": Endpoint.ROOM, "agent": Endpoint.AGENT}
ONLY_IN_ROOMS = {"TypingFrame", "UserJoinedFrame", "UserLeftFrame", "PresenceFrame"}


def _references(value: object) -> Iterator[str]:
    if isinstance(value, list):
        value = dict(enumerate(cast("list[object]", value)))
    if isinstance(value, dict):
        for name, each in cast("dict[object, object]", value).items():
            if name == "$ref":
                yield str(each)
            else:
                yield from _references(each)


def _resolve(reference: str) -> Any:
    """What it refers to; None if that is not there."""
    file, _, pointer = reference.partition("#/")
    found: Any = {"": PAGE, SCHEMA_FILE: SCHEMA}[file]
    for name in pointer.split("/"):
        found = found.get(name)
        if found is None:
            return None
    return found


def _payloads(operation: str) -> set[str]:
    """The definitions of the payloads of an operation's messages."""
    channel = PAGE["operations"][operation]["channel"]["$ref"] + "/messages/"
    messages = [reference["$ref"] for reference in PAGE["operations"][operation]["messages"]]
    assert all(message.startswith(channel) for message in messages)
    payloads = [_resolve(_resolve(message)["$ref"])["payload"] for message in messages]
    return {payload["$ref"].rpartition("/")[2] if "$ref" in payload else "OkFrame" for payload in payloads}


def test_what_is_referred_to_is_there() -> None:
    assert sorted({reference for reference in _references(PAGE) if _resolve(reference) is None}) == []


def test_the_channels_are_the_endpoints() -> None:
    assert {name: channel["address"] for name, channel in PAGE["channels"].items()} == {
        name: endpoint.value for name, endpoint in CHANNELS.items()
    }


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_commands_of_a_channel_are_those_that_are_legal_there(channel: str) -> None:
    legal = session._LEGAL[CHANNELS[channel]]  # pyright: ignore[reportPrivateUsage]

    assert _payloads(f"{channel}Commands") == {definition_of(kind.type, "Command") for kind in legal}


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_frames_of_a_channel_are_all_frames_but_those_of_rooms_alone(channel: str) -> None:
    frames = {reference["$ref"].rpartition("/")[2] for reference in SCHEMA["definitions"]["Frame"]["anyOf"]}

    assert _payloads(f"{channel}Frames") == frames - (ONLY_IN_ROOMS if channel == "agent" else set())


def test_an_ok_carries_what_any_of_the_answers_does() -> None:
    payload = PAGE["components"]["messages"]["okFrame"]["payload"]

    assert {reference["$ref"].rpartition("/")[2] for reference in payload["anyOf"]} == {
        name for name in SCHEMA["definitions"] if name.endswith("Answer")
    }


@pytest.mark.parametrize("name", PAGE["components"]["messages"])
def test_a_message_has_the_type_of_its_payload_as_its_name(name: str) -> None:
    definition = SCHEMA["definitions"][name[0].upper() + name[1:]]

    assert PAGE["components"]["messages"][name]["name"] == definition["properties"]["type"]["const"]
