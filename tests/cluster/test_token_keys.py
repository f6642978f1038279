"""Nodes that read the keys of tokens from their issuer, which rotates them."""

import time

import pytest

from tests.support.client import Client
from tests.support.cluster import Cluster, NodeProcess
from tests.support.command_line import is_one_sentence, run_tannoy
from tests.support.forged_tokens import OTHER_RSA_KEY, RSA_KEY, signed
from tests.support.key_server import KeyServer, key_set
from tests.support.ports import free_port
from tests.support.waiting import eventually


def token_of(key: object, key_id: str) -> str:
    return signed(key, "RS256", {"kid": key_id}, exp=time.time() + 600)


async def connect(node: NodeProcess, token: str) -> Client:
    headers = {"Authorization": f"Bearer {token}"}
    return await Client.open(f"{node.ws_url}/ws/chat/lobby", additional_headers=headers)


async def outcome(node: NodeProcess, token: str) -> tuple[str, int, bool]:
    """WELCOME, or the code of the error, that of the close frame, and whether the client is to come back."""
    client = await connect(node, token)
    try:
        first = await client.find(lambda frame: frame["type"] in ("welcome", "error"), "what becomes of the token")
        if first["type"] == "welcome":
            return WELCOME
        bye, code = await client.bye()
        assert first.get("retry_after") == bye.get("retry_after")
        return first["code"], code, bye["reconnect"] and "retry_after" in bye
    finally:
        await client.close()


WELCOME = ("welcome", 0, True)
COME_BACK = ("unavailable", 1013, True)
STAY_AWAY = ("bad_token", 4501, False)


async def test_tokens_of_a_rotated_key_are_accepted_without_a_restart() -> None:
    with KeyServer(key_set(old=RSA_KEY)).running() as issuer:
        async with Cluster(nodes=1, AUTH="jwt", JWKS_URL=issuer.url) as cluster:
            (node,) = cluster.nodes
            assert await outcome(node, token_of(RSA_KEY, "old")) == WELCOME
            assert await outcome(node, token_of(OTHER_RSA_KEY, "old")) == STAY_AWAY

            issuer.body = key_set(new=OTHER_RSA_KEY)
            assert await outcome(node, token_of(OTHER_RSA_KEY, "new")) == COME_BACK

            async def is_welcome() -> bool:
                return await outcome(node, token_of(OTHER_RSA_KEY, "new")) == WELCOME

            await eventually(is_welcome, what="the new key is known")
            assert await outcome(node, token_of(RSA_KEY, "old")) in (COME_BACK, STAY_AWAY)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "it is not JSON"), (500, "the answer is 500"), (302, "a redirect, which is not followed")],
)
def test_a_node_without_keys_does_not_start(status: int, reason: str) -> None:
    with KeyServer(b"<html>").running() as issuer:
        issuer.status = status
        ended = run_tannoy("node", "--port", str(free_port()), AUTH="jwt", JWKS_URL=issuer.url)
    assert ended.returncode == 1
    assert is_one_sentence(ended.stderr.splitlines()[-1])
    assert f"TANNOY_JWKS_URL={issuer.url} can't be read" in ended.stderr
    assert reason in ended.stderr
