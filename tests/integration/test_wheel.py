"""The built wheel in a user's project: what it holds, and what a strict type checker says of its use."""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("client", "node", "fanout", "sdk", "shared")
PROGRAM = """
from pathlib import Path

from starlette.applications import Starlette
from tannoy import Settings, __version__
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
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel in it, and with the other packages of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # without what an earlier build has left in the checkout
    for layer in LAYERS:
        shutil.copytree(PROJECT / layer, source / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for file in PROJECT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, *build, str(source)], check=True)
    venv.create(folder / "env")
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    with zipfile.ZipFile(next(folder.glob("tannoy-*.whl"))) as wheel:
        wheel.extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env/bin/python"


def test_a_program_that_uses_the_settings_passes_mypy_in_its_strict_mode(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed), "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.stdout, checked.returncode) == ("Success: no issues found in 1 source file\n", 0)


def test_the_command_of_the_wheel_runs(installed: Path, tmp_path: Path) -> None:
    shown = subprocess.run(
        [str(installed), "-m", "tannoy", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert "A WebSocket broadcast cluster" in shown.stdout
