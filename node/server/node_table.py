"""The live table of `tannoy up`: each node with its port, its state and what it does. It fits into 80 columns."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from .supervised_node import SupervisedNode


def build_table(url: str, nodes: Iterable[SupervisedNode]) -> Table:
    table = Table(title=f"Tannoy at {url}", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("node", "port", "process", "state", "sessions", "messages/s", "deliveries/s", "starts"):
        table.add_column(heading, justify="left" if heading in ("node", "state") else "right", no_wrap=True)
    for node in nodes:
        state = Text(node.state, style="green" if node.state == "ready" else "yellow")
        rates = (f"{node.messages_per_second:,.0f}", f"{node.deliveries_per_second:,.0f}")
        process = "-" if node.process is None else str(node.process.pid)
        table.add_row(node.name, str(node.port), process, state, str(node.sessions), *rates, str(node.starts))
    return table
