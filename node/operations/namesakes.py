"""Two nodes of one name. It confuses people alone: nodes tell each other apart by their incarnation."""

from collections.abc import Awaitable, Callable

import structlog

from ...shared.errors import Unavailable
from ...shared.nodes import NodeInfo

_log = structlog.get_logger("tannoy.node")


async def warn_of_namesake(own: NodeInfo, list_nodes: Callable[[], Awaitable[list[NodeInfo]]]) -> None:
    """Log an error if another node that stays has the name of this one.

    One that drains is replaced by this one, as in a rolling restart.
    """
    try:
        nodes = await list_nodes()
    except Unavailable:
        return
    others = [node for node in nodes if node.node == own.node and node.incarnation != own.incarnation]
    if any(not node.draining for node in others):
        _log.error("another node of this cluster has the same TANNOY_NODE_ID: give each its own", node=own.node)
    else:
        _log.debug("no other node has the name of this node", node=own.node)
