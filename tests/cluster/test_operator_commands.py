"""The commands of operators against a running cluster: what they print, and what they do."""

import json
from collections.abc import AsyncGenerator

import pytest

from tests.support.cluster import Cluster
from tests.support.command_line import is_one_sentence, run_tannoy_async


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    async with Cluster(nodes=2) as running:
        yield running


def _cells(line: str) -> list[str]:
    return line.split()


async def test_nodes_are_shown_with_their_sessions(cluster: Cluster) -> None:
    shown = await run_tannoy_async("nodes", "--url", cluster.nodes[0].url)
    assert shown.returncode == 0
    heads, *rows = shown.stdout.splitlines()
    assert _cells(heads)[:3] == ["node", "sessions", "channels"]
    assert sorted(_cells(row)[0] for row in rows) == ["n1", "n2"]

    answer = await run_tannoy_async("nodes", "--json", "--url", cluster.nodes[0].url)
    assert {node["node"] for node in json.loads(answer.stdout)["nodes"]} == {"n1", "n2"}


async def test_a_room_its_users_and_its_messages_are_shown(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    client = await cluster.nodes[1].connect("/ws/chat/kitchen?user_id=ada&username=Ada")
    await client.ok("message", content={"text": "two\nlines"})

    assert ["kitchen", "1"] in [_cells(line) for line in (await run_tannoy_async("rooms", *url)).stdout.splitlines()]
    (_, user) = (await run_tannoy_async("who", "room:kitchen", *url)).stdout.splitlines()
    assert _cells(user)[:3] == ["ada", "Ada", "1"]
    (_, message) = (await run_tannoy_async("history", "room:kitchen", *url)).stdout.splitlines()
    assert _cells(message)[0] == "1"
    assert message.endswith('Ada   {"text": "two\\nlines"}')
    assert (await run_tannoy_async("who", "room:nowhere", *url)).stdout == "0 users\n"


async def test_a_limit_is_set_and_a_session_that_was_closed_by_it_is_shown(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    first = await cluster.nodes[0].connect("/ws/agents/limited?session_id=first&user_id=ada")
    await cluster.nodes[1].connect("/ws/agents/limited?session_id=second&user_id=ada")

    limited = await run_tannoy_async("limit", "agent:limited", "1", "--policy", "evict_oldest", *url)
    assert limited.stdout == "agent:limited may have 1 sessions; 1 were closed\n"
    assert (await first.bye())[1] == 4500
    shown = (await run_tannoy_async("who", "agent:limited", *url)).stdout
    assert "1 sessions, limit 1, policy evict_oldest" in shown
    assert "agent_max_sessions" in shown


async def test_kicked_sessions_are_disconnected_and_none_is_exit_code_1(cluster: Cluster) -> None:
    url = ("--url", cluster.nodes[0].url)
    client = await cluster.nodes[1].connect("/ws?user_id=bob")

    kicked = await run_tannoy_async("kick", "user:bob", *url)
    assert (kicked.returncode, kicked.stdout) == (0, "disconnected 1 session\n")
    assert (await client.bye())[1] == 4504
    again = await run_tannoy_async("kick", "user:bob", *url)
    assert (again.returncode, again.stdout) == (1, "disconnected 0 sessions\n")


async def test_a_node_is_drained() -> None:
    async with Cluster(nodes=2) as cluster:
        drained = await run_tannoy_async("drain", "n2", "--url", cluster.nodes[0].url)
        assert drained.stdout == "n2 leaves\n"
        assert await cluster.nodes[1].wait() == 0


@pytest.mark.parametrize(
    "words",
    [
        ("who", "lobby"),
        ("kick", "room:lobby"),
        ("history", "user:ada"),
        ("limit", "room:lobby", "3"),
        ("drain", "gone"),
    ],
    ids=lambda words: words[0],
)
async def test_what_can_not_be_done_is_a_sentence_and_exit_code_1(cluster: Cluster, words: tuple[str, ...]) -> None:
    ended = await run_tannoy_async(*words, "--url", cluster.nodes[0].url)
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr)


async def test_help_has_a_short_option(cluster: Cluster) -> None:
    short, long = await run_tannoy_async("kick", "-h"), await run_tannoy_async("kick", "--help")
    assert short.stdout == long.stdout
    assert "Disconnect all sessions" in short.stdout
