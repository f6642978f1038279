"""The command `tannoy` in a process of its own."""

import asyncio
import subprocess
import sys

from tests.support.cluster import environment
from tests.support.waiting import PATIENCE


def run_tannoy(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`tannoy WORDS…`, until it has ended; `settings` are without their prefix."""
    return subprocess.run(
        [sys.executable, "-m", "tannoy", *words],
        env=environment(settings) | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def run_tannoy_async(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(run_tannoy, *words, **settings)


def is_one_sentence(text: str) -> bool:
    """Whether a command has ended with a message for people, not with a traceback."""
    return text.startswith("tannoy: ") and "Traceback" not in text
