"""`GET /metrics` of a running cluster, read by Prometheus; and the alert rules and the dashboard that query it."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import PROJECT, Cluster
from tests.support.prometheus import Prometheus, prometheus, promtool
from tests.support.waiting import eventually, value_becomes

RULES = PROJECT / "deploy/prometheus/rules.yaml"
DASHBOARD: dict[str, Any] = json.loads((PROJECT / "deploy/grafana/tannoy.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.fixture(scope="module")
async def cluster(anyio_backend: str) -> AsyncGenerator[Cluster]:
    """Two nodes with sessions of each kind, that have said something."""
    async with Cluster(nodes=2) as running:
        for node in running.nodes:
            client = await node.connect("/ws/chat/lobby")
            await client.ok("message", content="hello")
            await node.connect("/ws/agents/42")
            await (await node.connect("/ws")).close()
        yield running


def _without_variables(query: str) -> str:
    """The query with what Grafana puts in place of its variables."""
    return query.replace("$instance", ".*").replace("$__rate_interval", "10s")


async def test_every_query_of_the_dashboard_returns_data(cluster: Cluster) -> None:
    async with prometheus([node.port for node in cluster.nodes]) as running:
        unanswered = set(map(_without_variables, QUERIES))

        async def ask_again() -> set[str]:
            for query in tuple(unanswered):
                if await running.query(query):
                    unanswered.discard(query)
            return unanswered

        await value_becomes(ask_again, set[str]())
        assert await _single(running, "sum(tannoy_sessions)") == 4
        assert await _single(running, "min(tannoy_nodes)") == 2


async def _single(running: Prometheus, query: str) -> float:
    (sample,) = await running.query(query)
    return float(sample["value"][1])


async def test_promtool_accepts_the_metrics_of_a_node(cluster: Cluster) -> None:
    metrics = await cluster.nodes[0].http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    promtool("check", "metrics", given=metrics.content)


async def test_the_delay_of_the_bus_is_measured_by_itself(cluster: Cluster) -> None:
    async def has_grown() -> bool:
        text = (await cluster.nodes[0].http.get("/metrics")).text
        (count,) = [line for line in text.splitlines() if line.startswith("tannoy_bus_delay_seconds_count")]
        return float(count.split()[1]) >= 3

    await eventually(has_grown, what="each command connection has been measured")


def test_promtool_accepts_the_alert_rules() -> None:
    promtool("check", "rules", RULES)


FIRING: dict[str, dict[str, str]] = {
    "TannoyNodeGone": {'up{job="tannoy"}': "0x60"},
    "TannoyNodeNotReady": {"tannoy_node_ready": "0x60", "tannoy_node_draining": "0x60"},
    "TannoyBusDown": {"tannoy_redis_link_up": "0x60"},
    "TannoyPublishesFail": {'tannoy_redis_commands_total{connection="publish",result="failed"}': "0+1x60"},
    "TannoyBusSlow": {
        'tannoy_bus_delay_seconds_bucket{le="0.25"}': "0+0x60",
        'tannoy_bus_delay_seconds_bucket{le="0.5"}': "0+5x60",
        'tannoy_bus_delay_seconds_bucket{le="+Inf"}': "0+5x60",
    },
    "TannoyEventLoopLate": {"tannoy_event_loop_lag_seconds": "0.5x60"},
    "TannoyNodeBusy": {"tannoy_cpu_ratio": "0.95x60"},
    "TannoyMemoryShort": {"tannoy_memory_bytes": "95x60", "tannoy_memory_max_bytes": "100x60"},
    "TannoyFilesShort": {"tannoy_open_files_ratio": "0.9x60"},
    "TannoyNewcomersRefused": {'tannoy_refused_total{reason="files"}': "0+30x60"},
    "TannoyTokensRefused": {'tannoy_refused_total{reason="token_expired"}': "0+30x60"},
    "TannoySlowReaders": {'tannoy_sessions_ended_total{by="node",code="4002"}': "0+5x60"},
    "TannoyMessagesMissed": {"tannoy_resyncs_total": "0+1x60"},
    "TannoyLeasesLost": {"tannoy_leases_lost_total": "0+1x60"},
    "TannoyClusterSplit": {'tannoy_nodes{instance="a",job="j"}': "2x60", 'tannoy_nodes{instance="b",job="j"}': "1x60"},
    "TannoyServiceDown": {'tannoy_service_up{service="redis"}': "0x60"},
    "TannoyArchiveLate": {"tannoy_archive_lag_seconds": "90x60"},
    "TannoyHooksFail": {'tannoy_hook_failures_total{hook="on_message",result="late"}': "0+10x60"},
    "TannoyWebhooksLate": {"tannoy_webhook_lag_seconds": "90x60"},
    "TannoyLogLost": {"tannoy_log_lines_lost_total": "0+1x60"},
}
"""For each alert, series in which it fires: a value each 15 s, for 15 minutes."""


def test_each_alert_fires_when_it_should(tmp_path: Path) -> None:
    alerts = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert sorted(FIRING) == sorted(alerts)
    cases = [
        {
            "interval": "15s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0',
                    "eval_time": "12m",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }
        for alert, series in FIRING.items()
    ]
    file = tmp_path / "tests.yaml"
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": cases}
    file.write_text(json.dumps(tests))  # which is YAML too
    promtool("test", "rules", file)
