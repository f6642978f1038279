"""The API as OpenAPI, and as a page."""

import re
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from tannoy.node.web.api_documents import build_schema, describe_type, document_routes, render_page
from tannoy.node.web.routes import build_api

API = build_api()
SCHEMA = build_schema(API)


async def get(path: str) -> httpx.Response:
    app = Starlette(routes=document_routes(API))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        return await client.get(path)


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [(path, each) for path, methods in SCHEMA["paths"].items() for each in methods.values()]


def test_the_schema_is_of_openapi_3_1_and_describes_each_call_once() -> None:
    assert SCHEMA["openapi"] == "3.1.0"
    described = {f"{method.upper()} {path}" for path, methods in SCHEMA["paths"].items() for method in methods}
    served = [route for route in API.routes if isinstance(route, APIRoute)]
    assert described == {f"{method} {route.path}" for route in served for method in (route.methods or set()) - {"HEAD"}}
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids)) == len(described)


def test_every_call_says_what_it_does_and_how_it_is_refused() -> None:
    for path, operation in operations():
        assert operation["description"], path
        assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"], path
        assert "422" not in operation["responses"], path


def test_every_parameter_and_field_has_the_bounds_of_the_contract() -> None:
    room = next(each for each in SCHEMA["paths"]["/rooms/{room}"]["get"]["parameters"])
    assert (room["schema"]["pattern"], room["schema"]["maxLength"]) == ("^[A-Za-z0-9_.:@~-]+$", 128)
    body = SCHEMA["components"]["schemas"]["LimitBody"]
    assert body["properties"]["max_sessions"]["maximum"] == 100_000
    assert body["properties"]["policy"]["enum"] == ["reject", "evict_oldest"]


def test_no_body_takes_unknown_fields() -> None:
    schemas = SCHEMA["components"]["schemas"]
    bodies = [name for name in schemas if name.endswith("Body") or name == "BatchMessage"]
    assert sorted(bodies) == [
        *("BatchBody", "BatchMessage", "DirectBody", "LimitBody", "MessageBody", "ResendBody"),
        *("RevocationBody", "StreamBody", "StreamEndBody", "StreamPieceBody"),
    ]
    assert all(schemas[name]["additionalProperties"] is False for name in bodies)


async def test_the_schema_is_served_as_json() -> None:
    answer = await get("/api/v1/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == SCHEMA


async def test_the_page_names_every_call_and_field() -> None:
    page = (await get("/api/v1/docs")).text
    for path, operation in operations():
        assert f"/api/v1{path}" in page
        assert all(f"<code>{each['name']}</code>" in page for each in operation.get("parameters", ()))
    assert "<code>exclude_session</code>" in page


async def test_the_page_runs_no_script_and_loads_nothing() -> None:
    answer = await get("/api/v1/docs")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r"<script|<link|<img|src=|https?://|@import|url\(", answer.text)


def test_what_the_schema_says_is_escaped_in_the_page() -> None:
    schema = {**SCHEMA, "info": {**SCHEMA["info"], "description": "<script>"}}
    assert "&lt;script&gt;" in render_page(schema)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any JSON value"),
        ({"type": "string", "maxLength": 128}, "string up to 128"),
        ({"type": "integer", "minimum": 1, "maximum": 9, "default": 3}, "integer from 1 to 9 default 3"),
        ({"enum": ["a", "b"]}, "a | b"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Room"}}, "array of Room"),
    ],
)
def test_a_type_is_described_in_words(schema: dict[str, Any], words: str) -> None:
    assert describe_type(schema) == words
