"""`/api/v1/openapi.json`, and the same as a page: what the API takes and answers, made from its models.

The page is plain HTML of this node: it loads nothing, and runs no script. Both hold nothing of the cluster, so they
need no API key.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from copy import copy
from functools import cache
from html import escape
from typing import Any, cast

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..problems import CONTENT_TYPE
from .answers import Problem

PREFIX = "/api/v1"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457)",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""How every call is refused."""
_DESCRIPTION = (
    "Publish, ask, and act: on any node, for the whole cluster. docs/protocol.md, section 6, is the contract; names, "
    "limits and error codes are in its sections 1 and 4."
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace}section{border-top:1px solid #8888;padding:.5rem 0}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.1rem 1rem .1rem 0}"
    ":root{color-scheme:light dark}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

Schema = dict[str, Any]


def build_schema(api: FastAPI) -> Schema:
    """The API as OpenAPI 3.1."""
    schema = get_openapi(
        title=api.title,
        version=api.version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=[_without_head(route) for route in api.routes],
        servers=[{"url": PREFIX}],
    )
    components = schema["components"]
    components["schemas"]["Problem"] = Problem.model_json_schema()
    components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"apiKey": []}, {}]  # without TANNOY_API_KEY clients on this machine need none
    return schema


def _without_head(route: BaseRoute) -> BaseRoute:
    """HEAD is answered as GET, and not described once more."""
    if not isinstance(route, APIRoute):
        return route
    described = copy(route)
    described.methods = (route.methods or set()) - {"HEAD"}
    return described


# ---- the page


def render_page(schema: Schema) -> str:
    """All calls of the schema as one HTML page."""
    calls = [
        _render_call(schema, path, method.upper(), operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]
    title = f"{schema['info']['title']}: HTTP API"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1><p>{escape(schema['info']['description'])}</p>"
        f'<p>As OpenAPI {escape(schema["openapi"])}: <a href="{PREFIX}/openapi.json">openapi.json</a></p>'
        + "".join(calls)
        + "</html>"
    )


def _render_call(schema: Schema, path: str, method: str, operation: Schema) -> str:
    parts = [f"<section><h2><code>{method} {PREFIX}{escape(path)}</code></h2>"]
    parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", ())}
    parts.append(_render_fields("Parameters", parameters, set()))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        resolved = _resolve(schema, body)
        parts.append(_render_fields("Body", resolved.get("properties", {}), set(resolved.get("required", ()))))
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if answer:
        resolved = _resolve(schema, answer)
        parts.append(_render_fields("Answer", resolved.get("properties", {}), set()))
    return "".join((*parts, "</section>"))


def _resolve(schema: Schema, reference: Schema) -> Schema:
    name = str(reference.get("$ref", "")).rpartition("/")[2]
    return cast("Schema", schema["components"]["schemas"][name]) if name else reference


def _render_fields(title: str, fields: Schema, required: set[str]) -> str:
    if not fields:
        return ""
    rows = (
        f"<tr><td><code>{escape(name)}</code><td>{escape(describe_type(field))}"
        f"<td>{'required' if name in required else ''}</tr>"
        for name, field in fields.items()
    )
    return f"<h3>{title}</h3><table>{''.join(rows)}</table>"


def describe_type(field: Schema) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(describe_type(each) for each in field["anyOf"])
    if field.get("type") == "array":
        return f"array of {describe_type(field.get('items', {}))}"
    words = " | ".join(field["enum"]) if "enum" in field else str(field.get("type", "any JSON value"))
    bounds = [
        f"{word} {field[name]}"
        for name, word in (("minimum", "from"), ("maximum", "to"), ("maxLength", "up to"), ("default", "default"))
        if field.get(name) is not None
    ]
    return " ".join((words, *bounds))


# ---- serving


def document_routes(api: FastAPI) -> list[BaseRoute]:
    """Both are made when they are asked for first: a node starts without them."""

    @cache
    def schema() -> Schema:
        return build_schema(api)

    @cache
    def json() -> bytes:
        return orjson.dumps(schema())

    @cache
    def page() -> bytes:
        return render_page(schema()).encode()

    return [
        Route(f"{PREFIX}/openapi.json", _serve(json, "application/json")),
        Route(f"{PREFIX}/docs", _serve(page, "text/html")),
    ]


def _serve(make: Callable[[], bytes], media_type: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return Response(make(), headers=PAGE_HEADERS, media_type=media_type)

    return endpoint
