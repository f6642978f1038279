"""`tannoy bench` against a running cluster."""

import json

from tests.support.cluster import Cluster
from tests.support.command_line import is_one_sentence, run_tannoy_async
from tests.support.ports import free_port

QUICK = ("--sessions", "20", "--rooms", "2", "--rate", "20", "--seconds", "1", "--connect-rate", "1000")


async def test_a_healthy_cluster_delivers_everything_once(one_node: Cluster) -> None:
    url = one_node.nodes[0].ws_url
    tested = await run_tannoy_async("bench", url, *QUICK, "--json")
    report = json.loads(tested.stdout)
    assert tested.returncode == 0
    assert report["sessions"] == {"connected": 20, "refused": {}, "retried": 0}
    assert report["messages"] == 20
    deliveries = {"expected": 200, "received": 200, "repeated": 0, "success_rate": 1.0}
    assert (report["deliveries"], report["closed"]) == (deliveries, {})
    assert report["latency_ms"].keys() == {"p50", "p95", "p99", "max"}

    shown = await run_tannoy_async("bench", url, *QUICK)
    assert "20 of 20 sessions connected" in shown.stdout
    assert "200 of 200 deliveries (100.000 %)" in shown.stdout


async def test_sessions_without_a_place_are_counted_and_exit_code_1() -> None:
    async with Cluster(nodes=1, AUTH="jwt", JWT_SECRET="a secret of thirty-two characters") as cluster:
        tested = await run_tannoy_async("bench", cluster.nodes[0].ws_url, *QUICK, "--token", "wrong", "--json")
        assert tested.returncode == 1
        assert json.loads(tested.stdout)["sessions"] == {"connected": 0, "refused": {"bad_token": 20}, "retried": 0}


async def test_handshakes_beyond_the_rate_are_tried_again() -> None:
    async with Cluster(nodes=1, RATE_CONNECTS="10/s", TRUSTED_PROXIES="127.0.0.1") as cluster:
        words = ("--sessions", "60", "--rate", "5", "--seconds", "1", "--connect-rate", "1000", "--json")
        report = json.loads((await run_tannoy_async("bench", cluster.nodes[0].ws_url, *words)).stdout)
        assert report["sessions"]["connected"] == 60
        assert report["sessions"]["retried"] > 0


async def test_an_address_without_a_cluster_is_told() -> None:
    tested = await run_tannoy_async("bench", f"ws://127.0.0.1:{free_port()}", *QUICK)
    assert tested.returncode == 1
    assert "0 of 20 sessions connected" in tested.stdout
    assert is_one_sentence((await run_tannoy_async("bench", "http//x")).stderr)
