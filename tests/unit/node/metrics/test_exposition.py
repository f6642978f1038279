"""The metrics of a node as Prometheus reads them."""

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families
from tannoy.node.connections.session_log import EndedBy, EndStatistics
from tannoy.node.metrics.exposition import DURATIONS, FAMILIES, Exposition
from tannoy.node.node import Node
from tannoy.node.statistics import NodeStatistics
from tannoy.shared.durations import Durations
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time

NAMES = [*(family.sample_name for family in FAMILIES), *(family.sample_name for family in DURATIONS)]


def samples_of(statistics: NodeStatistics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample by its name and the values of its labels."""
    text, _ = Exposition(lambda: statistics).encode("")
    families = text_string_to_metric_families(text.decode())
    return {(each.name, tuple(each.labels.values())): each.value for family in families for each in family.samples}


@on_manual_time
async def test_what_a_node_counts_is_what_prometheus_reads() -> None:
    statistics = Node(load_settings(node_id="n1")).statistics()
    samples = samples_of(
        replace(
            statistics,
            hub=replace(statistics.hub, sessions=7, channels=5, rooms=3),
            relay=replace(statistics.relay, deliveries=40),
            ended=(EndStatistics(EndedBy.NODE, "4002", 2), EndStatistics(EndedBy.LOSS, "", 1)),
        )
    )
    assert samples["tannoy_node_info", ("n1", statistics.version)] == 1
    assert samples["tannoy_sessions", ()] == 7
    assert (samples["tannoy_channels", ("room",)], samples["tannoy_channels", ("agent",)]) == (3, 2)
    assert samples["tannoy_deliveries_total", ()] == 40
    assert samples["tannoy_sessions_ended_total", ("node", "4002")] == 2
    assert samples["tannoy_sessions_ended_total", ("loss", "")] == 1


@on_manual_time
async def test_a_histogram_counts_in_each_bucket_what_lies_below_it() -> None:
    durations = Durations()
    for seconds in (0.0001, 0.002, 9.0):
        durations.record(seconds)
    statistics = Node(load_settings()).statistics()
    link = replace(statistics.bus.link, delays=durations.statistics())
    samples = samples_of(replace(statistics, bus=replace(statistics.bus, link=link)))
    buckets = {
        bound: samples["tannoy_bus_delay_seconds_bucket", (bound,)] for bound in ("0.0005", "0.0025", "2.5", "+Inf")
    }
    assert buckets == {"0.0005": 1, "0.0025": 2, "2.5": 2, "+Inf": 3}
    assert samples["tannoy_bus_delay_seconds_count", ()] == 3
    assert samples["tannoy_bus_delay_seconds_sum", ()] == 9.0021


@on_manual_time
async def test_what_is_not_known_has_no_sample() -> None:
    samples = samples_of(Node(load_settings()).statistics())
    assert ("tannoy_archive_lag_seconds", ()) not in samples
    assert ("tannoy_event_loop_lag_seconds", ()) not in samples


@on_manual_time
async def test_openmetrics_is_answered_where_it_is_asked_for() -> None:
    exposition = Exposition(Node(load_settings()).statistics)
    text, content_type = exposition.encode("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert exposition.encode("*/*")[1].startswith("text/plain")


def test_no_metric_is_there_twice() -> None:
    assert sorted(NAMES) == sorted(set(NAMES))
