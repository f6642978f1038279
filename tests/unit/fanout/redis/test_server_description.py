"""A server is described by its host name and by what it tells about itself, if it tells anything."""

import pytest
from tannoy.fanout.redis.server_description import ServerDescription, describe_server

REDIS = {b"server": b"redis", b"version": b"7.0.15", b"proto": 3}


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("redis-12345.c1.eu-west-1-3.ec2.redns.redis-cloud.com", "Redis Cloud"),
        ("mine.westeurope.redis.azure.net", "Azure Managed Redis"),
        ("mine.westeurope.redisenterprise.cache.azure.net", "Azure Cache for Redis Enterprise"),
        ("mine.redis.cache.windows.net", "Azure Cache for Redis"),
        ("eu1-able-cat-1234.upstash.io", "Upstash"),
        ("clustercfg.mine.abc123.memorydb.eu-west-1.amazonaws.com", "Amazon MemoryDB"),
        ("mine-abc123.serverless.euw1.cache.amazonaws.com", "Amazon ElastiCache Serverless"),
        ("master.mine.abc123.euw1.cache.amazonaws.com", "Amazon ElastiCache"),
        ("MINE.UPSTASH.IO", "Upstash"),
        ("upstash.io.example.com", None),
        ("localhost", None),
        ("/run/redis.sock", None),
    ],
)
def test_a_service_is_recognised_by_its_host_name(host: str, service: str | None) -> None:
    assert describe_server(host, {}).service == service


@pytest.mark.parametrize(
    ("field", "service"),
    [
        (b"rlec_version:7.8.2-34", "Redis Software"),
        (b"upstash_version:1.10.5", "Upstash"),
        (b"dragonfly_version:df-v1.27.1", "Dragonfly"),
        (b"redis_version:7.0.15", None),
    ],
)
def test_a_service_is_recognised_by_a_field_of_info(field: bytes, service: str | None) -> None:
    info = [b"# Server\r\n" + field + b"\r\n"]
    assert describe_server("10.0.0.7", REDIS, info).service == service


def test_the_eviction_policy_is_read_from_any_section() -> None:
    info = [b"# Server\r\n", b"# Memory\r\nused_memory:1\r\nmaxmemory_policy:allkeys-lru\r\n"]
    assert describe_server("h", REDIS, info) == ServerDescription(None, "7.0.15", "allkeys-lru")


@pytest.mark.parametrize("reply", [None, 1, [], {}, b"", b"\xff\xfe", b"no colon", RuntimeError("ERR")])
def test_a_reply_to_info_of_another_form_tells_nothing(reply: object) -> None:
    assert describe_server("h", {b"version": 7}, [reply]) == ServerDescription()


@pytest.mark.parametrize(
    ("description", "is_too_old"),
    [
        (ServerDescription(version="6.2.5"), True),
        (ServerDescription(version="7.0.0"), False),
        (ServerDescription(version="10.1"), False),
        (ServerDescription(service="Upstash", version="6.2.6"), False),
        (ServerDescription(version=""), False),
        (ServerDescription(version="unknown"), False),
    ],
)
def test_redis_itself_is_too_old_by_its_version_and_a_service_never_is(
    description: ServerDescription, is_too_old: bool
) -> None:
    assert description.is_too_old is is_too_old
