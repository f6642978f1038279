"""What a producer of a stream, or who asks for one, is refused with."""

from collections.abc import Mapping

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.streams import StreamStatus


class StreamRefused(Refused):
    """What was asked does not fit how the stream stands."""

    code = ErrorCode.BAD_REQUEST


class StreamUnknown(StreamRefused):
    """The channel has no stream of this name, or has forgotten it."""

    http_status = 404

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"no stream {stream_id!r} here: it was never begun, or has ended some time ago")


class StreamConflict(StreamRefused):
    """The text, or the end, that stands already is another one.

    `to` is where the text of the stream ends, if it is known; `status` how the stream has ended.
    """

    http_status = 409

    def __init__(self, message: str, *, to: int | None = None, status: StreamStatus | None = None) -> None:
        super().__init__(message)
        self.to = to
        self.status = status

    @property
    def fields(self) -> Mapping[str, object]:
        known: dict[str, object] = {} if self.to is None else {"to": self.to}
        return known if self.status is None else known | {"ended": self.status.value}
