"""The wheel of the project, and environments to install it into."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
LAYERS = sorted({name.split(".")[1] for name in PYPROJECT["tool"]["setuptools"]["packages"] if "." in name})


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the checkout, without what an earlier build has left in it."""
    source = folder / "source"
    for layer in LAYERS:
        shutil.copytree(PROJECT / layer, source / layer, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for file in PROJECT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    warnings = {**os.environ, "PYTHONWARNINGS": "ignore"}  # setuptools takes folders of data files for packages
    subprocess.run([sys.executable, *build, str(source)], check=True, env=warnings)
    return next(folder.glob("tannoy-*.whl"))
