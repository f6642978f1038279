"""The variables that settings are read from: the environment before `.env`, and what counts as not set."""

from pathlib import Path

import pytest
from tannoy.shared.errors import StartError
from tannoy.shared.variables import is_service_link, read_variables


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_only_names_with_the_prefix_are_read_in_upper_case() -> None:
    environment = {"TANNOY_PORT": "1", "tannoy_host": "h", "PORT": "2", "MY_TANNOY_PORT": "3"}

    assert read_variables(environment) == {"TANNOY_PORT": "1", "TANNOY_HOST": "h"}


def test_the_environment_takes_precedence_over_the_file(folder: Path) -> None:
    (folder / ".env").write_text("TANNOY_PORT=1\nTANNOY_HOST=file\n")

    assert read_variables({"TANNOY_PORT": "2"}) == {"TANNOY_PORT": "2", "TANNOY_HOST": "file"}


@pytest.mark.parametrize("value", ["secret\n", "  secret", "\tsecret\r\n"])
def test_white_space_around_a_value_is_removed(value: str) -> None:
    assert read_variables({"TANNOY_API_KEY": value}) == {"TANNOY_API_KEY": "secret"}


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_a_variable_without_a_value_is_not_set(folder: Path, value: str) -> None:
    (folder / ".env").write_text("TANNOY_PORT=1\nTANNOY_HOST=\nTANNOY_NODE_ID\n")

    assert read_variables({"TANNOY_PORT": value, "TANNOY_API_KEY": value}) == {"TANNOY_PORT": "1"}


def test_a_byte_order_mark_does_not_hide_the_first_name_of_the_file(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xef\xbb\xbfTANNOY_PORT=8123\nTANNOY_HOST=h\n")

    assert read_variables({}) == {"TANNOY_PORT": "8123", "TANNOY_HOST": "h"}


def test_a_file_that_is_not_utf_8_is_a_start_error_that_names_the_byte(folder: Path) -> None:
    (folder / ".env").write_bytes("TANNOY_NODE_ID=café\n".encode("latin-1"))

    with pytest.raises(StartError, match=rf"{folder}/\.env, at byte 18, is not UTF-8"):
        read_variables({})


SERVICE_LINKS = [
    ("TANNOY_PORT", "tcp://10.96.0.12:8000"),
    ("TANNOY_PORT", "udp://10.96.0.12:8000"),
    ("TANNOY_PORT_8000_TCP", "tcp://10.96.0.12:8000"),
    ("TANNOY_PORT_8000_TCP_PROTO", "tcp"),
    ("TANNOY_PORT_8000_TCP_PORT", "8000"),
    ("TANNOY_PORT_8000_TCP_ADDR", "10.96.0.12"),
    ("TANNOY_SERVICE_HOST", "10.96.0.12"),
    ("TANNOY_SERVICE_PORT", "8000"),
    ("TANNOY_SERVICE_PORT_HTTP", "8000"),
    ("TANNOY_REDIS_PORT", "tcp://10.96.0.13:6379"),
    ("TANNOY_REDIS_SERVICE_HOST", "10.96.0.13"),
    ("TANNOY_REDIS_PORT_6379_TCP_ADDR", "10.96.0.13"),
]


@pytest.mark.parametrize(("name", "value"), SERVICE_LINKS)
def test_a_variable_that_kubernetes_sets_for_a_service_is_a_service_link(name: str, value: str) -> None:
    assert is_service_link(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TANNOY_PORT", "8000"), ("TANNOY_PORT", "http://h"), ("TANNOY_HOST", "0.0.0.0"), ("TANNOY_PROT", "tcp://h:1")],
)
def test_a_setting_or_a_misspelt_one_is_no_service_link(name: str, value: str) -> None:
    assert not is_service_link(name, value)
