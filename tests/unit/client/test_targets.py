"""What a command is aimed at, and the paths that reach it."""

import pytest
from tannoy.client.errors import ClientError
from tannoy.client.targets import build_url, check_target, check_url, has_history, publish_path, websocket_path
from tannoy.shared.errors import BadName, BadRequest


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("room:lobby", "/api/v1/rooms/lobby/messages"),
        ("agent:42", "/api/v1/agents/42/messages"),
        ("agent:42/laptop", "/api/v1/agents/42/sessions/laptop/messages"),
        ("user:ada@example.com", "/api/v1/users/ada%40example.com/messages"),
    ],
)
def test_publish_path_of_each_kind_of_target_is_that_of_the_http_api(target: str, path: str) -> None:
    assert publish_path(target) == path


@pytest.mark.parametrize("target", ["lobby", "channel:lobby", "", ":lobby"])
def test_publish_path_of_an_unknown_kind_is_refused_with_the_allowed_forms(target: str) -> None:
    with pytest.raises(BadRequest, match="room:NAME, agent:ID, agent:ID/SESSION, user:ID"):
        publish_path(target)


@pytest.mark.parametrize("target", ["room:", "room:a b", "agent:42/", "agent:/laptop", "user:ä"])
def test_publish_path_of_a_bad_name_is_refused(target: str) -> None:
    with pytest.raises(BadName):
        publish_path(target)


def test_websocket_path_of_rooms_and_agents_is_their_endpoint() -> None:
    assert websocket_path("room:a:b") == "/ws/chat/a%3Ab"
    assert websocket_path("agent:42") == "/ws/agents/42"


def test_websocket_path_of_a_user_is_refused() -> None:
    with pytest.raises(BadRequest, match="can't be watched"):
        websocket_path("user:ada")


@pytest.mark.parametrize(
    ("target", "kinds"),
    [("room:a", ("room",)), ("agent:a", ("room", "agent")), ("agent:a/s", ("session",)), ("user:a", ("user",))],
)
def test_check_target_accepts_a_target_of_an_allowed_kind(target: str, kinds: tuple[str, ...]) -> None:
    check_target(target, kinds)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("user:ada", "allowed are room:NAME, agent:ID$"),
        ("agent:a/s", "allowed are room:NAME, agent:ID$"),
        ("room:a b", "must not contain ' '"),
    ],
)
def test_check_target_of_another_kind_or_a_bad_name_raises_a_sentence(target: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_target(target, ("room", "agent"))


def test_messages_to_rooms_and_whole_agents_alone_have_a_history() -> None:
    targets = ["room:a", "agent:a", "agent:a/s", "user:a"]

    assert [target for target in targets if has_history(target)] == ["room:a", "agent:a"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("example.com", "http://example.com:8000"),
    ],
)
def test_url_of_a_server_on_every_interface_is_that_of_loopback(host: str, url: str) -> None:
    assert build_url(host, 8000) == url


def test_check_url_removes_the_slash_at_the_end() -> None:
    assert check_url("https://example.com/tannoy/") == "https://example.com/tannoy"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://[::1", "http://a b", "http://a:port"])
def test_check_url_of_anything_but_http_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="http://HOST:PORT"):
        check_url(url)
