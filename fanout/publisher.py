"""Publishes on the channels of the bus, over a pipeline of its own."""

import asyncio

from ..shared.channels import Channel, Channels
from .pipeline import Pipeline
from .scripts import PUBLISH_ONCE
from .wire import Reply

REMEMBER_KEY_SECONDS = 300


class Publisher:
    """All publishes of a node: in order, each confirmed by Redis or failed within the pipeline's deadline."""

    def __init__(self, pipeline: Pipeline, channels: Channels) -> None:
        self.pipeline = pipeline
        self._channels = channels

    def publish(
        self, channel: Channel, payload: bytes, *, author: str = "", key: str | None = None
    ) -> asyncio.Future[Reply]:
        """Say `payload` on a room's or an agent's channel; with `key`, at most once per author and key.

        The future is done when Redis has confirmed, and raises Unavailable where it has not in time.
        """
        if key is None:
            return self.send(channel.address, payload)
        memory = self._channels.once(channel, author, key)
        return self.pipeline.run_script(PUBLISH_ONCE, (memory,), (channel.address, payload, REMEMBER_KEY_SECONDS))

    def send(self, address: bytes, payload: bytes) -> asyncio.Future[Reply]:
        """PUBLISH on any channel; the result is the number of links that got it, at the most."""
        return self.pipeline.send(b"PUBLISH", address, payload)
