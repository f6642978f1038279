"""What channels have said, as clients and back ends read it."""

import asyncio

from ...fanout.history.reader import HistoryPage, HistoryReader
from ...fanout.redis.pipeline import read_later
from ...shared.channels import Channel
from ...shared.protocol.codec import decode_publication
from ...shared.protocol.commands import HistoryQuery
from ...shared.protocol.frames import Object
from ...shared.publication import Position


def position_fields(position: Position | None) -> Object:
    """Where a message stands. Without history it stands nowhere."""
    return {} if position is None else position.as_fields()


def read_page(history: HistoryReader, channel: Channel, query: HistoryQuery) -> asyncio.Future[Object]:
    """`messages` (rising), `epoch` and `offset` of the head. Where nothing is kept: none, and nulls.

    Raises Unavailable.
    """
    if history.is_kept:
        return read_later(history.page(channel, query), _page_fields)
    nothing: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
    nothing.set_result({"messages": [], "epoch": None, "offset": None})
    return nothing


def _page_fields(page: HistoryPage) -> Object:
    return {"messages": [decode_publication(entry) for entry in page.entries], **page.head.as_fields()}
