"""The cluster under attack: a Valkey and two nodes, of which one is attacked."""

from typing import Any, Protocol, Self

import httpx
from tannoy.shared.settings import Settings

from tests.support.cluster import NO_RATES, Cluster, NodeProcess, Transport
from tests.support.node import PRODUCT, Times
from tests.support.valkey import Valkey

SETTINGS = {"LOG_LEVEL": "WARNING"}
SECRET = {"CLUSTER_SECRET": "of the cluster under attack"}
RATES = {
    name.upper(): str(Settings.model_fields[name].default) for name in ("rate_messages", "rate_commands", "rate_bytes")
}
"""Those of the product, for each session. Other clusters of tests have none."""
SLOW_MICROSECONDS = 1000
"""Commands of Redis from which on SLOWLOG keeps them."""


class Reachable(Protocol):
    """A node, as its clients reach it."""

    @property
    def port(self) -> int: ...
    @property
    def ws_url(self) -> str: ...
    @property
    def http(self) -> httpx.AsyncClient: ...


class Arena(Protocol):
    """What an attacker sees of the cluster."""

    @property
    def attacked(self) -> Reachable: ...
    @property
    def other(self) -> Reachable: ...
    @property
    def valkey(self) -> Valkey: ...


class OwnArena:
    """`async with OwnArena() as arena:`. `times`: of the nodes. `sealed`: they have a secret; `rated`: RATES.

    `has_default_limits`: the nodes have the limits that a user's have, in place of those of tests.
    """

    def __init__(
        self,
        times: Times = PRODUCT,
        *,
        sealed: bool = False,
        rated: bool = False,
        has_default_limits: bool = False,
        **settings: str,
    ) -> None:
        limits = {**(RATES if rated else {}), **(default_limits() if has_default_limits else {})}
        chosen = {**SETTINGS, **(SECRET if sealed else {}), **limits, **settings}
        self.cluster = Cluster(nodes=2, transport=Transport.FAST, times=times, **chosen)

    async def __aenter__(self) -> Self:
        await self.cluster.__aenter__()
        await self.valkey.run("CONFIG", "SET", "slowlog-log-slower-than", str(SLOW_MICROSECONDS))
        return self

    async def __aexit__(self, *exception: Any) -> None:
        await self.cluster.__aexit__(*exception)

    @property
    def attacked(self) -> NodeProcess:
        return self.cluster.nodes[0]

    @property
    def other(self) -> NodeProcess:
        return self.cluster.nodes[1]

    @property
    def valkey(self) -> Valkey:
        return self.cluster.valkey

    async def is_ready(self) -> bool:
        try:
            return all([await node.is_ready() for node in self.cluster.nodes])
        except (AssertionError, httpx.HTTPError):  # it has ended
            return False


def default_limits() -> dict[str, str]:
    """Those settings that nodes of tests have other values of than a user's."""
    names = (*NO_RATES, "PING_INTERVAL", "LOOP_LAG_MAX_MS")
    return {name: str(Settings.model_fields[name.lower()].default) for name in names}


class Target:
    """A node of another process, by its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.ws_url = f"ws://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.http.aclose()


class RemoteArena:
    """Nodes of another process. Its Redis is out of reach."""

    def __init__(self, attacked: Target, other: Target) -> None:
        self.attacked = attacked
        self.other = other

    @property
    def valkey(self) -> Valkey:
        raise LookupError("this attack needs Redis, and clients do not have that")
