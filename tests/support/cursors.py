"""A cursor driven by a test: what the link brings and history holds, as offsets."""

from tannoy.fanout.history.cursor import Cursor, CursorState
from tannoy.fanout.history.reader import HistoryPage
from tannoy.shared.publication import EncodedMessage, Position, Publication

Delivered = list[int | str]


def m(offset: int, epoch: str = "e", size: int = 10) -> Publication:
    return Publication(EncodedMessage(b"x" * size, b""), epoch=epoch, offset=offset)


def messages(*offsets: int, epoch: str = "e") -> list[Publication]:
    return [m(offset, epoch) for offset in offsets]


def reset(position: Position, reason: str) -> Publication:
    return Publication(EncodedMessage(reason.encode(), b""), epoch=position.epoch, offset=position.offset, resets=True)


def page(head: int, *offsets: int, epoch: str = "e") -> HistoryPage:
    return HistoryPage(Position(epoch, head), tuple(messages(*offsets, epoch=epoch)))


def as_items(publications: list[Publication]) -> Delivered:
    """Messages by their offset, resets as `EPOCH/OFFSET REASON`."""
    return [f"{p.epoch}/{p.offset} {p.encoded.json.decode()}" if p.resets else p.offset for p in publications]


class CursorDriver:
    """A cursor; each method returns what it delivers."""

    def __init__(self, at: int | None = 10) -> None:
        self.cursor = Cursor(reset)
        if at is not None:
            self.cursor.start_at(Position("e", at))

    def bring(self, *offsets: int, epoch: str = "e") -> Delivered:
        return as_items([p for offset in offsets for p in self.cursor.handle_message(m(offset, epoch))])

    def start_at(self, head: int, epoch: str = "e") -> Delivered:
        return as_items(self.cursor.start_at(Position(epoch, head)))

    def end_barrier(self, head: int, epoch: str = "e") -> Delivered:
        return as_items(self.cursor.handle_barrier(Position(epoch, head)))

    def read_page(self, head: int, *offsets: int, epoch: str = "e") -> Delivered:
        return as_items(self.cursor.handle_page(page(head, *offsets, epoch=epoch)))

    def give_up(self) -> Delivered:
        return as_items(self.cursor.give_up())

    @property
    def state(self) -> tuple[CursorState, str, int]:
        return self.cursor.state, self.cursor.epoch, self.cursor.offset


FOLLOWING, FILLING, UNKNOWN = CursorState.FOLLOWING, CursorState.FILLING, CursorState.UNKNOWN
