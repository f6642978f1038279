"""Certificates: renewed while nodes run, trusted by the authorities of the URL alone, and for which names."""

import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from tannoy.fanout.redis.address import ClusterAddress, parse_address
from tannoy.fanout.redis.errors import CannotConnect
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.query import query_server
from tannoy.fanout.startup import skip_recovery

from tests.support.certificates import Certificates
from tests.support.cluster import NodeProcess, Transport
from tests.support.node import PATIENT
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_connections import connected, server_at
from tests.support.redis_servers import MASTER, RedisServer, Watched, binary_of, two_nodes
from tests.support.room_messages import publishes
from tests.support.waiting import PATIENCE, eventually


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
            await eventually(lambda: node.has_logged("can't be read"), what="it says why")
            certificate.write_text(whole)
            await eventually(lambda: publishes(ada), what="messages are published again")
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
