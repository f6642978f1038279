"""The package `tannoy` itself: what its import loads, its public names, and the error where an extra is missing."""

import subprocess
import sys
from importlib.metadata import version

import pytest
import tannoy
from tannoy.shared.extras import MissingExtra, require_extra
from tannoy.shared.settings import Settings


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip()


def test_import_of_tannoy_imports_nothing_else() -> None:
    loaded = _run("import importlib, sys; before = set(sys.modules); import tannoy; print(*set(sys.modules) - before)")

    assert loaded == "tannoy"


def test_a_publisher_is_there_without_a_client_of_redis_or_http_and_without_what_a_node_needs() -> None:
    loaded = _run("import sys; from tannoy import AsyncPublisher, Publisher; print(*sys.modules)").split()

    others = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - {"tannoy", "__main__"}
    assert others & {"redis", "httpx", "pydantic", "structlog", "starlette", "typer", "websockets"} == set()
    assert [name for name in loaded if name.startswith(("tannoy.node", "tannoy.fanout"))] == []


def test_a_client_needs_the_packages_of_the_wire_formats_and_of_websockets_alone() -> None:
    loaded = _run("import sys; import tannoy.client.client, tannoy.client.sync; print(*sys.modules)").split()

    others = {"pydantic", "redis", "httpx", "structlog", "starlette", "uvicorn", "uvloop", "typer", "rich"}
    assert {name.split(".")[0] for name in loaded} & others == set()
    assert [name for name in loaded if name.startswith(("tannoy.node", "tannoy.fanout"))] == []


def test_every_public_name_is_an_attribute_and_listed() -> None:
    assert all(getattr(tannoy, name) is not None for name in tannoy.__all__)
    assert set(tannoy.__all__) <= set(dir(tannoy))


def test_settings_of_the_package_are_those_of_the_module() -> None:
    assert tannoy.Settings is Settings


def test_version_is_that_of_the_installed_distribution() -> None:
    assert tannoy.__version__ == version("tannoy")


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="'tannoy' has no attribute 'nothing'"):
        _ = tannoy.nothing


def test_python_m_tannoy_is_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "tannoy", "--version"], capture_output=True, check=True, text=True)

    assert tannoy.__version__ in shown.stdout


def test_import_of_the_node_without_the_server_packages_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"tannoy\.node needs no_such_package.*pip install 'tannoy\[server\]'"):
        require_extra("server", ["json", "no_such_package"], importer="tannoy.node")


def test_import_of_the_node_checks_for_the_server_packages() -> None:
    hidden = "import sys; sys.modules['starlette'] = None\ntry: import tannoy.node\nexcept ImportError as e: print(e)"

    assert _run(hidden) == "tannoy.node needs starlette, not installed: pip install 'tannoy[server]'"
