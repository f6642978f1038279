import os
from pathlib import Path

import pytest

from tests.support.setting_variables import Environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """An empty folder, and nothing of ours in the environment."""
    for name in os.environ:
        if name.startswith("TANNOY_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch
