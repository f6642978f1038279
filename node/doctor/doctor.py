"""Gathers what there is to examine, and examines it: this machine's settings, a node over HTTP, and Redis itself."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...client.api_client import ApiClient
from ...client.errors import ClientError
from ...fanout.examination import look_at_servers
from ...fanout.redis.errors import ConnectionLost, RedisError
from ...shared.errors import StartError
from ...shared.settings import Settings
from ..check import check_start
from .finding import Finding, Severity, critical, warning
from .of_cluster import examine_clock, examine_nodes, examine_server
from .of_node import examine_node

REDIS_TIMEOUT = 5.0
"""Seconds for each look at Redis."""


@dataclass(slots=True)
class Diagnosis:
    findings: list[Finding] = field(default_factory=list[Finding])
    examined: list[str] = field(default_factory=list[str])
    """What was looked at."""
    skipped: list[str] = field(default_factory=list[str])
    """What was not, and why."""

    @property
    def is_critical(self) -> bool:
        return any(finding.severity is Severity.CRITICAL for finding in self.findings)

    def as_object(self) -> dict[str, object]:
        findings = [finding.as_object() for finding in self.findings]
        return {"findings": findings, "examined": self.examined, "skipped": self.skipped}


def diagnose(settings: Settings, variables: Mapping[str, str], url: str) -> Diagnosis:
    """Examine all that can be reached from here. `variables` are those of the environment that are settings."""
    diagnosis = Diagnosis()
    _examine_cluster(diagnosis, ApiClient(url, settings.api_key.get_secret_value()), url)
    if "redis_url" in settings.model_fields_set:
        asyncio.run(_examine_redis(diagnosis, settings, variables))
    else:
        diagnosis.skipped.append("settings and Redis: TANNOY_REDIS_URL is not set here; run this where a node runs")
    return diagnosis


def _examine_cluster(diagnosis: Diagnosis, api: ApiClient, url: str) -> None:
    before = time.time()
    try:
        diagnostics = api.get("/diagnostics")
    except ClientError as error:
        diagnosis.findings.append(_unreachable(str(error)))
        return
    diagnosis.examined.append(f"node {diagnostics['node']} at {url}")
    diagnosis.findings += examine_node(diagnostics)
    diagnosis.findings += _examine_clock_of(diagnostics, before, time.time())
    try:
        nodes = api.get("/api/v1/nodes")["nodes"]
    except ClientError as error:
        diagnosis.skipped.append(f"the list of nodes: {error}")
        return
    diagnosis.examined.append(f"the list of {len(nodes)} nodes")
    diagnosis.findings += examine_nodes(nodes, examined=diagnostics["node"])


def _examine_clock_of(diagnostics: Mapping[str, Any], before: float, after: float) -> list[Finding]:
    told = datetime.fromisoformat(diagnostics["now"]).timestamp()
    offset, uncertainty = told - (before + after) / 2, (after - before) / 2
    return list(examine_clock(f"node {diagnostics['node']}", offset, uncertainty))


def _unreachable(sentence: str) -> Finding:
    return critical(
        "no_answer",
        "cluster",
        sentence,
        "nothing is known of the nodes",
        "give the address of a node with --url, and the key with TANNOY_API_KEY",
    )


async def _examine_redis(diagnosis: Diagnosis, settings: Settings, variables: Mapping[str, str]) -> None:
    try:
        report = await check_start(settings, variables)
        diagnosis.findings += (
            warning("settings", "settings", sentence, "a node says so at its start", "see docs/protocol.md §8")
            for sentence in report.warnings
        )
        diagnosis.examined += ["the settings of this environment", f"Redis at {report.redis}"]
        facts = await look_at_servers(report.backend, report.keyspace, REDIS_TIMEOUT)
    except StartError as error:
        means = "a node would not start here"
        diagnosis.findings.append(critical("can_not_start", "Redis", str(error), means, "mend what it names"))
    except (RedisError, OSError, ConnectionLost) as error:
        means = "it answers a node, and not this look"
        diagnosis.findings.append(critical("redis", "Redis", str(error), means, "see whether it is overloaded"))
    else:
        for server in facts:
            diagnosis.findings += examine_server(server)
