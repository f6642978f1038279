"""Logging of the process: one stream, two formats, one level."""

import json
import logging
from collections.abc import Generator
from io import StringIO
from pathlib import Path

import httpx
import pytest
import structlog
from tannoy.node.lifecycle.log_text import FIELD_MAX_CHARACTERS, TRACEBACK_MAX_CHARACTERS
from tannoy.node.lifecycle.logs import configure_logs
from tannoy.shared.errors import StartError
from tannoy.shared.logs import get_logger
from tannoy.shared.settings import load_settings

from tests.support.hook_receiver import HookReceiver


@pytest.fixture(autouse=True)
def restored_logging() -> Generator[None]:
    """Undo what `configure_logs` does to the process."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    others = {name: (logging.getLogger(name).level, logging.getLogger(name).disabled) for name in QUIET}
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers, root.level = handlers, level
    structlog.configure(**configuration)
    for name, (old_level, disabled) in others.items():
        logging.getLogger(name).setLevel(old_level)
        logging.getLogger(name).disabled = disabled


def written(path: Path) -> str:
    """What the log has at its end."""
    for handler in logging.getLogger().handlers:
        handler.close()
    return path.read_text()


QUIET = ("uvicorn.access", "uvicorn.error", "asyncio", "httpx", "httpcore", "hpack")


def configure(path: Path, **settings: str) -> None:
    configure_logs(load_settings(log_file=path, **settings))


def test_json_has_a_line_of_json_for_each_record(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_format="json")

    structlog.get_logger("tannoy.test").warning("it happened", room="a\nb")
    logging.getLogger("other").error("standard library")

    first, second = map(json.loads, written(tmp_path / "log").splitlines())
    assert (first["event"], first["room"], first["level"], first["logger"]) == (
        "it happened",
        "a\nb",
        "warning",
        "tannoy.test",
    )
    assert (second["event"], second["logger"]) == ("standard library", "other")


def test_json_has_the_fields_of_what_fanout_logs(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_format="json")

    get_logger("tannoy.test").warning("it happened", room="a\nb")

    (line,) = map(json.loads, written(tmp_path / "log").splitlines())
    assert (line["event"], line["room"], line["level"], line["logger"]) == (
        "it happened",
        "a\nb",
        "warning",
        "tannoy.test",
    )


def test_console_output_escapes_line_breaks(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_format="console")

    structlog.get_logger("tannoy.test").warning("it happened", room="a\nb")

    assert written(tmp_path / "log").count("\n") == 1


@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("forged", ["\n09:00:00 root", "\x1b[2J", "\x85x", "a\u2028b", "a\u202eb"], ids=ascii)
def test_no_text_breaks_its_line_or_is_obeyed_by_a_terminal(tmp_path: Path, log_format: str, forged: str) -> None:
    configure(tmp_path / "log", log_format=log_format)

    structlog.get_logger("tannoy.test").warning(forged, user=forged)
    logging.getLogger("other").error("%s", forged)

    lines = written(tmp_path / "log").split("\n")
    assert len(lines) == 3
    assert [line for line in lines if not line.isprintable()] == []


def test_an_exception_whose_message_has_lines_can_not_pass_for_a_record(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_format="console")

    try:
        raise ValueError("bad\n2026-11-30T09:00:00Z [info     ] root was here\x1b[2J")
    except ValueError:
        structlog.get_logger("tannoy.test").exception("it failed")

    record, *others, last = written(tmp_path / "log").split("\n")
    assert "it failed" in record
    assert "    2026-11-30T09:00:00Z [info     ] root was here\\x1b[2J" in others
    assert [line for line in others if not line.startswith("    ")] == []
    assert last == ""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_long_values_are_cut(tmp_path: Path, log_format: str) -> None:
    configure(tmp_path / "log", log_format=log_format)

    structlog.get_logger("tannoy.test").warning("x" * 100_000, user="y" * 100_000, rooms=["z" * 100_000])
    logging.getLogger("other").error("v" * 100_000, exc_info=ValueError("w" * 1_000_000))

    assert len(written(tmp_path / "log")) < 4 * FIELD_MAX_CHARACTERS + TRACEBACK_MAX_CHARACTERS + 2000


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_local_variables(tmp_path: Path, log_format: str) -> None:
    configure(tmp_path / "log", log_format=log_format)

    def fail() -> None:
        api_key = "hunter" + "2"
        raise ValueError(f"a key of {len(api_key)} characters")

    try:
        fail()
    except ValueError:
        structlog.get_logger("tannoy.test").exception("it failed")

    logged = written(tmp_path / "log")
    assert "ValueError: a key of 7 characters" in logged
    assert "hunter2" not in logged


def test_records_below_the_level_are_left_out(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_level="ERROR")

    structlog.get_logger("tannoy.test").warning("not logged")

    assert written(tmp_path / "log") == ""


def test_requests_are_never_logged_since_a_query_may_contain_a_token(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_level="DEBUG")

    logging.getLogger("uvicorn.access").info("GET /ws?token=secret")

    assert written(tmp_path / "log") == ""


def test_requests_of_the_http_hooks_are_never_logged_since_their_address_may_contain_a_key(tmp_path: Path) -> None:
    configure(tmp_path / "log", log_level="DEBUG")

    with HookReceiver().running() as receiver, httpx.Client() as client:
        client.post(f"{receiver.url}?key=secret", content=b"{}")
        assert receiver.requests

    assert written(tmp_path / "log") == ""


def test_what_uvicorn_logs_under_its_own_command_goes_to_the_log_alone(tmp_path: Path) -> None:
    own = logging.StreamHandler(StringIO())
    logging.getLogger("uvicorn").addHandler(own)
    logging.getLogger("uvicorn").propagate = False
    configure(tmp_path / "log")

    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")

    assert "Invalid HTTP request received." in written(tmp_path / "log")
    assert own.stream.getvalue() == ""


def test_a_file_in_a_missing_folder_is_a_start_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="TANNOY_LOG_FILE"):
        configure(tmp_path / "missing" / "log")
