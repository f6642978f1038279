"""A node whose readiness is that of all that runs in an application: of the publisher too."""

from ..node.node import Node
from ..sdk.async_publisher import AsyncPublisher


class EmbeddedNode(Node):
    """`publisher`: what the application publishes with, set before the node runs. All else is as for a Node."""

    publisher: AsyncPublisher | None = None

    @property
    def not_ready_reason(self) -> str | None:
        reason = super().not_ready_reason
        if reason is None and self.publisher is not None and self.publisher.failure is not None:
            return "the publisher of the application has failed"
        return reason
