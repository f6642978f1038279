"""Which settings an operator is told about at start."""

from pathlib import Path
from typing import Any

import pytest
from tannoy.node.lifecycle import files
from tannoy.node.lifecycle.memory import MEGABYTE, MemoryCgroup
from tannoy.node.setting_warnings import find_file_warnings, find_memory_warnings, find_warnings
from tannoy.shared.settings import Settings


def test_a_node_for_this_machine_alone_needs_no_warning() -> None:
    assert find_warnings(Settings(), {"TANNOY_PORT": "8000"}) == []


def test_a_node_that_listens_on_other_addresses_without_a_key_is_warned_of_both() -> None:
    identity, key = find_warnings(Settings(host="0.0.0.0"), {})

    assert "any client that reaches 0.0.0.0 can choose its identity" in identity
    assert "no TANNOY_API_KEY" in key


def test_a_node_with_a_key_is_not_warned_of_it() -> None:
    assert len(find_warnings(Settings(host="0.0.0.0", api_key="k"), {})) == 1


FOREIGN = {
    "redis://:hunter2@redis:6379": "redis:6379",
    "rediss://10.0.0.1/3": "10.0.0.1:6379",
    "redis+sentinel://127.0.0.1,10.0.0.2/main": "main of Sentinels 127.0.0.1:26379, 10.0.0.2:26379",
    "redis+cluster://10.0.0.1,10.0.0.2": "the cluster of 10.0.0.1:6379, 10.0.0.2:6379",
}
HERE = (
    "redis://127.0.0.1:6379",
    "redis://localhost",
    "redis://[::1]:7000",
    "unix:///run/redis.sock",
    "redis+sentinel://127.0.0.1/main",
    "redis+cluster://localhost:7000",
)


@pytest.mark.parametrize(("url", "shown"), FOREIGN.items())
def test_a_node_without_a_secret_whose_redis_is_elsewhere_is_warned_of_it(url: str, shown: str) -> None:
    (sentence,) = find_warnings(Settings(redis_url=url), {})
    assert sentence.startswith(f"no TANNOY_CLUSTER_SECRET is set: any client that can publish in Redis at {shown} can")
    assert "hunter2" not in sentence


@pytest.mark.parametrize("url", FOREIGN)
def test_a_node_with_a_secret_is_not_warned_of_it(url: str) -> None:
    assert find_warnings(Settings(redis_url=url, cluster_secret="s"), {}) == []


@pytest.mark.parametrize("url", HERE)
def test_a_redis_on_this_machine_needs_no_secret(url: str) -> None:
    assert find_warnings(Settings(redis_url=url), {}) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TANNOY_PROT": "1"}, "unknown settings, perhaps misspelt: TANNOY_PROT"),
        (
            {"TANNOY_PORT": "tcp://10.0.0.1:8000", "TANNOY_SERVICE_HOST": "10.0.0.1"},
            "variables that Kubernetes sets for a service are left out: TANNOY_PORT, TANNOY_SERVICE_HOST",
        ),
    ],
)
def test_variables_that_have_no_effect_are_named_in_one_sentence(variables: dict[str, str], sentence: str) -> None:
    assert find_warnings(Settings(), variables) == [sentence]


def test_settings_of_tokens_have_no_effect_without_tokens() -> None:
    sentence = "these settings have no effect without TANNOY_AUTH=jwt: TANNOY_JWT_AUDIENCE, TANNOY_JWT_SECRET"
    assert find_warnings(Settings(jwt_secret="x", jwt_audience="us"), {}) == [sentence]


def test_a_limit_of_files_that_admits_fewer_sessions_than_the_settings_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tannoy.node.setting_warnings.file_limit", lambda: 1024)
    monkeypatch.setattr(files, "file_limit", lambda: 1024)

    (sentence,) = find_file_warnings(Settings(node_max_sessions=867))

    assert "1024 open files are allowed" in sentence
    assert "about 866 sessions of the TANNOY_NODE_MAX_SESSIONS=867" in sentence
    assert find_file_warnings(Settings(node_max_sessions=866)) == []


def test_a_bound_of_memory_above_what_the_cgroup_may_use_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup = MemoryCgroup(512 * MEGABYTE, Path("/usage"), Path("/stat"), frozenset())
    monkeypatch.setattr("tannoy.node.setting_warnings.find_memory_cgroup", lambda: cgroup)

    (sentence,) = find_memory_warnings(Settings(memory_max_mb=512))

    assert sentence.startswith("TANNOY_MEMORY_MAX_MB=512 has no effect: the cgroup has 512 MB")
    assert find_memory_warnings(Settings(memory_max_mb=511)) == []
    assert find_memory_warnings(Settings(memory_max_mb=0)) == find_memory_warnings(Settings()) == []


def test_a_bound_of_memory_that_can_not_be_measured_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none(max_mb: int | None) -> None:
        return None

    monkeypatch.setattr("tannoy.node.setting_warnings.find_memory_bound", find_none)

    (sentence,) = find_memory_warnings(Settings(memory_max_mb=512))

    assert sentence.startswith("TANNOY_MEMORY_MAX_MB has no effect: a process can't measure its memory")


def test_settings_of_tokens_beside_a_back_end_that_decides_are_warned_of() -> None:
    settings = Settings(auth="hook", hook_auth_url="https://example.org/", jwt_secret="s" * 32, auth_query_token=True)
    assert "these settings have no effect with TANNOY_AUTH=hook: TANNOY_JWT_SECRET" in find_warnings(settings, {})


def test_settings_of_events_without_a_target_are_warned_of() -> None:
    sentence = "these settings have no effect without TANNOY_HOOK_URL: TANNOY_HOOK_EVENTS, TANNOY_HOOK_MESSAGES"
    chosen: dict[str, Any] = {"hook_events": "user_left", "hook_messages": "room:*"}
    assert sentence in find_warnings(Settings(**chosen), {})
    assert sentence not in find_warnings(Settings(hook_url="https://example.org/", **chosen), {})
