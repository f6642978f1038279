"""docs/metrics.md explains each metric; the alert rules and the dashboard name no other ones."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tannoy.node.metrics.exposition import DURATIONS, FAMILIES

PROJECT = Path(__file__).parent.parent.parent
RULES: dict[str, Any] = yaml.safe_load((PROJECT / "deploy/prometheus/rules.yaml").read_text())
DASHBOARD: dict[str, Any] = json.loads((PROJECT / "deploy/grafana/tannoy.json").read_text())
_named = re.compile(r"\btannoy_\w+").findall
_HISTOGRAM_PARTS = re.compile(r"_(bucket|count|sum)$")


def _rows() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The kind and the labels of each metric, as the page has them."""
    page = (PROJECT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \| .+ \|$", page, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_page_has_each_metric_with_its_kind_and_its_labels() -> None:
    families = {family.sample_name: (family.kind.value, family.labels) for family in FAMILIES}
    durations = {family.sample_name: ("histogram", family.labels) for family in DURATIONS}
    assert _rows() == families | durations


def _alerts() -> Iterator[dict[str, Any]]:
    for group in RULES["groups"]:
        yield from group["rules"]


def _queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    expressions = [*(alert["expr"] for alert in _alerts()), *_queries()]
    named = {_HISTOGRAM_PARTS.sub("", name) for expression in expressions for name in _named(expression)}
    assert named - _rows().keys() == set()


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert [a["alert"] for a in _alerts() if not {"summary", "action"} <= a["annotations"].keys()] == []
    assert {alert["labels"]["severity"] for alert in _alerts()} == {"warning", "critical"}
