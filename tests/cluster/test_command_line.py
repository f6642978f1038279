"""The command line in real processes: help, and what stops a command at its start."""

import socket

import pytest

from tests.support.cluster import Cluster
from tests.support.command_line import is_one_sentence, run_tannoy, run_tannoy_async
from tests.support.ports import free_port
from tests.support.valkey import Valkey

# ---- errors at start


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("PORT", "99999", "65535"),
        ("PORT", "http", "integer"),
        ("REDIS_URL", "postgres://x", "redis://"),
        ("REDIS_URL", "redis+ring://x", "redis+cluster://"),
        ("SLOW_POLICY", "panic", "'disconnect' or 'skip'"),
        ("PING_INTERVAL", "0", "greater than or equal to 1"),
        ("OUTBOX_MAX_BYTES", "-1", "greater than or equal to 4096"),
        ("NODE_ID", "no spaces", "A-Z a-z 0-9"),
        ("LOG_FORMAT", "xml", "'console' or 'json'"),
        ("AUTH", "basic", "'none', 'jwt' or 'hook'"),
        ("ALLOWED_ORIGINS", "example.com", "scheme://host"),
        ("REDIS_PREFIX", "a{b}", "match pattern"),
        ("LOG_FILE", "/nowhere/at/all.log", "No such file"),
    ],
)
def test_a_bad_setting_stops_the_start(setting: str, value: str, allowed: str) -> None:
    ended = run_tannoy("node", **{setting: value})

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert f"TANNOY_{setting}" in ended.stderr
    assert allowed in ended.stderr


def test_a_port_in_use_is_an_error_of_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        for command in ("node", "up"):
            ended = run_tannoy(command, "--port", port, LOG_LEVEL="ERROR")
            assert ended.returncode == 1
            assert is_one_sentence(ended.stderr)
            assert f"127.0.0.1:{port}" in ended.stderr


def test_an_unreachable_redis_is_an_error_of_one_sentence() -> None:
    ended = run_tannoy(
        "node", "--port", str(free_port()), REDIS_URL=f"redis://127.0.0.1:{free_port()}", LOG_LEVEL="ERROR"
    )

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert "can't be reached" in ended.stderr


@pytest.mark.parametrize("credentials", ["", "unknown:wrong@", ":wrong@"])
async def test_a_wrong_password_of_redis_is_an_error_of_one_sentence(credentials: str) -> None:
    async with Valkey("--requirepass", "right") as valkey:
        url = f"redis://{credentials}127.0.0.1:{valkey.port}"
        ended = await run_tannoy_async("node", "--port", str(free_port()), REDIS_URL=url, LOG_LEVEL="ERROR")

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert "credentials" in ended.stderr
    assert "wrong@" not in ended.stderr


async def test_a_node_with_the_right_password_of_redis_is_ready() -> None:
    async with (
        Valkey("--requirepass", "right") as valkey,
        Cluster(1, REDIS_URL=f"redis://:right@127.0.0.1:{valkey.port}/3") as it,
    ):
        assert await it.nodes[0].is_ready()


# ---- help


@pytest.mark.parametrize("command", ["up", "node", "publish", "send", "watch", "token"])
def test_help_shows_examples(command: str) -> None:
    shown = run_tannoy(command, "--help")

    assert shown.returncode == 0
    assert "Examples:" in shown.stdout
    assert f"tannoy {command}" in shown.stdout


def test_the_version_is_printed() -> None:
    assert run_tannoy("--version").stdout.startswith("tannoy 0.")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("publish", "lobby", "x"), "room:NAME"),
        (("publish", "room:a b", "x"), "A-Z a-z"),
        (("watch", "user:ada"), "room:NAME, agent:ID"),
        (("watch", "room:a", "--url", "localhost:8000"), "http://HOST:PORT"),
        (("watch", "room:a", "--url", f"http://127.0.0.1:{free_port()}"), "Is a cluster running there?"),
        (("send", "room:a", "x"), "agent:ID/SESSION"),
        (("publish", "user:ada", "x"), "room:NAME, agent:ID"),
        (("watch", "room:a", "--history", "5", "--since", "5"), "--history and --since"),
        (("send", "user:ada", "x", "--key", "k"), "--key is for room:NAME and agent:ID"),
        (("publish", "room:a", "[" * 100_000), "nests too deep"),
        (("publish", "room:a", "x", "--url", "http://[::1"), "http://HOST:PORT"),
        (("send", "user:ada", "x", "--url", "ftp://x"), "http://"),
        (("send", "user:ada", "x", "--url", f"http://127.0.0.1:{free_port()}"), "Is a cluster running there?"),
    ],
)
def test_a_bad_argument_is_an_error_of_one_sentence(words: tuple[str, ...], hint: str) -> None:
    ended = run_tannoy(*words)

    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)
    assert hint in ended.stderr
