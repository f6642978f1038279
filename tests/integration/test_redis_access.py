"""Redis as users run it: 7.0 and Valkey, with a user of few rights, over TLS, behind Sentinels; and what goes wrong."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError
from tannoy.fanout.pubsub.verbs import PLAIN
from tannoy.fanout.redis.address import RedisAddress, parse_address
from tannoy.fanout.redis.errors import RedisError
from tannoy.fanout.redis.opening import connect
from tannoy.fanout.redis.pipeline import CommandSender
from tannoy.fanout.startup import StartupProbe, check_server

from tests.support.certificates import Certificates
from tests.support.cluster import PROJECT
from tests.support.command_line import error_at_start
from tests.support.feature_tour import use_all_features
from tests.support.node import HASTY
from tests.support.redis_servers import MASTER, SERVERS, RedisServer, Watched, binary_of, two_nodes
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually

_ADMIN = {"username": "admin", "password": "admin"}
_ADMIN_USER = "user admin on >admin ~* &* +@all"
_NO_DEFAULT_USER = "user default off"


def _documented_user() -> str:
    """With exactly the rights that docs/redis.md asks for."""
    found = re.search(r"^user tannoy on >secret .*$", (PROJECT / "docs/redis.md").read_text(), re.MULTILINE)
    assert found is not None
    return found.group()


def _documented_sentinel_user() -> str:
    found = re.search(r"^`(\+auth .*\+sentinel.*)`\.$", (PROJECT / "docs/redis.md").read_text(), re.MULTILINE)
    assert found is not None
    return f"user watcher on >hush {found.group(1)}"


# ---- all features on each server

Setup = Callable[[Path], AbstractAsyncContextManager[str]]
"""Starts servers, with the test's folder for their files; gives the URL for a node."""


def _deployed_acl(folder: Path) -> str:
    """The configuration that reads the users of deploy/tannoy.acl, with a password, and an administrator."""
    file = folder / "tannoy.acl"
    text = (PROJECT / "deploy/tannoy.acl").read_text()
    file.write_text(f"{text.replace('resetpass', '>secret')}{_ADMIN_USER}\n")
    return f"aclfile {file}"


@asynccontextmanager
async def _with_few_rights(server: str, folder: Path) -> AsyncGenerator[str]:
    async with RedisServer(binary_of(server), _deployed_acl(folder)) as redis:
        yield redis.url.replace("//", "//tannoy:secret@")
        denied = await redis.run("ACL", "LOG", **_ADMIN)
        assert denied == [], "the server has refused something"


@asynccontextmanager
async def _over_tls(folder: Path) -> AsyncGenerator[str]:
    certificates = Certificates(folder)
    async with RedisServer(binary_of("redis-7.0"), tls=certificates) as redis:
        yield f"rediss://127.0.0.1:{redis.port}/3?{certificates.parameters}"


@asynccontextmanager
async def _behind_sentinels_over_tls(folder: Path) -> AsyncGenerator[str]:
    certificates = Certificates(folder)
    async with Watched(binary_of("redis-7.0"), replicas=1, sentinels=1, tls=certificates) as redis:
        yield f"rediss+sentinel://{redis.hosts}/{MASTER}?{certificates.parameters}"


@asynccontextmanager
async def _behind_sentinels_with_users(server: str) -> AsyncGenerator[str]:
    to_sentinels = (_documented_sentinel_user(), "user default on nopass ~* &* +@all")
    users = (_ADMIN_USER, _documented_user())
    async with Watched(
        binary_of(server), replicas=1, sentinels=1, to_servers=users, to_sentinels=to_sentinels
    ) as redis:
        yield f"redis+sentinel://tannoy:secret@{redis.hosts}/{MASTER}?sentinel_username=watcher&sentinel_password=hush"
        for each in redis.sentinels:
            assert await each.run("ACL", "LOG") == [], "a Sentinel has refused something"


SETUPS: dict[str, Setup] = {
    "redis-7.0-with-few-rights": lambda folder: _with_few_rights("redis-7.0", folder),
    "valkey-with-few-rights": lambda folder: _with_few_rights("valkey", folder),
    "redis-7.0-over-tls": _over_tls,
    "redis-7.0-behind-sentinels-over-tls": _behind_sentinels_over_tls,
    "redis-7.0-behind-sentinels-with-users": lambda _: _behind_sentinels_with_users("redis-7.0"),
    "valkey-behind-sentinels-with-users": lambda _: _behind_sentinels_with_users("valkey"),
}


@pytest.mark.parametrize("setup", SETUPS)
async def test_nodes_serve_rooms_private_messages_and_limits(setup: str, tmp_path: Path) -> None:
    async with SETUPS[setup](tmp_path) as url, two_nodes(url, times=HASTY, PRESENCE_GRACE="0") as nodes:
        await use_all_features(nodes)
        log = nodes[0].log()
        assert "NOPERM" not in log
        assert "refused" not in log


# ---- what the user of a node may not do

FORBIDDEN = (
    "GET other:key",
    "SET other:key 1",
    "PUBLISH other:channel x",
    "SUBSCRIBE other:channel",
    "PSUBSCRIBE *",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "DBSIZE",
    "PUBSUB CHANNELS *",
    "FLUSHALL",
    "FLUSHDB",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "EVAL return 0",
    "FUNCTION FLUSH",
    "CONFIG GET *",
    "CLIENT LIST",
    "CLIENT KILL USER tannoy",
    "ACL LIST",
    "MONITOR",
    "SLOWLOG GET",
    "SHUTDOWN",
    "REPLICAOF NO ONE",
    "SORT tannoy:x",
    "COPY tannoy:x tannoy:y",
    "MOVE tannoy:x 1",
)


@pytest.mark.parametrize("server", SERVERS)
async def test_the_user_of_a_node_may_do_nothing_to_other_data_or_to_the_server(server: str, tmp_path: Path) -> None:
    async with RedisServer(binary_of(server), _deployed_acl(tmp_path)) as redis:
        allowed: list[str] = []
        for command in FORBIDDEN:
            try:
                await redis.run(*command.split(), username="tannoy", password="secret")
            except NoPermissionError:
                continue
            allowed.append(command)
    assert allowed == []


async def test_a_user_without_a_password_of_its_own_can_not_log_in(tmp_path: Path) -> None:
    file = tmp_path / "tannoy.acl"
    file.write_text((PROJECT / "deploy/tannoy.acl").read_text())
    async with RedisServer(binary_of("valkey"), f"aclfile {file}") as redis:
        for password in ("", "resetpass", "secret"):
            with pytest.raises(AuthenticationError):
                await redis.run("PING", username="tannoy", password=password)


# ---- errors at start


@pytest.mark.parametrize(
    ("missing", "instead", "named"),
    [
        ("&tannoy:*", "&other:*", "channel"),
        ("~tannoy:*", "~other:*", ""),
        ("+@pubsub", "", "publish"),
        ("+@scripting", "", "script|load"),
        ("+time", "", ""),
        ("+@write", "+@write -sadd", ""),
    ],
)
@pytest.mark.parametrize("server", SERVERS)
async def test_a_missing_right_is_named_and_the_node_does_not_start(
    server: str, missing: str, instead: str, named: str
) -> None:
    user = _documented_user()
    assert missing in user
    async with RedisServer(binary_of(server), user.replace(missing, instead)) as redis:
        sentence = error_at_start(redis.url.replace("//", "//tannoy:secret@"))
    assert f"Redis at 127.0.0.1:{redis.port} (TANNOY_REDIS_URL) does not let us do what a node does: " in sentence
    assert named.lower() in sentence.lower()
    assert "docs/redis.md" in sentence


@pytest.mark.parametrize("server", SERVERS)
async def test_a_node_without_a_right_that_it_can_do_without_warns_and_starts(server: str) -> None:
    user = _documented_user()
    for right in ("+client|no-evict", "+role", "+info"):
        assert right in user
        user = user.replace(right, "")
    async with RedisServer(binary_of(server), user) as redis:
        async with two_nodes(redis.url.replace("//", "//tannoy:secret@")) as nodes:
            log = nodes[0].log()
            assert "Redis refused CLIENT NO-EVICT" in log
            assert "Redis does not tell its role" in log
            assert "Redis tells no replication id" in log


@pytest.mark.parametrize("server", SERVERS)
async def test_wrong_credentials_are_an_error_of_one_sentence(server: str) -> None:
    async with RedisServer(binary_of(server), _documented_user(), _NO_DEFAULT_USER) as redis:
        for login in ("", "tannoy:wrong@"):
            sentence = error_at_start(redis.url.replace("//", f"//{login}"))
            assert "wants other credentials" in sentence


@pytest.mark.parametrize("server", SERVERS)
async def test_a_replica_is_an_error_of_one_sentence(server: str) -> None:
    binary = binary_of(server)
    async with RedisServer(binary) as master, RedisServer(binary, f"replicaof 127.0.0.1 {master.port}") as replica:
        await eventually(lambda: _follows(replica), what="the replica has its master's data")
        sentence = error_at_start(replica.url)
    assert f"is a replica of 127.0.0.1:{master.port}, and a node needs the master" in sentence


async def test_a_server_that_stalls_for_less_than_the_deadline_passes_the_check_at_start(anyio_backend: str) -> None:
    milliseconds_of_three_unanswered_pings = 3500
    replies: list[object] = []
    async with Valkey() as valkey:

        async def stall(commands: CommandSender) -> None:
            await valkey.run("CLIENT", "PAUSE", str(milliseconds_of_three_unanswered_pings), "ALL")
            replies.append(await commands.send("PING"))

        probe = StartupProbe(b"test:check", PLAIN, stall, b"test:server")
        await check_server(valkey.address, probe, timeout=PATIENCE)
    assert replies == [b"PONG"]


async def _follows(replica: RedisServer) -> bool:
    state: bytes = (await replica.run("ROLE"))[3]
    return state == b"connected"


@pytest.mark.parametrize("server", SERVERS)
async def test_a_server_that_is_still_loading_is_refused_until_it_has_loaded(server: str) -> None:
    # 40 seconds, unless it is told to go on faster.
    slowly = ("key-load-delay 10000", "loading-process-events-interval-bytes 1024")
    async with RedisServer(binary_of(server), *slowly) as redis:
        await redis.run("MSET", *(word for number in range(4000) for word in (f"key:{number}", "x" * 100)))
        await redis.run("SAVE")
        redis.kill()
        await redis.start()
        assert "LOADING" in error_at_start(redis.url)
        await redis.run("CONFIG", "SET", "key-load-delay", "0")
        address = parse_address(redis.url)
        assert isinstance(address, RedisAddress)

        async def has_loaded() -> bool:
            try:
                wire = await connect(address, name="test", on_pushes=lambda _: None, timeout=PATIENCE)
            except RedisError as refusal:
                if not str(refusal).startswith("LOADING"):
                    raise
                return False
            wire.abort()
            return True

        await eventually(has_loaded, what="the server has loaded its data")


@pytest.mark.parametrize("server", SERVERS)
async def test_sentinels_without_the_master_are_an_error_with_the_reason_of_each(server: str) -> None:
    async with Watched(binary_of(server), replicas=1, sentinels=1) as redis:
        port = redis.sentinels[0].port
        unknown = error_at_start(f"redis+sentinel://127.0.0.1:{port},127.0.0.1:1/another")
        assert f"no Sentinel names a master 'another' (127.0.0.1:{port}: knows no master of this name;" in unknown
        assert "127.0.0.1:1: " in unknown

        mistaken = error_at_start(f"redis://127.0.0.1:{port}")
        assert "is a Sentinel: its URL begins with redis+sentinel://" in mistaken


async def test_a_failed_tls_handshake_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    authority = certificates.authority[0]
    async with RedisServer(binary_of("redis-7.0"), tls=certificates) as redis:
        address = f"127.0.0.1:{redis.port}"
        unknown_authority = error_at_start(f"rediss://{address}")
        assert "can't agree on TLS: " in unknown_authority
        assert "?ssl_ca_certs=FILE names who vouches for the server" in unknown_authority
        assert "(TANNOY_REDIS_URL) can't " in error_at_start(f"redis://{address}")
        assert "(TANNOY_REDIS_URL) " in error_at_start(f"rediss://{address}?ssl_ca_certs={authority}")
    async with RedisServer(binary_of("valkey")) as redis:
        assert (
            "does it speak tls" in error_at_start(f"rediss://127.0.0.1:{redis.port}?ssl_ca_certs={authority}").lower()
        )
