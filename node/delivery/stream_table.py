"""The open streams of one channel on this node: what the bus brings of them, made into what members are given.

**The problem.** A stream is heard in pieces, over the link, which may lose some; and whoever comes in the middle needs
what was said before.

**The invariant.** Every member of the roster has been given each stream of its table up to the end of its view, once
and in order, or is owed it by its outbox. What is given next begins there, or is the whole text.

**How it is kept.** The table takes each batch when its delivery begins, in the same synchronous step in which the
roster copies it to the sessions that are joining (`roster.py`). So the text of a view is exactly what has been handed
to the members, and a session that becomes a member at any moment is given the views as they are then: there is no gap
to the next piece, and nothing twice. Its join buffer holds no pieces.

**Holes.** A piece that does not begin where the text ends waits, and Redis is asked how the stream stands; what it has
is passed on as one `delta`, or as the whole text where the text so far is not the beginning of it. A stream of which
only pieces are known is asked for in the same way, and members are told nothing of it before.

**The end** is a message of the history, with an offset, so it comes once, in order, and is found again after a hole.
Members that were given the stream get `stream_end`; where the stream is not in the table, which is so for all members
alike, the message is delivered as it is. Sessions that are joining are given the message too, unless their snapshot
contains it: they have not been given the stream.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import orjson

from ...shared.channels import Channel
from ...shared.names import StreamId
from ...shared.protocol.codec import encode_lazily
from ...shared.protocol.stream_frames import StreamEndFrame
from ...shared.publication import Publication
from ...shared.streams import (
    StreamEnd,
    StreamPiece,
    StreamPublication,
    StreamRead,
    StreamSnapshot,
    StreamStatus,
)
from .stream_view import StreamView
from .watermark import NOTHING_SEEN, Watermark

VIEWS_MAX = 2000
"""Streams of one channel that a node follows: more than may be open; pieces of further ones are dropped."""
ENDED_MAX = 64
"""Streams of a channel that have ended and are remembered, so that what was read before is not shown; then the oldest
is forgotten."""

_HASH_MASK = (1 << 62) - 1
_LOST = StreamStatus.LOST
TOLD = -1
"""Members were told of the end without its message, which is not to be delivered any more."""

AskStream = Callable[[Channel, StreamId], None]
"""Ask Redis how a stream stands: the answer comes as a StreamRead."""


class StreamTable:
    """`ask` is called where pieces are missing. `now` gives monotonic seconds."""

    def __init__(self, channel: Channel, ask: AskStream, now: Callable[[], float]) -> None:
        self.channel = channel
        self.views: dict[StreamId, StreamView] = {}
        self._ask = ask
        self._now = now
        # How each has ended: a hash of its text, or TOLD. Redis may have lost an end, and have it a second time.
        self._ended: OrderedDict[StreamId, int] = OrderedDict()
        self._given: list[Publication] = []  # of the batch that is being taken
        self._grown: dict[StreamId, int] = {}  # so long the text of these was before it

    def snapshots(self) -> list[Publication]:
        """How all open streams stand: for a session that becomes a member now."""
        return [view.publication(None) for view in self.views.values() if view.header is not None]

    def take(
        self, publications: Iterable[Publication], delivered: Watermark = NOTHING_SEEN
    ) -> tuple[list[Publication], list[Publication]]:
        """What the members are given of a batch whose delivery begins, and what the sessions are that are joining.

        `delivered`: what the members have been given of the history before.
        """
        for_joining: list[Publication] = []
        for publication in publications:
            if not isinstance(publication, StreamPublication):
                self._give(publication)
                for_joining.append(publication)
                continue
            match publication.event:
                case StreamSnapshot() as snapshot:
                    self._take_snapshot(snapshot)
                case StreamPiece() as piece:
                    self._take_piece(piece)
                case StreamRead() as read:
                    self._take_read(read, delivered)
                case StreamEnd() as end:
                    self._take_end(end, publication)
                    for_joining.append(publication)
        self._give_grown()
        given, self._given = self._given, []
        return given, for_joining

    def ask_all(self) -> None:
        """Pieces of any stream, or its end, may be missing: the link was away, or a `resync` was sent."""
        for stream_id in tuple(self.views):
            self._ask(self.channel, stream_id)

    # ---- events

    def _take_snapshot(self, snapshot: StreamSnapshot) -> None:
        view = self.views.get(snapshot.stream_id)
        waiting = [] if view is None else view.take_waiting()
        if view is None or view.header != snapshot.header:
            self._ended.pop(snapshot.stream_id, None)
            self._give_grown()
            view = StreamView(self.channel, snapshot.header, snapshot.text, self._now())
            self.views[snapshot.stream_id] = view
            self._give(view.publication(None))
        else:
            self._complete(view, snapshot)
        for piece in waiting:
            self._take_piece(piece)

    def _take_piece(self, piece: StreamPiece) -> None:
        view = self.views.get(piece.stream_id)
        if view is None:
            if len(self.views) >= VIEWS_MAX:
                return
            view = self.views[piece.stream_id] = StreamView(self.channel, None, b"", self._now())
        view.heard_at, length = self._now(), len(view)
        known = length - piece.start
        # Otherwise Redis has lost what stood here, and its producer has written another text.
        is_same = known >= 0 and view.text.startswith(piece.text[:known], piece.start)
        if view.header is None or not is_same:
            view.wait(piece)
            self._ask(self.channel, piece.stream_id)
        elif piece.end > length:
            self._grow(piece.stream_id, view, piece.text[known:])

    def _take_read(self, read: StreamRead, delivered: Watermark) -> None:
        view = self.views.get(read.stream_id)
        if read.snapshot is None:
            if view is not None:
                self._tell_end(view, StreamEnd(read.stream_id, len(view), StreamStatus.LOST), 0)
                self._forget(read.stream_id, 0 if view.header is None else TOLD)
        elif read.stream_id in self._ended:
            pass  # it was read before its end came
        elif read.status is None:
            self._take_snapshot(read.snapshot)
        elif read.position is None:
            self._take_snapshot(read.snapshot)
            self._end_now(read.snapshot, read.status, 0)
        elif view is not None and view.header is None:
            del self.views[read.stream_id]  # its message comes, or has been delivered
        elif view is not None:
            self._take_snapshot(read.snapshot)
            epoch, offset = read.position
            if delivered.epoch and (delivered.epoch != epoch or delivered.offset >= offset):
                self._end_now(read.snapshot, read.status, offset)  # a `resync` was sent in place of its message

    def _end_now(self, snapshot: StreamSnapshot, status: StreamStatus, offset: int) -> None:
        end = StreamEnd(snapshot.stream_id, len(snapshot.text), status)
        self._tell_end(self.views[snapshot.stream_id], end, offset)
        self._forget(snapshot.stream_id, TOLD)

    def _take_end(self, end: StreamEnd, publication: StreamPublication) -> None:
        view, text = self.views.get(end.stream_id), text_of(publication)
        digest, before = hash(text) & _HASH_MASK, self._ended.get(end.stream_id)
        if view is not None and view.header is not None and text is not None:
            self._complete(view, StreamSnapshot(view.header, text))
            self._tell_end(view, end, publication.offset)
        elif before == TOLD or (view is None and before is not None and (end.status is _LOST or before == digest)):
            return  # members have heard of this end, and that of their text
        else:
            self._give(publication)
        self._forget(end.stream_id, digest)

    # ---- what members are given

    def _complete(self, view: StreamView, snapshot: StreamSnapshot) -> None:
        """Bring members to this text. One that is behind theirs says nothing: more is on its way, or is lost."""
        text, view.heard_at = snapshot.text, self._now()
        if text.startswith(bytes(view.text)):
            self._grow(snapshot.stream_id, view, text[len(view) :])
        elif not view.text.startswith(text):
            self._give_grown()
            # A view of its own: outboxes may owe text of the other one.
            view = self.views[snapshot.stream_id] = StreamView(self.channel, view.header, text, view.heard_at)
            self._give(view.publication(None))

    def _grow(self, stream_id: StreamId, view: StreamView, text: bytes) -> None:
        """Pieces that come one after another become one `delta`."""
        if text:
            self._grown.setdefault(stream_id, len(view))
            view.text += text

    def _give(self, publication: Publication) -> None:
        self._give_grown()
        self._given.append(publication)

    def _give_grown(self) -> None:
        for stream_id, start in self._grown.items():
            self._given.append(self.views[stream_id].publication(start))
        self._grown.clear()

    def _tell_end(self, view: StreamView, end: StreamEnd, offset: int) -> None:
        """Members that are ahead of the batch are told too, so this has no position."""
        if view.header is not None:
            frame = StreamEndFrame(self.channel, end.stream_id, end.length, end.status, offset or None)
            self._give(Publication(encode_lazily(frame)))

    def _forget(self, stream_id: StreamId, how: int) -> None:
        self._give_grown()
        self.views.pop(stream_id, None)
        self._ended[stream_id] = how
        self._ended.move_to_end(stream_id)
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)


def text_of(publication: Publication) -> bytes | None:
    """The text in the message of a stream that has ended; None: no node has written this message."""
    try:
        text = orjson.loads(publication.encoded.json)["content"]["text"]
        return text.encode() if isinstance(text, str) else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
