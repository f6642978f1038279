"""What a producer of a stream, or who asks for one, is refused with."""

from ...shared.codes import ErrorCode
from ...shared.errors import Refused
from ...shared.streams import StreamStatus


class StreamRefused(Refused):
    """What was asked does not fit how the stream stands."""

    code = ErrorCode.BAD_REQUEST


class StreamUnknown(StreamRefused):
    """The channel has no stream of this name, or has forgotten it."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(f"no stream {stream_id!r} here: it was never begun, or has ended some time ago")


class StreamConflict(StreamRefused):
    """The text, or the end, that stands already is another one.

    `to` is where the text of the stream ends, if it is known; `status` how the stream has ended.
    """

    def __init__(self, message: str, *, to: int | None = None, status: StreamStatus | None = None) -> None:
        super().__init__(message)
        self.to = to
        self.status = status
