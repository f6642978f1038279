"""The command `tannoy` in a process of its own."""

import asyncio
import subprocess
from urllib.parse import urlsplit

from tests.support import fork_server
from tests.support.cluster import environment
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE


def run_tannoy(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`tannoy WORDS…`, until it has ended; `settings` are without their prefix."""
    variables = environment(settings) | {"COLUMNS": "200", "NO_COLOR": "1"}
    return fork_server.server.run(["tannoy", *words], env=variables, timeout=PATIENCE)


async def run_tannoy_async(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run_tannoy, *words, **settings)


def error_at_start(url: str) -> str:
    """The sentence with which a node ends that is given this URL of Redis. No line shows the password."""
    ended = run_tannoy("node", "--port", str(free_port()), REDIS_URL=url)
    password = urlsplit(url).password
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert password is None or password not in ended.stderr
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("tannoy: ")]
    return sentence


def is_one_sentence(text: str) -> bool:
    """Whether a command has ended with a message for people, not with a traceback."""
    return text.startswith("tannoy: ") and "Traceback" not in text
