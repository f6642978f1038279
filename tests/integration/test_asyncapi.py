"""docs/protocol.asyncapi.yaml against AsyncAPI's own JSON Schema, which the npm package of its makers holds."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from tests.support.cluster import PROJECT

PAGE = (PROJECT / "docs/protocol.asyncapi.yaml").read_text()


@pytest.fixture(scope="session")
def asyncapi(npm_packages: Path) -> jsonschema_rs.Draft7Validator:
    schema = json.loads((npm_packages / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
    return jsonschema_rs.Draft7Validator(schema)


def test_the_description_of_the_endpoints_is_asyncapi(asyncapi: jsonschema_rs.Draft7Validator) -> None:
    errors = [f"{error.message:.300} at {error.instance_path}" for error in asyncapi.iter_errors(yaml.safe_load(PAGE))]

    assert errors == []


def test_a_field_that_asyncapi_does_not_know_would_be_found(asyncapi: jsonschema_rs.Draft7Validator) -> None:
    page = yaml.safe_load(PAGE)
    page["operations"]["roomFrames"]["colour"] = "red"

    assert not asyncapi.is_valid(page)
