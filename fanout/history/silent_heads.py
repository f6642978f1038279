"""Heads of channels in which nothing was said and that this node follows no longer: Redis need not keep them.

A head is stored with the first join of a channel. Without this, whoever joins and leaves ever new rooms would leave one
in each of them for an hour. It is released only a period after the channel was dropped: until then Redis has carried
out the UNSUBSCRIBE, and sees whether another node is subscribed.
"""

from ...shared.channels import Channel
from ...shared.errors import Unavailable
from ...shared.logs import get_logger
from ..batches import batched
from .cursor import CursorState, TrackedChannel
from .reader import HistoryReader
from .tracked import TrackedChannels

PENDING_MAX = 20_000
"""Heads that wait to be released. Those beyond it expire by themselves, as they do where Redis does not answer."""
RELEASES_AT_ONCE = 256

_log = get_logger("tannoy.history")


class SilentHeads:
    def __init__(self, history: HistoryReader, channels: TrackedChannels) -> None:
        self._history = history
        self._channels = channels
        self._dropped: dict[bytes, Channel] = {}  # in this period
        self._due: dict[bytes, Channel] = {}  # in the one before

    def note_dropped(self, tracked: TrackedChannel) -> None:
        """This node follows the channel no longer."""
        is_silent = tracked.cursor.state is CursorState.FOLLOWING and tracked.cursor.position.is_start
        if is_silent and len(self._dropped) < PENDING_MAX:
            self._dropped[tracked.channel.address] = tracked.channel

    async def release(self) -> None:
        """Release what was dropped in the period before this one; to be called once in each."""
        due, self._due, self._dropped = self._due, self._dropped, {}
        channels = (channel for address, channel in due.items() if address not in self._channels.by_address)
        try:
            for batch in batched(channels, RELEASES_AT_ONCE):
                await self._history.release(batch)
        except Unavailable as error:
            _log.debug("could not release heads", error=str(error))
