"""docs/protocol.schema.json is what the source says of commands, frames and answers."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tannoy.shared.protocol.codec import WIRE_FORMATS, encode_frame
from tannoy.shared.protocol.command_parser import BadCommand, parse_command
from tannoy.shared.protocol.frames import MessageFrame, NodeFrame
from tannoy.shared.protocol.schema import ANSWERS, build_schema, encode_schema, frame_types
from tannoy.shared.publication import Publication

from tests.support.example_frames import FRAMES
from tests.support.protocol_schema import check_frame, definition_of, validator_of

PAGE = Path(__file__).parents[4] / "docs/protocol.schema.json"
DEFINITIONS: dict[str, Any] = build_schema()["definitions"]
COMMANDS: dict[str, dict[str, object]] = {
    "join": {"room": "lobby"},
    "leave": {"room": "lobby"},
    "message": {"content": 1},
    "private": {"to": "ada", "content": 1},
    "typing": {},
    "ping": {},
    "pong": {},
    "auth": {"token": "t"},
    "presence": {"id": 1},
    "history": {"id": 1},
    "refresh": {"token": "t"},
}
"""A command of each type that is well-formed."""
FIELDS = ("id", "room", "recover", "observe", "content", "key", "to", "token", "limit", "before", "since", "type", "on")
POSITIONS: list[dict[str, object]] = [
    {"epoch": "e", "offset": 0},
    {"epoch": "e", "offset": -1},
    {"epoch": 1, "offset": 1},
    {"epoch": "e"},
]
VALUES: list[object] = [
    *(None, True, False, 1.5, [], ["lobby"], {}, *POSITIONS, {**POSITIONS[0], "later": 1}),
    *("", "a", "a b", "a\n", "é", "ada|x+y=z", "a" * 128, "a" * 129, "a" * 256, "a" * 257),
    *(-(2**63), -1, 0, 1, 300, 301, 2**53, 2**53 + 1, 2**64 - 1),
]
"""What a field may hold, or just not: the bounds of all of them. Larger integers are refused as values of any field."""
TYPES = sorted({whole["type"] for _, whole in FRAMES}, key=str)


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == encode_schema(), "run `make schema`"


def test_the_page_is_a_json_schema() -> None:
    assert jsonschema_rs.meta.is_valid(build_schema())


def test_the_commands_are_those_of_the_parser() -> None:
    with pytest.raises(BadCommand) as refused:
        parse_command({"type": "no such command"})
    known = str(refused.value).partition("allowed are ")[2].split()

    assert sorted(name for name in DEFINITIONS if name.endswith("Command")) == sorted(
        ["Command", *(definition_of(kind, "Command") for kind in known)]
    )


def test_every_command_that_is_answered_with_ok_has_its_answer() -> None:
    types = {
        DEFINITIONS[ref["$ref"].rpartition("/")[2]]["properties"]["type"]["const"]
        for ref in DEFINITIONS["Command"]["anyOf"]
    }

    assert ANSWERS.keys() == types - {"ping", "pong"}


@pytest.mark.parametrize(("frame", "whole"), FRAMES, ids=lambda value: type(value).__name__)
def test_a_frame_of_a_node_is_as_its_schema_says(frame: NodeFrame, whole: dict[str, Any]) -> None:
    check_frame(frame.as_object())


@pytest.mark.parametrize("wire", WIRE_FORMATS.values(), ids=lambda wire: wire.name)
def test_a_message_with_its_offset_is_as_its_schema_says(wire: Any) -> None:
    message = next(frame for frame, _ in FRAMES if isinstance(frame, MessageFrame))
    publication = Publication(encode_frame(message), epoch="e1", offset=2**53)

    check_frame(wire.decode(wire.encode_publication(publication)))


@pytest.mark.parametrize("kind", TYPES)
def test_each_property_of_a_frame_is_in_one_of_the_examples(kind: str) -> None:
    sent = {name for _, whole in FRAMES if whole["type"] == kind for name in whole}
    described = set(DEFINITIONS[definition_of(kind, "Frame")]["properties"])

    assert described - sent == ({"offset"} if kind == "message" else set())


@pytest.mark.parametrize("kind", TYPES)
def test_a_frame_without_a_required_property_is_invalid(kind: str) -> None:
    whole = next(whole for _, whole in FRAMES if whole["type"] == kind)
    validator = validator_of(definition_of(kind, "Frame"))

    for name in DEFINITIONS[definition_of(kind, "Frame")]["required"]:
        assert not validator.is_valid({each: value for each, value in whole.items() if each != name}), name


def test_the_types_of_frames_are_those_that_are_sent() -> None:
    assert sorted(name for _, name in frame_types()) == TYPES


def test_a_frame_may_have_further_properties_for_readers_of_the_page() -> None:
    assert jsonschema_rs.Draft7Validator(build_schema()).is_valid({"type": "ping", "later": 1})


def test_a_command_may_not() -> None:
    schema = build_schema() | {"anyOf": [{"$ref": "#/definitions/Command"}]}

    assert not jsonschema_rs.Draft7Validator(schema).is_valid({"type": "ping", "later": 1})


def _is_accepted(value: object) -> bool:
    try:
        parse_command(value)
    except BadCommand:
        return False
    return True


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_that_is_accepted_is_valid_and_one_that_is_refused_is_not(kind: str) -> None:
    validator = validator_of("Command")
    well_formed = {"type": kind, **COMMANDS[kind]}
    changed = [{**well_formed, name: value} for name in FIELDS for value in VALUES]
    shortened = [{name: value for name, value in well_formed.items() if name != gone} for gone in well_formed]

    assert validator.is_valid(well_formed)
    assert [each for each in (*changed, *shortened) if _is_accepted(each) is not validator.is_valid(each)] == []


@pytest.mark.parametrize("value", [None, 1, "ping", [], [{"type": "ping"}], {}, {"type": "no such command"}], ids=str)
def test_what_is_no_command_is_neither_accepted_nor_valid(value: object) -> None:
    assert not _is_accepted(value)
    assert not validator_of("Command").is_valid(value)
