"""What an operator is told at start about settings: those that are unsafe, without effect, unknown or left out.

That the limit of open files is too low is told here too, and that memory can't be bounded as is set.
"""

from collections.abc import Mapping

from ..fanout.redis.address import AnyAddress, ClusterAddress, SentinelAddress, parse_address
from ..shared.settings import Settings, find_service_links, unknown_settings
from .auth.hosts import is_loopback
from .lifecycle.files import OTHERS, file_limit, sessions_possible
from .lifecycle.memory import MEGABYTE, find_memory_bound, find_memory_cgroup, machine_bytes

_TOKEN_SETTINGS = frozenset(
    "jwt_secret jwt_public_key jwks_url jwt_algorithms jwt_audience jwt_issuer auth_query_token".split()
)

_EVENT_SETTINGS = frozenset("hook_events hook_messages hook_backlog hook_retry_seconds".split())


def find_file_warnings(settings: Settings) -> list[str]:
    """Return a sentence if the limit of open files, as it is now, admits fewer sessions than the settings."""
    if (possible := sessions_possible(OTHERS)) >= settings.node_max_sessions:
        return []
    return [
        f"{file_limit()} open files are allowed (ulimit -n), enough for about {possible} sessions of the "
        f"TANNOY_NODE_MAX_SESSIONS={settings.node_max_sessions}: newcomers beyond get 503"
    ]


def find_memory_warnings(settings: Settings) -> list[str]:
    """Return a sentence if TANNOY_MEMORY_MAX_MB is set and can have no effect."""
    if not (maximum := settings.memory_max_mb):
        return []
    if find_memory_bound(maximum) is None:
        return ["TANNOY_MEMORY_MAX_MB has no effect: a process can't measure its memory on this system"]
    cgroup = find_memory_cgroup()
    possible = (machine_bytes() if cgroup is None else cgroup.limit_bytes) // MEGABYTE
    if maximum < possible:
        return []
    whose = "machine" if cgroup is None else "cgroup"
    return [
        f"TANNOY_MEMORY_MAX_MB={maximum} has no effect: the {whose} has {possible} MB, and the system ends the node "
        "before it refuses newcomers"
    ]


def find_warnings(
    settings: Settings, variables: Mapping[str, str], *, is_identified_by_application: bool = False
) -> list[str]:
    """Return a sentence for each. `variables` are those that the settings were read from.

    `is_identified_by_application`: clients have the identity that the application gives them that the node runs in.
    """
    warnings: list[str] = []
    if not is_loopback(settings.host):
        if settings.auth == "none" and not is_identified_by_application:
            warnings.append(f"TANNOY_AUTH=none: any client that reaches {settings.host} can choose its identity")
        if not settings.api_key.get_secret_value():
            warnings.append("no TANNOY_API_KEY is set: the API serves clients on this machine only")
    if settings.auth == "none" and (found := sorted(_TOKEN_SETTINGS & settings.model_fields_set)):
        named = ", ".join(f"TANNOY_{name.upper()}" for name in found)
        warnings.append(f"these settings have no effect without TANNOY_AUTH=jwt: {named}")
    warnings += _find_hook_warnings(settings)
    redis = _find_foreign_redis(settings)
    if redis is not None and not settings.cluster_secret.get_secret_value():
        warnings.append(
            f"no TANNOY_CLUSTER_SECRET is set: any client that can publish in Redis at {redis} can speak in every room "
            "and close sessions"
        )
    links = find_service_links(variables)
    names = variables.keys() - set(links)
    if links:
        warnings.append(f"variables that Kubernetes sets for a service are left out: {', '.join(links)}")
    if found := unknown_settings(names):
        warnings.append(f"unknown settings, perhaps misspelt: {', '.join(found)}")
    return warnings


def _find_hook_warnings(settings: Settings) -> list[str]:
    """Return a sentence for settings that have no effect beside, or without, those of the HTTP hooks."""
    of_tokens = _TOKEN_SETTINGS - {"auth_query_token"} if settings.auth == "hook" else frozenset[str]()
    of_events = frozenset[str]() if settings.hook_url.get_secret_value() else _EVENT_SETTINGS
    found = {"with TANNOY_AUTH=hook": of_tokens, "without TANNOY_HOOK_URL": of_events}
    return [
        f"these settings have no effect {where}: {', '.join(f'TANNOY_{name.upper()}' for name in sorted(those))}"
        for where, names in found.items()
        if (those := names & settings.model_fields_set)
    ]


def _find_foreign_redis(settings: Settings) -> AnyAddress | None:
    """Return where Redis is; None: on this machine, or the URL can't be read, which stops the start."""
    try:
        address = parse_address(settings.redis_url.get_secret_value())
    except ValueError:
        return None
    match address:
        case SentinelAddress(sentinels=servers) | ClusterAddress(seeds=servers):
            pass
        case _:
            servers = (address,)
    is_here = all(server.port is None or is_loopback(server.host) for server in servers)
    return None if is_here else address
