"""Letting a node leave, from any node."""

from collections.abc import Awaitable, Callable

from ...fanout.control.surveys import Surveys
from ...shared.errors import Unavailable
from ...shared.nodes import NodeInfo


class NodeOperations:
    """`list_nodes` gives the nodes whose heartbeat holds; it raises Unavailable."""

    def __init__(self, surveys: Surveys, list_nodes: Callable[[], Awaitable[list[NodeInfo]]]) -> None:
        self._surveys = surveys
        self._list_nodes = list_nodes

    async def find(self, name: str) -> list[NodeInfo]:
        """The nodes with this name; by the name of a process (`incarnation`) one at most. Raises Unavailable."""
        return [node for node in await self._list_nodes() if name in (node.node, node.incarnation)]

    async def drain(self, node: NodeInfo) -> None:
        """Let a node leave; one that drains already goes on. Raises Unavailable: it has not said that it will."""
        result = await self._surveys.drain(node.incarnation, node.node)
        if result.late_nodes:
            raise Unavailable(f"{node.node} has not answered in time: it may drain, or not. Ask again")
