"""docs/protocol.md §8: the values of settings; a bad one stops the start and says what would do."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from tannoy.shared.policy import LimitMode, LimitPolicy, SlowPolicy
from tannoy.shared.rates import Rate
from tannoy.shared.settings import LogFormat, Settings, load_settings

from tests.support.setting_variables import Environment, complaint

pytestmark = pytest.mark.usefixtures("environment")

DEFAULTS = {
    "redis_prefix": "tannoy",
    "host": "127.0.0.1",
    "port": 8000,
    "node_id": None,
    "auth": "none",
    "allowed_origins": (),
    "chat_page": "auto",
    "message_max_bytes": 65_536,
    "outbox_max_bytes": 1_048_576,
    "slow_policy": SlowPolicy.DISCONNECT,
    "ping_interval": 25.0,
    "agent_max_sessions": 10,
    "agent_limit_policy": LimitPolicy.REJECT,
    "user_max_sessions": 0,
    "node_max_sessions": 20_000,
    "limit_mode": LimitMode.STRICT,
    "memory_max_mb": None,
    "cpu_max_percent": 0,
    "loop_lag_max_ms": 1000,
    "rate_connects": Rate(20),
    "rate_messages": Rate(50),
    "trusted_proxies": (),
    "rate_commands": Rate(200),
    "rate_bytes": Rate(1_048_576),
    "rate_user_messages": Rate(0),
    "rate_agent_messages": Rate(0),
    "presence_inline_max": 50,
    "presence_events_max": 1000,
    "presence_grace": 5.0,
    "drain_delay": 5.0,
    "drain_seconds": 30.0,
    "log_format": LogFormat.CONSOLE,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_a_default_is_the_documented_one(name: str, value: object) -> None:
    assert getattr(load_settings(), name) == value


PROXIES = tuple(map(ip_network, ("192.0.2.1", "10.0.0.0/8", "fd00::/8")))
GOOD = [
    ("PORT", "1", "port", 1),
    ("PORT", "65535", "port", 65_535),
    ("REDIS_CREDENTIALS", "my_company.redis:Tokens.current", "redis_credentials", "my_company.redis:Tokens.current"),
    ("REDIS_CREDENTIALS", "", "redis_credentials", None),
    ("REDIS_PREFIX", "my.app-1_x", "redis_prefix", "my.app-1_x"),
    ("NODE_ID", "eu-1:a", "node_id", "eu-1:a"),
    ("SLOW_POLICY", "skip", "slow_policy", SlowPolicy.SKIP),
    ("PING_INTERVAL", "1.5", "ping_interval", 1.5),
    ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ("LOG_FORMAT", "json", "log_format", LogFormat.JSON),
    ("LOG_FILE", "/var/log/tannoy.log", "log_file", Path("/var/log/tannoy.log")),
    ("LOG_FILE_MAX_MB", "0", "log_file_max_mb", 0),
    ("LOG_FILES_KEPT", "9", "log_files_kept", 9),
    ("MESSAGE_MAX_BYTES", "128", "message_max_bytes", 128),
    ("OUTBOX_MAX_BYTES", "4096", "outbox_max_bytes", 4096),
    ("AGENT_MAX_SESSIONS", "1", "agent_max_sessions", 1),
    ("AGENT_MAX_SESSIONS", "100000", "agent_max_sessions", 100_000),
    ("AGENT_LIMIT_POLICY", "evict_oldest", "agent_limit_policy", LimitPolicy.EVICT_OLDEST),
    ("USER_MAX_SESSIONS", "3", "user_max_sessions", 3),
    ("NODE_MAX_SESSIONS", "1", "node_max_sessions", 1),
    ("LIMIT_MODE", "available", "limit_mode", LimitMode.AVAILABLE),
    ("MEMORY_MAX_MB", "0", "memory_max_mb", 0),
    ("MEMORY_MAX_MB", "512", "memory_max_mb", 512),
    ("CPU_MAX_PERCENT", "100", "cpu_max_percent", 100),
    ("LOOP_LAG_MAX_MS", "0", "loop_lag_max_ms", 0),
    ("TRUSTED_PROXIES", "192.0.2.1, 10.0.0.0/8,fd00::/8,", "trusted_proxies", PROXIES),
    ("RATE_CONNECTS", "0", "rate_connects", Rate(0)),
    ("RATE_MESSAGES", "0", "rate_messages", Rate(0)),
    ("RATE_COMMANDS", "600/m", "rate_commands", Rate(600, 60)),
    ("RATE_USER_MESSAGES", "100/s", "rate_user_messages", Rate(100)),
    ("RATE_AGENT_MESSAGES", "9/m", "rate_agent_messages", Rate(9, 60)),
    ("RATE_BYTES", "1000000/h", "rate_bytes", Rate(1_000_000, 3600)),
    ("PRESENCE_INLINE_MAX", "0", "presence_inline_max", 0),
    ("PRESENCE_EVENTS_MAX", "0", "presence_events_max", 0),
    ("PRESENCE_GRACE", "0", "presence_grace", 0.0),
    ("DRAIN_DELAY", "0", "drain_delay", 0.0),
    ("DRAIN_SECONDS", "0.5", "drain_seconds", 0.5),
    ("JWT_ALGORITHMS", "HS256, HS512", "jwt_algorithms", ("HS256", "HS512")),
    ("AUTH_QUERY_TOKEN", "true", "auth_query_token", True),
    ("CHAT_PAGE", "off", "chat_page", "off"),
    ("AUTH", "hook", "auth", "hook"),
    ("HOOK_EVENTS", "user_left, room_occupied", "hook_events", ("room_occupied", "user_left")),
    ("HOOK_EVENTS", "none", "hook_events", ()),
    ("HOOK_MESSAGES", "room:support.*, agent:*", "hook_messages", ("agent:*", "room:support.*")),
    ("HOOK_NETWORKS", "192.0.2.1, 10.0.0.0/8,fd00::/8,", "hook_networks", PROXIES),
    ("HOOK_HTTP2", "true", "hook_http2", True),
    ("HOOK_RETRY_SECONDS", "60", "hook_retry_seconds", 60),
    ("ALLOWED_ORIGINS", "*", "allowed_origins", ("*",)),
    ("ALLOWED_ORIGINS", "", "allowed_origins", ()),
    (
        "ALLOWED_ORIGINS",
        "https://a.example, http://b.example:81/ ,",
        "allowed_origins",
        ("https://a.example", "http://b.example:81"),
    ),
]


@pytest.mark.parametrize(("variable", "text", "field", "value"), GOOD)
def test_a_good_value_is_read(environment: Environment, variable: str, text: str, field: str, value: object) -> None:
    environment.setenv(f"TANNOY_{variable}", text)
    assert getattr(load_settings(), field) == value


BAD = [
    ("PORT", "0", "greater than or equal to 1"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("PORT", "http", "valid integer"),
    ("REDIS_PREFIX", "a{b}", "pattern"),
    ("REDIS_PREFIX", "a:b", "pattern"),
    ("REDIS_CREDENTIALS", "my_company.redis", "has to be module:attribute"),
    ("REDIS_CREDENTIALS", "my-company:A", "has to be module:attribute"),
    ("REDIS_CREDENTIALS", "a:b:c", "has to be module:attribute"),
    ("NODE_ID", "a b", "A-Z a-z 0-9 _ . : @ ~ -"),
    ("AUTH_QUERY_TOKEN", "perhaps", "valid boolean"),
    ("JWT_ALGORITHMS", "none", "'HS256'"),
    ("AUTH", "basic", "'none', 'jwt' or 'hook'"),
    ("HOOK_EVENTS", "user_left,room_closed", "has 'room_closed'; allowed are room_occupied"),
    ("HOOK_MESSAGES", "support.*", "has to begin with room: or agent:"),
    ("HOOK_NETWORKS", "localhost", "neither an IP address nor a network"),
    ("HOOK_TIMEOUT", "0", "greater than or equal to 0.1"),
    ("HOOK_BACKLOG", "999", "greater than or equal to 1000"),
    ("CHAT_PAGE", "true", "'auto', 'on' or 'off'"),
    ("ALLOWED_ORIGINS", "example.com", "scheme://host[:port]"),
    ("ALLOWED_ORIGINS", "https://a.example/chat", "scheme://host[:port]"),
    ("ALLOWED_ORIGINS", "a.example", "scheme://host[:port]"),
    ("ALLOWED_ORIGINS", "https://", "scheme://host[:port]"),
    ("ALLOWED_ORIGINS", "https://a.example,a.example", "'a.example' is not an origin"),
    ("ALLOWED_ORIGINS", "https://10.0.0", "can't match"),
    ("MESSAGE_MAX_BYTES", "127", "greater than or equal to 128"),
    ("MESSAGE_MAX_BYTES", "16777217", "less than or equal to 16777216"),
    ("OUTBOX_MAX_BYTES", "4095", "greater than or equal to 4096"),
    ("OUTBOX_MAX_BYTES", "1.5", "valid integer"),
    ("SLOW_POLICY", "panic", "'disconnect' or 'skip'"),
    ("PING_INTERVAL", "0", "greater than or equal to 1"),
    ("PING_INTERVAL", "3601", "less than or equal to 3600"),
    ("PING_INTERVAL", "nan", ""),
    ("PING_INTERVAL", "inf", "less than or equal to 3600"),
    ("AGENT_MAX_SESSIONS", "0", "greater than or equal to 1"),
    ("AGENT_MAX_SESSIONS", "100001", "less than or equal to 100000"),
    ("AGENT_MAX_SESSIONS", "many", "valid integer"),
    ("AGENT_LIMIT_POLICY", "evict_newest", "'reject' or 'evict_oldest'"),
    ("USER_MAX_SESSIONS", "-1", "greater than or equal to 0"),
    ("USER_MAX_SESSIONS", "100001", "less than or equal to 100000"),
    ("NODE_MAX_SESSIONS", "0", "greater than or equal to 1"),
    ("LIMIT_MODE", "lenient", "'strict' or 'available'"),
    ("MEMORY_MAX_MB", "-1", "greater than or equal to 0"),
    ("MEMORY_MAX_MB", "512MB", "valid integer"),
    ("CPU_MAX_PERCENT", "101", "less than or equal to 100"),
    ("LOOP_LAG_MAX_MS", "60001", "less than or equal to 60000"),
    ("TRUSTED_PROXIES", "10.0.0.1,proxy.example", "'proxy.example' is neither an IP address nor a network"),
    ("RATE_CONNECTS", "20/second", "N/s, N/m or N/h"),
    ("RATE_MESSAGES", "fast", "N/s, N/m or N/h, for instance 50/s"),
    ("RATE_COMMANDS", "200", "N/s, N/m or N/h"),
    ("RATE_USER_MESSAGES", "-1/s", "N/s, N/m or N/h"),
    ("RATE_AGENT_MESSAGES", "a/s", "N/s, N/m or N/h"),
    ("RATE_BYTES", "1.5/s", "N from 1 to 1,000,000,000,000"),
    ("PRESENCE_INLINE_MAX", "-1", "greater than or equal to 0"),
    ("PRESENCE_INLINE_MAX", "1001", "less than or equal to 1000"),
    ("PRESENCE_EVENTS_MAX", "100001", "less than or equal to 100000"),
    ("PRESENCE_GRACE", "-1", "greater than or equal to 0"),
    ("DRAIN_DELAY", "-1", "greater than or equal to 0"),
    ("DRAIN_SECONDS", "3601", "less than or equal to 3600"),
    ("PRESENCE_GRACE", "3601", "less than or equal to 3600"),
    ("LOG_FORMAT", "xml", "'console' or 'json'"),
    ("LOG_FILE_MAX_MB", "-1", "greater than or equal to 0"),
    ("LOG_FILES_KEPT", "1001", "less than or equal to 1000"),
    ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
]


@pytest.mark.parametrize(("variable", "value", "allowed"), BAD)
def test_a_bad_value_is_refused_with_its_name_the_value_and_what_is_allowed(
    environment: Environment, variable: str, value: str, allowed: str
) -> None:
    environment.setenv(f"TANNOY_{variable}", value)
    message = complaint()
    assert message.startswith(f"TANNOY_{variable}={value}: ")
    assert allowed in message


def test_each_bad_value_has_a_line_of_its_own(environment: Environment) -> None:
    environment.setenv("TANNOY_PORT", "x")
    environment.setenv("TANNOY_LOG_FORMAT", "y")
    assert [line.partition("=")[0] for line in sorted(complaint().splitlines())] == ["TANNOY_LOG_FORMAT", "TANNOY_PORT"]


def test_settings_can_not_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(Exception, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_without_a_value_has_its_default(environment: Environment, name: str) -> None:
    environment.setenv(f"TANNOY_{name.upper()}", "")
    assert load_settings() == Settings()
    assert name not in load_settings().model_fields_set


@pytest.mark.parametrize("space", ["\n", " ", "\r\n"], ids=["line feed", "space", "line end of a file"])
@pytest.mark.parametrize(("variable", "text", "field", "value"), GOOD)
def test_white_space_around_a_value_is_removed(
    environment: Environment, variable: str, text: str, field: str, value: object, space: str
) -> None:
    environment.setenv(f"TANNOY_{variable}", f"{space}{text}{space}")
    assert getattr(load_settings(), field) == value


def test_a_value_that_is_not_utf_8_is_refused_with_its_bytes_escaped(environment: Environment) -> None:
    environment.setenv("TANNOY_NODE_ID", "caf\udce9")
    assert complaint().startswith("TANNOY_NODE_ID=caf\\udce9: ")


def test_the_port_of_a_service_link_is_left_out(environment: Environment) -> None:
    environment.setenv("TANNOY_PORT", "tcp://10.96.0.12:8000")
    assert "port" not in load_settings().model_fields_set


DOCUMENTED = """
    REDIS_URL REDIS_CREDENTIALS
    REDIS_PREFIX HOST PORT NODE_ID CLUSTER_SECRET AUTH JWT_SECRET JWT_PUBLIC_KEY JWT_ALGORITHMS JWT_AUDIENCE
    JWT_ISSUER API_KEY ALLOWED_ORIGINS CHAT_PAGE
    AGENT_MAX_SESSIONS AGENT_LIMIT_POLICY USER_MAX_SESSIONS NODE_MAX_SESSIONS LIMIT_MODE
    MESSAGE_MAX_BYTES OUTBOX_MAX_BYTES SLOW_POLICY PING_INTERVAL HISTORY_SIZE HISTORY_TTL
    STREAM_MAX_BYTES STREAM_TIMEOUT STREAMS_OPEN_MAX ARCHIVE ARCHIVE_BACKLOG DATABASE_URL DATABASE_POOL DATABASE_TIMEOUT
    RATE_MESSAGES RATE_COMMANDS RATE_BYTES RATE_USER_MESSAGES RATE_AGENT_MESSAGES RATE_CONNECTS TRUSTED_PROXIES
    PRESENCE_INLINE_MAX PRESENCE_EVENTS_MAX PRESENCE_GRACE MEMORY_MAX_MB CPU_MAX_PERCENT LOOP_LAG_MAX_MS
    DRAIN_DELAY DRAIN_SECONDS LOG_FORMAT LOG_LEVEL LOG_FILE LOG_FILE_MAX_MB LOG_FILES_KEPT AUTH_QUERY_TOKEN JWKS_URL
    HOOK_URL HOOK_AUTH_URL HOOK_SECRET HOOK_EVENTS HOOK_MESSAGES HOOK_BACKLOG HOOK_TIMEOUT HOOK_RETRY_SECONDS
    HOOK_NETWORKS HOOK_HTTP2
"""


def test_the_settings_are_exactly_the_documented_ones() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert known == set(DOCUMENTED.split())
