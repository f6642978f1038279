"""docs/protocol.schema.json as tests read it: a frame or an answer has no field that is not described."""

from typing import Any

import jsonschema_rs
from tannoy.shared.protocol.schema import build_schema

Object = dict[str, Any]

_DEFINITIONS: dict[str, Object] = build_schema()["definitions"]
_OPEN = "OkFrame"
"""It holds what the answer to its command holds."""


def _closed() -> dict[str, Object]:
    return {
        name: {**schema, "additionalProperties": False} if schema.get("type") == "object" and name != _OPEN else schema
        for name, schema in _DEFINITIONS.items()
    }


def validator_of(definition: str) -> jsonschema_rs.Draft7Validator:
    """A validator of one definition, in which objects have no further fields."""
    schema = {"allOf": [{"$ref": f"#/definitions/{definition}"}], "definitions": _closed()}
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True)


def definition_of(kind: str, suffix: str) -> str:
    """The name of the definition of a type of commands, frames or answers."""
    return "".join(word.capitalize() for word in kind.split("_")) + suffix


_frames = {
    reference["$ref"].rpartition("/")[2]: validator_of(reference["$ref"].rpartition("/")[2])
    for reference in _DEFINITIONS["Frame"]["anyOf"]
}
_answers = {name: validator_of(name) for name in _DEFINITIONS if name.endswith("Answer")}


def check_frame(frame: Object) -> None:
    """Fail unless the frame is as the schema of its type says."""
    _check(_frames, definition_of(frame["type"], "Frame"), frame)


def check_answer(command: str, answer: Object) -> None:
    """Fail unless the `ok` of a command is as its schema says; commands that are unknown have none."""
    if answer["type"] == "ok":
        _check(_answers, definition_of(command, "Answer"), answer)


def _check(validators: dict[str, jsonschema_rs.Draft7Validator], name: str, value: Object) -> None:
    assert name in validators, f"docs/protocol.schema.json has no {name}: {value!r:.200}"
    errors = [f"{each.message} at {each.instance_path}" for each in validators[name].iter_errors(value)]
    assert not errors, f"not a {name}: {errors} in {value!r:.400}"
