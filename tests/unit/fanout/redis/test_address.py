"""The URL of Redis: read as redis-py reads it, with Sentinels and clusters, and the errors of one that is wrong."""

import ssl
from pathlib import Path

import pytest
from redis.asyncio.connection import parse_url
from redis.credentials import UsernamePasswordCredentialProvider
from tannoy.fanout.redis.address import ClusterAddress, RedisAddress, SentinelAddress, parse_address
from tannoy.fanout.redis.credentials import ProvidedCredentials

URLS = [
    ("redis://localhost", "localhost", 6379, 0, None, None),
    ("redis://10.0.0.1:7000", "10.0.0.1", 7000, 0, None, None),
    ("redis://[::1]:7000/3", "::1", 7000, 3, None, None),
    ("redis://[::1]", "::1", 6379, 0, None, None),
    ("redis://h?db=5", "h", 6379, 5, None, None),
    ("redis://h/2?db=5", "h", 6379, 5, None, None),
    ("redis://h/", "h", 6379, 0, None, None),
    ("redis://:secret@h", "h", 6379, 0, None, "secret"),
    ("redis://ada@h", "h", 6379, 0, "ada", None),
    ("redis://ada:p%40ss%2Fword@h:1/2", "h", 1, 2, "ada", "p@ss/word"),
    ("redis://ada:a:b@h", "h", 6379, 0, "ada", "a:b"),
    ("unix:///run/redis.sock", "/run/redis.sock", None, 0, None, None),
    ("unix://ada:pw@/run/redis.sock?db=4", "/run/redis.sock", None, 4, "ada", "pw"),
]


def server_at(url: str) -> RedisAddress:
    address = parse_address(url)
    assert isinstance(address, RedisAddress)
    return address


def master_at(url: str) -> SentinelAddress:
    address = parse_address(url)
    assert isinstance(address, SentinelAddress)
    return address


def tls_of(url: str) -> ssl.SSLContext:
    tls = server_at(url).tls
    assert tls is not None
    return tls.make_context()


@pytest.mark.parametrize(("url", "host", "port", "database", "username", "password"), URLS)
def test_a_url_is_read_as_redis_py_reads_it(
    url: str, host: str, port: int | None, database: int, username: str | None, password: str | None
) -> None:
    address = server_at(url)
    assert (address.host, address.port, address.database) == (host, port, database)
    assert (address.username, address.password) == (username, password)
    assert address.tls is None
    theirs = parse_url(url)
    assert theirs.get("path", theirs.get("host")) == host
    assert (theirs.get("db", 0), theirs.get("username"), theirs.get("password")) == (database, username, password)


# ---- Sentinels


def test_a_sentinel_url_holds_several_hosts_and_the_name_of_a_master() -> None:
    address = master_at("redis+sentinel://h1,10.0.0.2:26380,[::1]:26381,[::2]/mymaster")
    places = [(sentinel.host, sentinel.port) for sentinel in address.sentinels]
    assert places == [("h1", 26379), ("10.0.0.2", 26380), ("::1", 26381), ("::2", 26379)]
    assert address.master == "mymaster"
    assert str(address) == "mymaster of Sentinels h1:26379, 10.0.0.2:26380, [::1]:26381, [::2]:26379"


def test_the_user_of_a_sentinel_url_is_for_the_master_and_parameters_hold_the_one_for_sentinels() -> None:
    address = master_at("redis+sentinel://ada:p%40ss@h/my%20master/3?sentinel_username=bob&sentinel_password=p%26w")
    assert address.at("m", 7000) == RedisAddress("m", 7000, "ada", "p@ss", 3, None)
    assert address.sentinels == (RedisAddress("h", 26379, "bob", "p&w", 0, None),)
    assert address.master == "my master"


def test_sentinels_are_asked_without_credentials_by_default() -> None:
    [sentinel] = master_at("redis+sentinel://ada:secret@h/m").sentinels
    assert (sentinel.username, sentinel.password) == (None, None)


def test_tls_is_used_for_master_and_sentinels_unless_the_url_turns_it_off_for_sentinels() -> None:
    both = master_at("rediss+sentinel://h/m?ssl_cert_reqs=none")
    assert both.at("m", 1).tls is both.sentinels[0].tls is not None
    master_alone = master_at("rediss+sentinel://h/m?sentinel_ssl=false")
    assert master_alone.at("m", 1).tls is not None
    assert master_alone.sentinels[0].tls is None


# ---- a Redis Cluster


def cluster_at(url: str) -> ClusterAddress:
    address = parse_address(url)
    assert isinstance(address, ClusterAddress)
    return address


def test_a_cluster_url_holds_several_hosts() -> None:
    address = cluster_at("redis+cluster://h1,10.0.0.2:7000,[::1]:7001,[::2]")
    places = [(seed.host, seed.port) for seed in address.seeds]
    assert places == [("h1", 6379), ("10.0.0.2", 7000), ("::1", 7001), ("::2", 6379)]
    assert str(address) == "the cluster of h1:6379, 10.0.0.2:7000, [::1]:7001, [::2]:6379"


def test_every_server_of_a_cluster_has_the_user_password_and_tls_of_the_url() -> None:
    address = cluster_at("rediss+cluster://ada:p%40ss@h1,h2?ssl_cert_reqs=none")
    another = address.at("h3", 7000)
    assert (another.username, another.password, another.database) == ("ada", "p@ss", 0)
    assert another.tls is address.seeds[0].tls is address.seeds[1].tls is not None
    assert cluster_at("redis+cluster://h1").at("h3", 7000).tls is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "unix:///run/redis.sock",
        "redis+cluster://h1,h2",
        "redis+sentinel://h1/m?sentinel_username=bob&sentinel_password=pw",
    ],
)
def test_a_provider_gives_user_and_password_of_the_servers(url: str) -> None:
    provider = ProvidedCredentials(UsernamePasswordCredentialProvider("app", "secret"), "m:a")
    match parse_address(url, provider):
        case SentinelAddress() as address:
            assert address.at("m", 1).provider is provider
            assert [(each.provider, each.username) for each in address.sentinels] == [(None, "bob")]
        case ClusterAddress() as address:
            assert address.at("h3", 1).provider is provider
        case RedisAddress() as address:
            assert address.provider is provider


def test_a_user_in_the_url_beside_a_provider_is_a_value_error() -> None:
    provider = ProvidedCredentials(UsernamePasswordCredentialProvider("app", "secret"), "m:a")
    with pytest.raises(ValueError, match="has a user or password, and so gives TANNOY_REDIS_CREDENTIALS: only one"):
        parse_address("redis://ada@h", provider)


# ---- TLS


@pytest.mark.parametrize(
    ("host", "names"),
    [("10.0.0.5", ("seed1", "seed2", "10.0.0.5")), ("::1", ("seed1", "seed2", "::1")), ("other", ("other",))],
)
def test_a_server_that_is_told_by_its_address_may_have_a_certificate_for_a_name_of_the_url(
    host: str, names: tuple[str, ...]
) -> None:
    url = "rediss+{}://seed1,10.0.0.9,seed2,seed1{}?ssl_cert_reqs=none"
    assert cluster_at(url.format("cluster", "")).at(host, 1).tls_names == names
    assert master_at(url.format("sentinel", "/m")).at(host, 1).tls_names == names
    assert server_at(f"rediss://{f'[{host}]' if ':' in host else host}").tls_names == (host,)


def test_a_server_is_the_same_whoever_has_told_of_it() -> None:
    assert cluster_at("redis+cluster://h1,h2").at("h2", 6379) == cluster_at("redis+cluster://h1,h2").seeds[1]


def test_rediss_verifies_the_certificate_and_its_name() -> None:
    tls = tls_of("rediss://h")
    assert (tls.check_hostname, tls.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_rediss_verifies_no_certificate_if_the_url_turns_it_off() -> None:
    tls = tls_of("rediss://h?ssl_cert_reqs=none")
    assert (tls.check_hostname, tls.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize("no", ["false", "False", "0", "no"])
def test_rediss_verifies_the_certificate_but_not_its_name_if_the_url_turns_that_off(no: str) -> None:
    tls = tls_of(f"rediss://h?ssl_check_hostname={no}")
    assert (tls.check_hostname, tls.verify_mode) == (False, ssl.CERT_REQUIRED)


def test_a_missing_certificate_file_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^ssl_ca_certs=/nowhere/ca.pem can't be read: No such file or directory$"):
        parse_address("rediss://h?ssl_ca_certs=/nowhere/ca.pem")


def test_a_certificate_file_without_a_certificate_is_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("a letter")
    with pytest.raises(ValueError, match=r"ssl_certfile=.*ca.pem can't be read"):
        parse_address(f"rediss://h?ssl_certfile={tmp_path}/ca.pem")


# ---- what is wrong


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "has to begin with one of redis://, rediss://, unix://, redis\\+sentinel://, rediss\\+sentinel://"),
        ("h:6379", "has to begin with one of"),
        ("http://h", "has to begin with one of"),
        ("redis://h:port", "a port that is no number from 1 to 65535"),
        ("redis://h:0", "a port that is no number"),
        ("redis://h:99999", "a port that is no number"),
        ("redis://a..b:6379", "a host that is no host name: that has up to 253 characters"),
        (f"redis://{'x' * 64}", "a host that is no host name"),
        ("redis+sentinel://h1,a..b/m", "a host that is no host name"),
        ("redis+cluster://h1,a..b", "a host that is no host name"),
        ("redis://h%00", "a host that is no host name"),
        ("redis://a%2F\u2100@h", "can't be read"),
        ("unix://h", "no path of a Unix socket"),
        ("unix:///run/a%00b", "no path of a Unix socket"),
        ("redis://::1", r"IPv6 address stands in \[\]"),
        ("redis://[::1", "no IPv6 address in brackets"),
        ("redis://[::1]7000", "no IPv6 address in brackets"),
        ("redis://h/one", "a database that is no number"),
        ("redis://h?db=one", "a database that is no number"),
        ("redis://h1,h2", r"several hosts: for Sentinels, begin it with redis\+sentinel://"),
        ("redis://h?sentinel_password=x", "sentinel_password is no parameter of redis://, which has db"),
        ("redis://h?ssl_ca_certs=x", "ssl_ca_certs is for TLS: then the URL has to begin with rediss://"),
        ("rediss://h?ssl_ca_cert=x", "ssl_ca_cert is no parameter of rediss://, which has db, ssl_ca_certs, ssl_cert"),
        ("rediss://h?ssl_cert_reqs=maybe", "a ssl_cert_reqs that is neither required nor none"),
        ("rediss://h?ssl_check_hostname=maybe", "a ssl_check_hostname that is neither true nor false"),
        ("redis+sentinel://h1,h2", r"names no master: redis\+sentinel://host:port,host:port/NAME"),
        ("redis+sentinel://h1,/m", "a Sentinel without a host"),
        ("redis+sentinel://h1:x/m", "a port that is no number"),
        ("redis+sentinel://h/m/one", "a database that is no number"),
        ("redis+sentinel://h/m?ssl_keyfile=x", r"the URL has to begin with rediss\+sentinel://"),
        ("redis+cluster://h1,,h2", "a server without a host"),
        ("redis+cluster://", "a server without a host"),
        ("redis+cluster://h/1", "a database, and a Redis Cluster has only one"),
        ("redis+cluster://h?db=1", r"db is no parameter of redis\+cluster://, which has none"),
        ("redis+cluster://h?ssl_keyfile=x", r"the URL has to begin with rediss\+cluster://"),
        ("redis://h1,h2", r"for a Redis Cluster with redis\+cluster://"),
        ("redis+sentinel://h/m?socket_timeout=1", r"socket_timeout is no parameter of redis\+sentinel://"),
    ],
)
def test_a_wrong_url_is_a_value_error_that_says_what_is_allowed(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(url)


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("sign", list("/?#@:%[]"))
def test_no_error_quotes_a_password_that_was_not_percent_encoded(scheme: str, sign: str) -> None:
    try:
        said = str(parse_address(f"{scheme}://ada:hunter{sign}s3same@h:7000/m?db=x"))
    except ValueError as error:
        said = str(error)
    assert "hunter" not in said
    assert "s3same" not in said


def test_no_error_has_one_of_redis_py_as_its_cause() -> None:
    with pytest.raises(ValueError, match="can't be read") as caught:
        parse_address("redis://ada:hunter\u2100@h")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_representation_of_an_address_does_not_contain_its_password() -> None:
    shown = repr(server_at("rediss://ada:secret@h?ssl_cert_reqs=none&ssl_password=hidden"))
    assert "secret" not in shown
    assert "hidden" not in shown


def test_the_text_of_an_address_does_not_contain_its_password() -> None:
    url = "{}://ada:secret@h:7000/{}"
    assert str(server_at(url.format("redis", 2))) == "h:7000"
    assert str(master_at(url.format("redis+sentinel", "m"))) == "m of Sentinels h:7000"
