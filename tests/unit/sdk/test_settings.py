"""What a publisher is told, by its arguments and by the environment."""

import pytest
from annotated_types import Ge, Le
from tannoy.sdk.errors import InvalidSettings
from tannoy.sdk.settings import INTEGER_RANGES, PublisherSettings, read_settings
from tannoy.shared.settings import Settings


def test_an_argument_counts_before_the_environment_and_that_before_the_default() -> None:
    environment = {
        "TANNOY_HISTORY_SIZE": " 7 ",
        "tannoy_redis_prefix": "mine",
        "HISTORY_TTL": "9",
        "TANNOY_API_KEY": "",
    }
    settings = read_settings(None, environment, redis_prefix="yours")
    assert (settings.history_size, settings.redis_prefix, settings.history_ttl) == (7, "yours", 300)


def test_the_url_is_that_of_the_nodes_if_none_is_given() -> None:
    environment = {"TANNOY_REDIS_URL": "redis://somewhere"}
    assert read_settings(None, environment).url == "redis://somewhere"
    assert read_settings("redis://elsewhere", environment).url == "redis://elsewhere"
    assert read_settings(None, {}).url == Settings().redis_url.get_secret_value()


def test_defaults_are_those_of_the_nodes() -> None:
    mine, theirs = read_settings(None, {}), Settings()
    for name in ("redis_prefix", "history_size", "history_ttl", "message_max_bytes"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert mine.cluster_secret == theirs.cluster_secret.get_secret_value()


@pytest.mark.parametrize("name", INTEGER_RANGES)
def test_ranges_are_those_of_the_nodes(name: str) -> None:
    bounds = Settings.model_fields[name].metadata
    least, most = next(b.ge for b in bounds if isinstance(b, Ge)), next(b.le for b in bounds if isinstance(b, Le))
    assert (least, most) == INTEGER_RANGES[name]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"TANNOY_HISTORY_SIZE": "-1"}, "TANNOY_HISTORY_SIZE='-1' has to be an integer from 0 to 10000"),
        ({"TANNOY_HISTORY_TTL": "0"}, "TANNOY_HISTORY_TTL='0' has to be an integer from 1 to 2592000"),
        ({"TANNOY_MESSAGE_MAX_BYTES": "many"}, "TANNOY_MESSAGE_MAX_BYTES='many' has to be an integer"),
        ({"TANNOY_REDIS_PREFIX": "a:b"}, "TANNOY_REDIS_PREFIX ='a:b' has to have 1 to 64 characters"),
        ({"TANNOY_REDIS_URL": "localhost:6379"}, "the URL of a publisher has to begin with one of redis://"),
        ({"TANNOY_API_KEY": "k\u00e9y"}, "TANNOY_API_KEY has to consist of visible ASCII characters"),
    ],
)
def test_a_bad_variable_is_told_by_its_name(environment: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidSettings, match=says.replace("(", r"\(")):
        read_settings(None, environment)


@pytest.mark.parametrize("timeout", [0, 0.01, 4000, True, "5"])
def test_a_timeout_out_of_its_range_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidSettings, match=r"timeout=.* has to be a number of seconds from 0.05 to 3600"):
        read_settings(None, {}, timeout=timeout)


def test_what_has_no_effect_is_refused_as_an_argument_and_left_alone_in_the_environment() -> None:
    with pytest.raises(InvalidSettings, match="history_size has no effect over HTTP"):
        read_settings("http://node", {}, history_size=7)
    with pytest.raises(InvalidSettings, match="api_key has no effect with the URL of Redis"):
        read_settings("redis://localhost", {}, api_key="k")
    assert read_settings("http://node", {"TANNOY_HISTORY_SIZE": "7"}).is_http


@pytest.mark.parametrize(
    "url", ["http://u:s-e-c@node", "http://node?s-e-c=1", "http://node#s-e-c", "http:///s-e-c", "http://node:s-e-c"]
)
def test_the_url_of_a_cluster_that_is_not_plain_is_refused_without_a_quote(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"has to be http://HOST:PORT") as refused:
        read_settings(url, {})
    assert "s-e-c" not in str(refused.value)


def test_the_url_of_a_cluster_may_have_a_path() -> None:
    assert read_settings("https://[::1]:8443/rt/", {}).is_http


def test_an_unknown_argument_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidSettings, match=r"no argument secret: allowed are api_key cluster_secret"):
        read_settings(None, {}, secret="x")  # type: ignore[call-arg]


def test_no_secret_is_shown() -> None:
    settings = PublisherSettings("redis://:p-a-s-s@h", api_key="k-e-y", cluster_secret="s-e-c")
    assert not any(secret in repr(settings) for secret in ("p-a-s-s", "k-e-y", "s-e-c"))
