"""Names with several addresses, the first of which swallows packets: servers, Sentinels and cluster seeds."""

import pytest
from tannoy.fanout.cluster.topology import ClusterTopology, NoCluster
from tannoy.fanout.redis.address import ClusterAddress, SentinelAddress, parse_address
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.query import query_server
from tannoy.fanout.redis.sentinel import MasterDiscovery, NoMaster

from tests.support.names import resolve_as, swallows_packets
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_connections import server_at
from tests.support.redis_servers import MASTER, RedisServer, Watched, binary_of
from tests.support.waiting import eventually


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
