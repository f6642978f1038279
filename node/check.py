"""What a node needs to start, tried without starting it: the settings, the keys of tokens, Redis, the database."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..fanout.backend import RedisBackend, backend_of
from ..fanout.external.service import ServiceEvent
from ..shared.keyspace import Keyspace
from ..shared.settings import Settings
from .composition import read_address
from .node import Node
from .setting_warnings import find_file_warnings, find_memory_warnings, find_warnings


@dataclass(frozen=True, slots=True)
class StartReport:
    redis: str
    """Where it is, without credentials."""
    warnings: list[str]
    """What a node would say at its start."""
    backend: RedisBackend
    keyspace: Keyspace


async def check_start(settings: Settings, variables: Mapping[str, str]) -> StartReport:
    """Do what a node does before it is ready, and leave nothing behind. Raises StartError."""
    address = read_address(settings)
    node = Node(settings)
    warnings = [*find_warnings(settings, variables), *find_file_warnings(settings), *find_memory_warnings(settings)]
    await node.check()
    warnings += node.bus.warnings
    for name, service in node.external.services.statistics().items():
        reasons = (event.reason for event in service.events if event.event is ServiceEvent.NOT_OPENED)
        warnings += (f"the {name} at {service.address} can't be used: {reason}" for reason in reasons)
    keyspace = Keyspace(settings.redis_prefix, address.database)
    return StartReport(str(address), warnings, backend_of(address, keyspace), keyspace)
