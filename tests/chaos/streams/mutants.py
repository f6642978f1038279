"""Nodes with one safety of streams removed. `scenarios.py` shows the effect of each."""

from collections.abc import Callable

from tannoy.node.delivery.stream_table import StreamTable
from tannoy.node.delivery.stream_view import StreamView
from tannoy.shared.names import StreamId
from tannoy.shared.protocol.codec import encode_lazily
from tannoy.shared.publication import Publication

from tests.chaos.harness.patching import patch

_grown_from: dict[int, int] = {}
"""Where the last piece of a view begins, by the identity of the view."""


def _note_pieces() -> None:
    grow = StreamTable._grow  # pyright: ignore[reportPrivateUsage]

    def note(self: StreamTable, stream_id: StreamId, view: StreamView, text: bytes) -> None:
        _grown_from[id(view)] = len(view)
        grow(self, stream_id, view, text)

    patch(StreamTable, "_grow", note)


def stream_seam_dropped() -> None:
    """A session that joins in the middle is not given the last piece that came before it was a member."""

    def cut_short(self: StreamTable) -> list[Publication]:
        known = [view for view in self.views.values() if view.header is not None]
        return [Publication(encode_lazily(view.frame(None, _grown_from.get(id(view), 0)))) for view in known]

    _note_pieces()
    patch(StreamTable, "snapshots", cut_short)


def stream_snapshot_overlaps() -> None:
    """A session that joins in the middle is given the last piece in its snapshot, and once more behind it."""
    snapshots = StreamTable.snapshots

    def repeat(self: StreamTable) -> list[Publication]:
        last = [view.publication(_grown_from[id(view)]) for view in self.views.values() if id(view) in _grown_from]
        return [*snapshots(self), *last]

    _note_pieces()
    patch(StreamTable, "snapshots", repeat)


MUTANTS: dict[str, Callable[[], None]] = {
    mutate.__name__: mutate for mutate in (stream_seam_dropped, stream_snapshot_overlaps)
}
