"""Installs the built wheel into empty environments, with each extra alone and with all of them, and uses it there.

`make install-check PYTHONS='python3.11 python3.12'` prints a table, and fails where a part that is installed does not
work, or one that is missing does not say which extra brings it. It needs the package registry.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.valkey import Valkey
from tests.support.wheel import PYPROJECT, build_wheel

EXTRAS = ("", *(name for name in PYPROJECT["project"]["optional-dependencies"] if name not in ("run", "dev")))
PACKAGES_MAX = 6
"""Of an installation without extras, Tannoy among them."""
IMPORT_MAX_MS = 30
PARTS = {
    "publish": (
        set[str](),
        "with tannoy.Publisher(sys.argv[1]) as publisher: assert publisher.to_room('lobby', 1).offset",
    ),
    "client": (set[str](), "import tannoy.client, tannoy.client.sync"),
    "settings": ({"server"}, "assert tannoy.Settings(redis_url=sys.argv[1]).port"),
    "node": ({"server"}, "from tannoy.node.app import create_app; create_app(tannoy.Settings(redis_url=sys.argv[1]))"),
    "command line": ({"server"}, "from tannoy.node.cli.main import app; app(['--version'])"),
    "embedding": ({"server"}, "tannoy.Tannoy"),
    "Valkey": ({"embedded"}, "from tannoy.fanout.redis.embedded import EmbeddedValkey as V\nwith V(): pass"),
    "HTTP": (
        {"http"},
        "try: tannoy.Publisher('http://localhost:1', api_key='k', timeout=0.1).open()\n"
        "except tannoy.PublishUnavailable: pass",
    ),
    "hooks": (
        {"server", "hooks"},
        "from tannoy.node.node import Node\n"
        "Node(tannoy.Settings(redis_url=sys.argv[1], hook_url='https://example.org/', hook_secret='s' * 32))",
    ),
    "archive": ({"server", "archive"}, "from tannoy.node.cli.main import app; app(['archive', '--status'])"),
}
"""What to try: the extras that it needs, and a program."""


def _install(python: str, wheel: Path, extra: str, folder: Path) -> Path:
    """The Python of a new environment."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "--only-binary", ":all:", wanted], check=True)
    return folder / "bin/python"


def _run(python: Path, code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": "/usr/bin:/bin", "TANNOY_REDIS_URL": arguments[0] if arguments else ""}
    command = [str(python), "-c", f"import sys, tannoy\n{code}", *arguments]
    return subprocess.run(command, cwd=python.parent, env=environment, capture_output=True, text=True, check=False)


def _try_part(python: Path, extra: str, part: str, redis_url: str) -> str | None:
    """What is wrong with it, if anything."""
    needed, code = PARTS[part]
    missing = set[str]() if extra == "all" else needed - {extra}
    ended = _run(python, code, redis_url)
    if not missing:
        return None if ended.returncode == 0 else f"{part} fails: {ended.stderr[-500:]}"
    is_told = any(f"pip install 'tannoy[{each}]'" in ended.stderr for each in missing)
    return None if is_told else f"{part} does not say what is missing, {missing}: {ended.stderr[-500:]}"


def _check(python: Path, extra: str, redis_url: str) -> list[str]:
    """Print a line of the table; what is wrong."""
    version = _run(python, "print(*sys.version_info[:3], sep='.')").stdout.strip()
    packages = int(_run(python, "import importlib.metadata as m; print(len(list(m.distributions())))").stdout)
    timed = "import time; start = time.perf_counter(); import tannoy; print((time.perf_counter() - start) * 1000)"
    times = [subprocess.run([python, "-c", timed], capture_output=True, check=True, cwd="/") for _ in range(5)]
    fastest = min(float(each.stdout) for each in times)
    problems = [problem for part in PARTS if (problem := _try_part(python, extra, part, redis_url))]
    if not extra and packages > PACKAGES_MAX:
        problems.append(f"{packages} packages")
    if fastest > IMPORT_MAX_MS:
        problems.append(f"import tannoy takes {fastest:.0f} ms")
    line = f"{version:8} {extra or '(none)':9} {packages:3} packages, import {fastest:.1f} ms: {problems or 'good'}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return problems


async def _check_all(pythons: list[str]) -> bool:
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tannoy-install-") as name:
        wheel = build_wheel(Path(name))
        async with Valkey() as valkey:
            for number, python in enumerate(pythons):
                for extra in EXTRAS:
                    folder = Path(name) / f"{number}-{extra}"
                    installed = await asyncio.to_thread(_install, python, wheel, extra, folder)
                    problems += await asyncio.to_thread(_check, installed, extra, valkey.url)
    return not problems


if __name__ == "__main__":
    sys.exit(not asyncio.run(_check_all(sys.argv[1:] or [sys.executable])))
