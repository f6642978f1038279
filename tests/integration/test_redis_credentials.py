"""Who a node logs in to Redis as: users without a password, and credential providers whose passwords change."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tannoy.fanout.cluster.topology import ClusterTopology
from tannoy.fanout.redis.address import ClusterAddress, parse_address
from tannoy.fanout.redis.credentials import load_credentials
from tannoy.fanout.redis.errors import RedisError
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.startup import skip_recovery

from tests.support import credential_providers
from tests.support.cluster import PROJECT, NodeProcess, Transport
from tests.support.command_line import run_tannoy_async
from tests.support.credential_providers import give
from tests.support.node import PATIENT
from tests.support.ports import free_port
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_connections import connected, server_at
from tests.support.redis_servers import SERVERS, RedisServer, binary_of
from tests.support.room_messages import publishes
from tests.support.waiting import PATIENCE, eventually

PROVIDER = f"{credential_providers.__name__}:FromFile"
_ADMIN = {"username": "admin", "password": "admin"}
_ADMIN_USER = "user admin on >admin ~* &* +@all"
_NO_DEFAULT_USER = "user default off"


@pytest.mark.parametrize("server", SERVERS)
async def test_a_user_without_a_password_logs_in_as_itself(server: str) -> None:
    async with RedisServer(binary_of(server), "user app on nopass ~* &* +@all") as redis:
        async with connected(server_at(redis.url.replace("//", "//app@"))) as connection:
            assert await connection.send("ACL", "WHOAMI") == b"app"


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tells the provider what to give."""
    file = tmp_path / "login"
    monkeypatch.setenv(credential_providers.VARIABLE, str(file))
    return file


@asynccontextmanager
async def _node_with_a_provider(redis: RedisServer) -> AsyncGenerator[NodeProcess]:
    await skip_recovery(server_at(redis.url, PROVIDER), "tannoy", PATIENCE)
    settings = {"REDIS_URL": redis.url, "REDIS_CREDENTIALS": PROVIDER}
    node = NodeProcess("n1", Transport.FAST, settings, times=PATIENT)
    try:
        await node.start()
        yield node
    finally:
        await node.close()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_node_comes_back_with_the_password_that_its_provider_gives_then(server: str, login: Path) -> None:
    give(login, "app first")
    user = "user app on >first ~* &* +@all"
    async with RedisServer(binary_of(server), _ADMIN_USER, user, _NO_DEFAULT_USER) as redis:
        async with _node_with_a_provider(redis) as node:
            ada = await node.connect("/ws/chat/lobby?user_id=ada")
            await redis.run("ACL", "SETUSER", "app", "resetpass", ">second", **_ADMIN)
            give(login, "The token service is away")
            await redis.run("CLIENT", "KILL", "USER", "app", **_ADMIN)
            await eventually(lambda: node.has_logged("PermissionError: The token service is away"), what="it says why")
            give(login, "app first")
            await eventually(lambda: _refused(redis), what="the expired password is refused")
            give(login, "app second")
            await eventually(lambda: publishes(ada), what="messages are published again")
            await eventually(node.is_ready, what="the node is ready")
            log = node.log()
    assert "first" not in log
    assert "second" not in log


async def _refused(redis: RedisServer) -> bool:
    log = await redis.run("ACL", "LOG", **_ADMIN)
    return any(entry[b"reason"] == b"auth" for entry in log)


@pytest.mark.parametrize("server", SERVERS)
async def test_expired_credentials_of_a_provider_are_an_error_that_names_it(server: str, login: Path) -> None:
    give(login, "app expired")
    async with RedisServer(binary_of(server), "user app on >renewed ~* &* +@all", _NO_DEFAULT_USER) as redis:
        with pytest.raises(RedisError, match=r"^WRONGPASS .*those of TANNOY_REDIS_CREDENTIALS=.*:FromFile\)$"):
            await connect(server_at(redis.url, PROVIDER), name="test", on_pushes=lambda _: None, timeout=PATIENCE)


async def test_a_cluster_is_asked_and_used_with_the_credentials_of_the_provider(login: Path) -> None:
    give(login, "app secret")
    users = ("user app on >secret ~* &* +@all",)
    async with RedisCluster(binary_of("redis-7.0"), masters=1, to_servers=users) as redis:
        for master in redis.masters:
            await master.run("ACL", "SETUSER", "default", "resetpass", "-@all")
        address = parse_address(redis.url, load_credentials(PROVIDER))
        assert isinstance(address, ClusterAddress)
        topology = ClusterTopology(address)
        await topology.refresh()
        assert topology.slot_map.is_whole
        (address_of_the_master,) = topology.slot_map.masters
        async with connected(address_of_the_master) as connection:
            assert await connection.send("ACL", "WHOAMI") == b"app"


HANGING = f"{credential_providers.__name__}:Hanging"


@pytest.mark.parametrize(
    ("provider", "answer", "complaint"),
    [
        (
            PROVIDER,
            "The token service is away",
            f"TANNOY_REDIS_CREDENTIALS={PROVIDER} gives no credentials: ",
        ),
        (PROVIDER, "app expired", f"TANNOY_REDIS_CREDENTIALS={PROVIDER} has to give those that are valid now"),
        (HANGING, "", f"TANNOY_REDIS_CREDENTIALS={HANGING} has given no credentials within 3 s"),
        (
            "nowhere_at_all:A",
            "",
            "TANNOY_REDIS_CREDENTIALS=nowhere_at_all:A has no module nowhere_at_all: it",
        ),
    ],
)
async def test_a_start_without_valid_credentials_is_an_error_of_one_sentence(
    provider: str, answer: str, complaint: str, login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(login, answer)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    async with RedisServer(binary_of("redis-7.0"), "user app on >renewed ~* &* +@all", _NO_DEFAULT_USER) as redis:
        assert complaint in await _failure_to_start(redis.url, provider)


async def test_a_cluster_and_a_provider_that_hangs_are_an_error_that_names_the_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    async with RedisCluster(binary_of("redis-7.0"), masters=1) as redis:
        sentence = await _failure_to_start(redis.url, HANGING)
    assert f"TANNOY_REDIS_CREDENTIALS={HANGING} has given no credentials within 3.75 s" in sentence


async def _failure_to_start(url: str, provider: str) -> str:
    words = ("node", "--port", str(free_port()))
    ended = await run_tannoy_async(*words, REDIS_URL=url, REDIS_CREDENTIALS=provider)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("tannoy: ")]
    return sentence
