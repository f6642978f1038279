"""Reads of a channel's history, for the `history` command and the HTTP API."""

import asyncio

from ...fanout.history.reader import HistoryPage, HistoryReader
from ...fanout.redis.pipeline import read_later
from ...shared.channels import Channel
from ...shared.protocol.codec import decode_publication
from ...shared.protocol.commands import HistoryQuery
from ...shared.protocol.frames import Object
from ...shared.publication import Position


def position_fields(position: Position | None) -> Object:
    """Return `epoch` and `offset` of a message; nothing if the channel keeps no history."""
    return {} if position is None else position.as_fields()


def read_page(history: HistoryReader, channel: Channel, query: HistoryQuery) -> asyncio.Future[Object]:
    """Read `messages`, in the order of their offsets, and `epoch` and `offset` of the head.

    If no history is kept, there are no messages, and both are null. The future raises Unavailable.
    """
    if history.is_kept:
        return read_later(history.page(channel, query), _page_fields)
    nothing: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
    nothing.set_result({"messages": [], "epoch": None, "offset": None})
    return nothing


def _page_fields(page: HistoryPage) -> Object:
    return {"messages": [decode_publication(entry) for entry in page.entries], **page.head.as_fields()}
