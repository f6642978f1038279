"""How a node gets in to Redis: credentials that change, certificates that are renewed, names with several addresses."""

import shutil
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tannoy.fanout.cluster.topology import ClusterTopology, NoCluster
from tannoy.fanout.redis.address import ClusterAddress, RedisAddress, SentinelAddress, parse_address
from tannoy.fanout.redis.connection import RedisConnection, connect
from tannoy.fanout.redis.credentials import load_credentials
from tannoy.fanout.redis.errors import CannotConnect, RedisError
from tannoy.fanout.redis.query import query_server
from tannoy.fanout.redis.sentinel import MasterDiscovery, NoMaster
from tannoy.fanout.startup import skip_recovery

from tests.support import credential_providers
from tests.support.certificates import Certificates
from tests.support.client import Client
from tests.support.cluster import NodeProcess, Transport
from tests.support.credential_providers import give
from tests.support.names import resolve_as, swallows_packets
from tests.support.node import PATIENT
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_servers import MASTER, SERVERS, RedisServer, Watched, binary_of, two_nodes
from tests.support.waiting import PATIENCE, eventually

PROVIDER = f"{credential_providers.__name__}:FromFile"
_ADMIN = {"username": "admin", "password": "admin"}
_ADMIN_USER = "user admin on >admin ~* &* +@all"
_NO_DEFAULT_USER = "user default off"


def server_at(url: str, credentials: str | None = None) -> RedisAddress:
    address = parse_address(url, None if credentials is None else load_credentials(credentials))
    assert isinstance(address, RedisAddress)
    return address


@asynccontextmanager
async def connected(address: RedisAddress | MasterDiscovery) -> AsyncGenerator[RedisConnection]:
    connection = await connect(address, name="test", on_pushes=lambda _: None, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.abort()


# ---- who logs in


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


async def _publishes(client: Client) -> bool:
    answer = await client.call("message", content="again")
    return bool(answer["type"] == "ok")


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
            await eventually(lambda: _logs(node, "PermissionError: The token service is away"), what="it says why")
            give(login, "app first")
            await eventually(lambda: _refused(redis), what="the expired password is refused")
            give(login, "app second")
            await eventually(lambda: _publishes(ada), what="messages are published again")
            await eventually(node.is_ready, what="the node is ready")
            log = node.log()
    assert "first" not in log
    assert "second" not in log


async def _logs(node: NodeProcess, text: str) -> bool:
    return text in node.log()


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


# ---- names with several addresses


@pytest.mark.parametrize("attempts_before", [0, 1])
async def test_a_server_whose_first_address_swallows_packets_is_reached(
    attempts_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_as(monkeypatch, "redis.test", "127.0.2.1", "127.0.0.1")
    async with RedisServer(binary_of("redis-7.0")) as redis:
        with swallows_packets("127.0.2.1", redis.port):
            for _ in range(attempts_before + 1):
                address = server_at(f"redis://redis.test:{redis.port}")
                connection = await connect(address, name="test", on_pushes=lambda _: None, timeout=4.0)
                connection.abort()


async def test_a_sentinel_whose_first_address_swallows_packets_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_as(monkeypatch, "sentinel.test", "127.0.2.2", "127.0.0.1")
    async with Watched(binary_of("redis-7.0"), replicas=1, sentinels=1) as redis:
        port = redis.sentinels[0].port
        with swallows_packets("127.0.2.2", port):
            address = parse_address(f"redis+sentinel://sentinel.test:{port}/{MASTER}")
            assert isinstance(address, SentinelAddress)
            discovery = MasterDiscovery(address)
            await eventually(lambda: _locates(discovery), what="the Sentinel names the master")
            assert discovery.newest is not None
            assert discovery.newest.server.port == redis.servers[0].port


async def _locates(discovery: MasterDiscovery) -> bool:
    try:
        await discovery.locate(query_server)
    except NoMaster:
        return False
    return True


async def test_a_cluster_seed_whose_first_address_swallows_packets_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_as(monkeypatch, "seed.test", "127.0.2.3", "127.0.0.1")
    async with RedisCluster(binary_of("redis-7.0"), masters=1) as redis:
        port = redis.masters[0].port
        with swallows_packets("127.0.2.3", port):
            address = parse_address(f"redis+cluster://seed.test:{port}")
            assert isinstance(address, ClusterAddress)
            topology = ClusterTopology(address)
            await eventually(lambda: _is_read(topology), what="the seed gives the slot map")
            assert topology.slot_map.is_whole


async def _is_read(topology: ClusterTopology) -> bool:
    try:
        await topology.refresh()
    except NoCluster:
        return False
    return True


# ---- certificates


async def test_a_renewed_certificate_is_used_by_the_next_connection(tmp_path: Path) -> None:
    old, new = Certificates(tmp_path / "old"), Certificates(tmp_path / "new")
    used = tmp_path / "used"
    shutil.copytree(tmp_path / "old", used)
    names = f"ssl_ca_certs={used}/authority.crt&ssl_certfile={used}/client.crt&ssl_keyfile={used}/client.key"
    async with (
        RedisServer(binary_of("redis-7.0"), tls=old) as before,
        RedisServer(binary_of("redis-7.0"), tls=new) as after,
    ):
        first = server_at(f"rediss://127.0.0.1:{before.port}?{names}")
        async with connected(first):
            pass

        (used / "client.crt").write_text("half of a certificate, as it is being written")
        with pytest.raises(CannotConnect, match=r"ssl_certfile=.*/client.crt, ssl_keyfile=.* can't be read"):
            await connect(first, name="test", on_pushes=lambda _: None, timeout=PATIENCE)

        shutil.copytree(tmp_path / "new", used, dirs_exist_ok=True)
        async with connected(replace(first, port=after.port)):
            pass


async def test_a_node_goes_on_while_its_certificate_is_being_replaced(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    async with RedisServer(binary_of("redis-7.0"), tls=certificates) as redis:
        url = f"rediss://127.0.0.1:{redis.port}?{certificates.parameters}"
        await skip_recovery(parse_address(url), "tannoy", PATIENCE)
        node = NodeProcess("n1", Transport.FAST, {"REDIS_URL": url}, times=PATIENT)
        try:
            await node.start()
            ada = await node.connect("/ws/chat/lobby?user_id=ada")
            certificate = certificates.client[0]
            whole = certificate.read_text()
            certificate.write_text(whole[: len(whole) // 2])
            redis.kill()
            await redis.start()
            await eventually(lambda: _logs(node, "can't be read"), what="it says why")
            certificate.write_text(whole)
            await eventually(lambda: _publishes(ada), what="messages are published again")
        finally:
            await node.close()


async def test_only_the_authorities_of_the_url_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the system too, as redis-py would have it: without its name, any public certificate would do."""
    ours, of_the_system = Certificates(tmp_path / "ours"), Certificates(tmp_path / "system")
    monkeypatch.setenv("SSL_CERT_FILE", str(of_the_system.authority[0]))
    async with RedisServer(binary_of("redis-7.0"), tls=of_the_system) as redis:
        url = f"rediss://127.0.0.1:{redis.port}?ssl_check_hostname=false&ssl_ca_certs={ours.authority[0]}"
        for refused in (
            connect(server_at(url), name="test", on_pushes=lambda _: None, timeout=PATIENCE),
            query_server(server_at(url), (("PING",),), PATIENCE),
        ):
            with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate in certificate chain"):
                await refused


async def test_a_cluster_that_tells_of_addresses_is_verified_by_the_name_of_the_seed(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, names="DNS:localhost")
    async with RedisCluster(binary_of("redis-7.0"), masters=2, tls=certificates) as redis:
        port = redis.masters[0].port
        url = f"rediss+cluster://localhost:{port}?{certificates.parameters}"
        async with two_nodes(url, times=PATIENT) as nodes:
            await _hear_each_other(nodes)


async def test_a_certificate_for_the_address_that_a_cluster_tells_is_as_good_as_one_for_the_seed(
    tmp_path: Path,
) -> None:
    certificates = Certificates(tmp_path, names="IP:127.0.0.1")
    address = parse_address(f"rediss+cluster://seed.test?{certificates.parameters}")
    assert isinstance(address, ClusterAddress)
    async with RedisServer(binary_of("redis-7.0"), tls=certificates) as redis:
        told = address.at("127.0.0.1", redis.port)
        async with connected(told):
            pass
        assert await query_server(told, (("CONFIG", "GET", "port"),), PATIENCE) == [{b"port": b"0"}]


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, names="DNS:another.test")
    address = parse_address(f"rediss+cluster://localhost?{certificates.parameters}")
    assert isinstance(address, ClusterAddress)
    async with RedisServer(binary_of("redis-7.0"), tls=certificates) as redis:
        told = address.at("127.0.0.1", redis.port)
        for refused in (
            connect(told, name="test", on_pushes=lambda _: None, timeout=PATIENCE),
            query_server(told, (("PING",),), PATIENCE),
        ):
            with pytest.raises(ssl.SSLCertVerificationError, match=r"certificate is not valid for '127\.0\.0\.1'"):
                await refused


async def test_a_master_that_sentinels_tell_of_is_verified_by_the_name_of_the_sentinels(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, names="DNS:localhost")
    async with Watched(binary_of("redis-7.0"), replicas=1, sentinels=1, tls=certificates) as redis:
        url = f"rediss+sentinel://localhost:{redis.sentinels[0].port}/{MASTER}?{certificates.parameters}"
        async with two_nodes(url, times=PATIENT) as nodes:
            await _hear_each_other(nodes)


async def _hear_each_other(nodes: list[NodeProcess]) -> None:
    ada = await nodes[0].connect("/ws/chat/lobby?user_id=ada")
    bob = await nodes[1].connect("/ws/chat/lobby?user_id=bob")
    await ada.ok("message", content="hello")
    assert await bob.contents(1) == ["hello"]
