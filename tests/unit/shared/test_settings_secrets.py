"""Settings that hold a secret: the address of Redis, and keys. No error and no text of the settings shows one."""

import traceback

import pytest
from tannoy.shared.errors import StartError
from tannoy.shared.settings import load_settings

from tests.support.setting_variables import Environment, complaint

pytestmark = pytest.mark.usefixtures("environment")
SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://h:1/2",
        "unix:///run/redis.sock",
        "redis+sentinel://h1,[::1]:1/m",
        "redis+cluster://h1:1,[::1]",
        "rediss+cluster://h1",
    ],
)
def test_a_redis_url_of_a_known_scheme_is_read(environment: Environment, url: str) -> None:
    environment.setenv("TANNOY_REDIS_URL", url)
    assert load_settings().redis_url.get_secret_value() == url


@pytest.mark.parametrize("url", ["localhost:6379", "http://h", "redis+ring://h"])
def test_a_redis_url_of_another_scheme_is_refused(environment: Environment, url: str) -> None:
    environment.setenv("TANNOY_REDIS_URL", url)
    message = complaint()
    assert message.startswith("TANNOY_REDIS_URL: ")
    assert "redis://, rediss://, unix://, redis+sentinel://" in message


@pytest.mark.parametrize("url", [f"http://u:{SECRET}@h", f"redis+ring://:{SECRET}@h"])
def test_a_refused_redis_url_does_not_show_its_password(environment: Environment, url: str) -> None:
    environment.setenv("TANNOY_REDIS_URL", url)
    assert SECRET not in complaint()


@pytest.mark.parametrize("url", [f"http://u:{SECRET}@h", f"redis+ring://:{SECRET}@h"])
def test_the_traceback_of_a_refused_redis_url_does_not_show_its_password(environment: Environment, url: str) -> None:
    environment.setenv("TANNOY_REDIS_URL", url)
    with pytest.raises(StartError) as caught:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_settings_do_not_show_their_secrets(environment: Environment) -> None:
    for name in ("REDIS_URL", "CLUSTER_SECRET", "API_KEY"):
        environment.setenv(f"TANNOY_{name}", f"redis://:{SECRET}@h")
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize("name", ["api_key", "cluster_secret", "redis_url"])
def test_white_space_around_a_secret_is_removed(environment: Environment, name: str) -> None:
    environment.setenv(f"TANNOY_{name.upper()}", f" redis://{SECRET}\n")
    assert getattr(load_settings(), name).get_secret_value() == f"redis://{SECRET}"


@pytest.mark.parametrize("key", ["two words", "sécret", "line\nfeed"])
def test_an_api_key_that_no_header_can_carry_is_refused_without_showing_it(environment: Environment, key: str) -> None:
    environment.setenv("TANNOY_API_KEY", key)
    assert complaint() == (
        "TANNOY_API_KEY: has to consist of visible ASCII characters, since callers send it in an HTTP header"
    )
