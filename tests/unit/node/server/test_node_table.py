"""The live table of `tannoy up`, in a terminal of the usual width."""

import io

from rich.console import Console
from tannoy.node.server.node_table import build_table
from tannoy.node.server.supervised_node import SupervisedNode


def test_ports_and_headings_are_whole_in_80_columns() -> None:
    nodes = [SupervisedNode(f"node-{number}", 65_000 + number, state="no answer") for number in (1, 2)]
    for node in nodes:
        node.sessions, node.messages_per_second, node.deliveries_per_second = 20_000, 123_456.0, 1_234_567.0
    console = Console(file=io.StringIO(), width=80)
    console.print(build_table("http://127.0.0.1:65000", nodes))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    for shown in ("http://127.0.0.1:65000", "65001", "65002", "20000", "deliveries/s", "1,234,567", "no answer"):
        assert shown in text
    assert "…" not in text
