"""Where settings come from: `.env`, the environment, overrides of the command line, and arguments of a program."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from tannoy.shared.errors import StartError
from tannoy.shared.policy import SlowPolicy
from tannoy.shared.settings import Settings, SettingValues, load_settings, unknown_settings

from tests.support.setting_variables import Environment

pytestmark = pytest.mark.usefixtures("environment")


def test_dotenv_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TANNOY_PORT=8123\nTANNOY_API_KEY='quoted'\nOTHER=1\n")
    settings = load_settings()
    assert (settings.port, settings.api_key) == (8123, SecretStr("quoted"))


def test_the_environment_takes_precedence_over_dotenv(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TANNOY_PORT=8123\n")
    environment.setenv("TANNOY_PORT", "8124")
    assert load_settings().port == 8124


def test_an_override_takes_precedence_over_the_environment(environment: Environment) -> None:
    environment.setenv("TANNOY_PORT", "8124")
    assert load_settings(port=8125).port == 8125


def test_an_override_of_none_is_ignored(environment: Environment) -> None:
    environment.setenv("TANNOY_PORT", "8124")
    assert load_settings(port=None).port == 8124


def test_a_bad_override_is_refused_like_a_bad_variable() -> None:
    with pytest.raises(StartError, match="TANNOY_PORT=0: "):
        load_settings(port=0)


def test_a_misspelt_setting_is_listed() -> None:
    assert unknown_settings(["TANNOY_PROT", "TANNOY_PORT", "TANNOY_HISTORY_SIZE"]) == ["TANNOY_PROT"]


def test_an_unknown_argument_is_refused() -> None:
    arguments: Any = {"prot": 1}
    with pytest.raises(ValidationError, match="prot"):
        Settings(**arguments)


def test_arguments_are_converted_like_variables() -> None:
    settings = Settings(redis_url="rediss://h", slow_policy="skip", log_file="log", allowed_origins=["https://a.b/"])
    assert settings.redis_url.get_secret_value() == "rediss://h"
    assert (settings.slow_policy, settings.log_file) == (SlowPolicy.SKIP, Path("log"))
    assert settings.allowed_origins == ("https://a.b",)


def test_the_environment_is_not_read_for_arguments(environment: Environment) -> None:
    environment.setenv("TANNOY_PORT", "8124")
    assert Settings().port == 8000


def test_the_arguments_that_type_checkers_know_are_all_settings() -> None:
    assert SettingValues.__annotations__.keys() == Settings.model_fields.keys()
