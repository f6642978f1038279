"""What the node itself decides, without a bus."""

from tannoy.node.node import Node
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time


@on_manual_time
async def test_a_node_that_leaves_is_not_ready() -> None:
    node = Node(load_settings())
    node.leaving.announce()
    assert (node.is_draining, node.not_ready_reason) == (True, "the node is draining")
