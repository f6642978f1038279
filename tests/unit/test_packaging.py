"""What gets into the wheel is what is in the folders; no address of a registry or path of a machine is in the tree."""

import json
import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from tannoy.shared.extras import (
    ARCHIVE_PACKAGES,
    EMBEDDED_PACKAGES,
    HOOKS_PACKAGES,
    HTTP_PACKAGES,
    METRICS_PACKAGES,
    SERVER_PACKAGES,
)

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("client", "embedding", "node", "fanout", "sdk", "shared")
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def test_every_folder_with_python_in_a_layer_is_a_listed_package() -> None:
    folders = {path.parent for layer in LAYERS for path in (PROJECT / layer).rglob("*.py")}

    packages = {"tannoy." + ".".join(folder.relative_to(PROJECT).parts) for folder in folders}

    assert {"tannoy", *packages} == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_every_data_file_of_a_layer_is_matched_by_package_data() -> None:
    """But those of the TypeScript client, which is a package of its own: the wheel has the file that is built of it."""
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
    data = {
        path.relative_to(PROJECT / layer)
        for layer in LAYERS
        for path in (PROJECT / layer).rglob("*")
        if path.is_file()
        and path.suffix != ".py"
        and "__pycache__" not in path.parts
        and not path.is_relative_to(PROJECT / "client/js")
    }

    assert [str(path) for path in sorted(data) if not any(path.match(pattern) for pattern in patterns)] == []


def test_the_version_stands_in_the_changelog() -> None:
    version = PYPROJECT["project"]["version"]

    assert f"## {version}" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_typescript_client_has_the_version_of_the_cluster() -> None:
    package = json.loads((PROJECT / "client/js/package.json").read_text())

    assert package["version"] == PYPROJECT["project"]["version"]


def _pins(lock: str) -> dict[str, str]:
    """What a lock says of each package, by `NAME==VERSION`, without who asked for it."""
    blocks = re.findall(
        r"^([a-z0-9._-]+==\S+)([^\n]*\n(?:    --[^\n]*\n)*)", (PROJECT / lock).read_text(), re.MULTILINE
    )
    return dict(blocks)


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=~!]", requirement)[0].lower() for requirement in requirements} - {"tannoy"}


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ["run", "dev"]), ("requirements-run.lock", ["run"])]
)
def test_a_lock_holds_every_dependency_with_hashes(lock: str, extras: list[str]) -> None:
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    pins = _pins(lock)

    assert _names(wanted) - {pin.partition("==")[0] for pin in pins} == set()
    assert [pin for pin, rest in pins.items() if "--hash=sha256:" not in rest] == []


def test_what_runs_is_what_was_tested() -> None:
    assert _pins("requirements-run.lock").items() <= _pins("requirements.lock").items()


def test_running_installs_no_tool_of_development() -> None:
    tools = _names(PYPROJECT["project"]["optional-dependencies"]["dev"]) - {"anyio"}  # which Starlette needs

    assert {pin.partition("==")[0] for pin in _pins("requirements-run.lock")} & tools == set()


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("server", SERVER_PACKAGES),
        ("embedded", EMBEDDED_PACKAGES),
        ("http", HTTP_PACKAGES),
        ("metrics", METRICS_PACKAGES),
        ("archive", ARCHIVE_PACKAGES),
        ("hooks", HOOKS_PACKAGES),
    ],
)
def test_the_modules_that_are_looked_for_are_those_that_the_extra_brings(extra: str, modules: tuple[str, ...]) -> None:
    distributions = packages_distributions()
    found = {name.lower().replace("_", "-") for module in modules for name in distributions[module]}

    brought_by_an_extra = {"cryptography", "greenlet", "h2"}  # of pyjwt[crypto], sqlalchemy[asyncio] and httpx[http2]
    assert found - brought_by_an_extra == _names(PYPROJECT["project"]["optional-dependencies"][extra])


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(r"(pypi|pythonhosted)\.org|registry\.npmjs\.org|deb\.debian\.org", id="a registry's address"),
        pytest.param(r"(?<![\w.])/(work|root|home/\w+)/", id="a path of a machine"),
    ],
)
def test_nothing_tracked_names(what: str) -> None:
    named = re.compile(what)
    texts = [path for path in _tracked() if path.suffix not in (".png", ".svg") and path != Path(__file__)]

    assert [str(path) for path in texts if named.search(path.read_text(errors="replace"))] == []
