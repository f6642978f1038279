"""What gets into the wheel is what is in the folders; no address of a registry or path of a machine is in the tree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
LAYERS = ("client", "node", "fanout", "shared")
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True, text=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def test_every_folder_with_python_in_a_layer_is_a_listed_package() -> None:
    folders = {path.parent for layer in LAYERS for path in (PROJECT / layer).rglob("*.py")}

    packages = {"tannoy." + ".".join(folder.relative_to(PROJECT).parts) for folder in folders}

    assert {"tannoy", *packages} == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_every_data_file_of_a_layer_is_matched_by_package_data() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
    data = {
        path.relative_to(PROJECT / layer)
        for layer in LAYERS
        for path in (PROJECT / layer).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }

    assert [str(path) for path in sorted(data) if not any(path.match(pattern) for pattern in patterns)] == []


def test_the_version_stands_in_the_changelog() -> None:
    version = PYPROJECT["project"]["version"]

    assert f"## {version}" in (PROJECT / "CHANGELOG.md").read_text()


def test_the_lock_holds_every_dependency_with_hashes() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[\[><=~!]", requirement)[0].lower() for requirement in wanted]

    assert [name for name in names if not re.search(rf"^{re.escape(name)}==", lock, re.MULTILINE)] == []
    pinned = re.findall(r"^[a-z0-9._-]+==[^\n]*\n(?:    [^\n]*\n)*", lock, re.MULTILINE)
    assert [block.split()[0] for block in pinned if "--hash=sha256:" not in block] == []


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
