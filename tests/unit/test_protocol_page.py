"""docs/protocol.md says what the code does: its tables of settings, codes, commands and calls are the code's."""

import re
from pathlib import Path

import pytest
from starlette.routing import Mount, Route
from tannoy.node.cli.main import app
from tannoy.node.web.routes import api_routes
from tannoy.shared.codes import CLOSE_RULES, HTTP_STATUS, CloseCode
from tannoy.shared.protocol.command_parser import BadCommand, parse_command
from tannoy.shared.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
PLANNED = "*Planned.*"
AS_TEXT = {
    "redis_url": "redis://127.0.0.1:6379",
    "database_url": "sqlite:///tannoy-archive.db",
    **dict.fromkeys(("archive", "hook_messages"), "none"),
    "auth_query_token": "false",
    "hook_http2": "false",
    **dict.fromkeys(("hook_url", "hook_auth_url", "hook_secret"), "empty"),
    **dict.fromkeys(("cluster_secret", "api_key", "jwt_secret", "jwt_public_key", "jwks_url"), "empty"),
    **dict.fromkeys(("jwt_audience", "jwt_issuer"), "empty"),
}
IN_WORDS = {
    *("node_id", "redis_credentials", "allowed_origins", "trusted_proxies", "jwt_algorithms", "memory_max_mb"),
    *("log_file", "hook_events", "hook_networks"),
}
"""Settings whose default is described, since it is no constant."""


def section(number: int) -> str:
    parts = re.split(r"^## (\d+) .*$", (PROJECT / "docs/protocol.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[str(number)]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row that begins with a word of code or with a number."""
    lines = re.findall(r"^\| *([`\d].*)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def code_words(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def test_the_settings_are_those_of_the_source() -> None:
    in_effect, *_ = section(8).split(PLANNED + " These settings")

    assert {name for row in rows(in_effect) for name in code_words(row[0])} == {
        name.upper() for name in Settings.model_fields
    }


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in IN_WORDS])
def test_the_default_of_a_setting_is_that_of_the_source(name: str) -> None:
    (row,) = (row for row in rows(section(8)) if row[0] == f"`{name.upper()}`")
    default = Settings.model_fields[name].default

    assert row[1].strip("`") == AS_TEXT.get(name, f"{default:g}" if isinstance(default, float) else str(default))


def test_the_close_codes_are_those_of_the_source() -> None:
    listed = {int(row[0]): row for row in rows(section(5))}

    assert listed.keys() == {int(code) for code in CloseCode}
    for code, rule in CLOSE_RULES.items():
        _, reason, reconnect = listed[code]
        assert reason.startswith(rule.reason)
        if reconnect != "–":
            assert reconnect.startswith("yes") is rule.reconnect


def test_the_error_codes_and_their_statuses_are_those_of_the_source() -> None:
    (table,) = re.findall(r"### Error codes(.*)", section(4), re.DOTALL)

    assert {row[0].strip("`"): int(row[1]) for row in rows(table)} == {
        code.value: status for code, status in HTTP_STATUS.items()
    }


def test_the_commands_are_those_of_the_source() -> None:
    with pytest.raises(BadCommand) as refused:
        parse_command({"type": "no such command"})
    known = str(refused.value).partition("allowed are ")[2].split()

    assert {row[0].strip("`") for row in rows(section(3))} - {"type"} == set(known)


def test_the_calls_of_the_api_are_those_of_the_source() -> None:
    (mount,) = (route for route in api_routes() if isinstance(route, Mount))
    served = {
        f"{method} {route.path}"
        for route in mount.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    below_the_prefix = section(6).partition("### Outside the prefix")[0]
    calls = [row for row in rows(below_the_prefix) if row[0].startswith(("`GET", "`POST", "`PUT", "`DELETE"))]

    assert {row[0].strip("`").partition("?")[0] for row in calls if PLANNED not in " ".join(row)} == served


def test_the_commands_of_the_command_line_are_those_of_the_source() -> None:
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    listed = [row[0].strip("`").split() for row in rows(section(7)) if PLANNED not in " ".join(row)]

    assert {words[1] for words in listed if not words[1].startswith("--")} == commands
