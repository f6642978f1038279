"""The errors of the publishers.

PublishError
├── PublishUnavailable    not confirmed within the time-out: it may have been published, or not
├── PublishRefused        the cluster refuses it: repeating it as it is, is pointless
│   ├── InvalidName       a name outside the alphabet of docs/protocol.md §1
│   ├── MessageTooLarge   the content is larger than MESSAGE_MAX_BYTES
│   ├── Unauthorized      the API key or the credentials of Redis are wrong, or lack a right
│   └── StreamBroken      nothing can be added to the stream any more
├── ManyFailed            some messages of one `many` failed; `results` has a result each
└── PublisherMisused      the program is wrong
    ├── InvalidSettings   an argument of a publisher, or a variable of the environment, is not usable
    ├── PublisherNotOpen  used before it was opened
    ├── PublisherClosed   used after it was closed
    ├── WrongEventLoop    used in another event loop than the one it was opened in
    └── PublisherForked   used in a process that was forked after it was opened
"""

from collections.abc import Sequence

from ..shared.codes import ErrorCode
from ..shared.errors import Refused, TannoyError
from ..shared.publication import Position
from ..shared.streams import StreamStatus


class PublishError(TannoyError):
    """Base of all errors of a publisher. The message is a sentence that says what is wrong and what is allowed."""


class PublishUnavailable(PublishError):
    """Redis or the node did not confirm within the time-out. It may have been published, or not.

    `key` is the idempotency key of the caller: to repeat the call with it never publishes twice. None: none was given.
    """

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class PublishRefused(PublishError):
    """The cluster refuses the message. `code` is one of docs/protocol.md §4; `retry_after` is in seconds, if any."""

    def __init__(self, message: str, code: ErrorCode, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class InvalidName(PublishRefused):
    """A room, an agent, a session, a user or a username whose name is not allowed."""


class MessageTooLarge(PublishRefused):
    """The content is larger than a message may be."""


class Unauthorized(PublishRefused):
    """The API key is wrong; or Redis does not accept the credentials, or does not let them do what publishing needs."""


class StreamBroken(PublishRefused):
    """Nothing can be added to the stream: it has ended, `ended` says how; or its name, or its text, is another one's.

    `to` is where the text ends that stands, if that is known.
    """

    def __init__(self, message: str, *, to: int | None = None, ended: StreamStatus | None = None) -> None:
        super().__init__(message, ErrorCode.BAD_REQUEST)
        self.to = to
        self.ended = ended


class ManyFailed(PublishError):
    """Some messages of one `many` failed. `results` has for each message its position, None, or its error."""

    def __init__(self, results: "Sequence[Position | PublishError | None]") -> None:
        self.results = tuple(results)
        failed = [each for each in results if isinstance(each, PublishError)]
        super().__init__(f"{len(failed)} of {len(results)} messages failed; the first one: {failed[0]}")


class PublisherMisused(PublishError):
    """The program uses a publisher as it can't be used."""


class InvalidSettings(PublisherMisused):
    """An argument of a publisher, or a variable of the environment, is not usable."""


class PublisherNotOpen(PublisherMisused):
    """The publisher was not opened yet."""

    def __init__(self, publisher: str) -> None:
        with_ = "async with" if publisher.startswith("Async") else "with"
        super().__init__(
            f"this {publisher} is not open: use it in `{with_} {publisher}(…) as publisher`, or call open()"
        )


class PublisherClosed(PublisherMisused):
    """The publisher was closed, perhaps while it published: then the message may have been published, or not."""

    def __init__(self) -> None:
        super().__init__("this publisher is closed: open() opens it again")


class WrongEventLoop(PublisherMisused):
    """The publisher was opened in another event loop."""

    def __init__(self) -> None:
        super().__init__(
            "this AsyncPublisher was opened in another event loop: open one in each loop, or use a Publisher, which "
            "any thread may call"
        )


class PublisherForked(PublisherMisused):
    """The publisher was opened before this process was forked: its connections are those of the other process."""

    def __init__(self, publisher: str, opened_by: int) -> None:
        super().__init__(
            f"this {publisher} was opened in process {opened_by}, before this one was forked: call open() in this one, "
            "for instance when a worker starts"
        )


_CLASSES: dict[ErrorCode, type[PublishRefused]] = {
    ErrorCode.BAD_NAME: InvalidName,
    ErrorCode.TOO_LARGE: MessageTooLarge,
    ErrorCode.BAD_TOKEN: Unauthorized,
    ErrorCode.TOKEN_EXPIRED: Unauthorized,
    ErrorCode.FORBIDDEN: Unauthorized,
}


def refused(code: ErrorCode, message: str, retry_after: float | None = None) -> PublishRefused:
    """The error for a refusal with this code."""
    return _CLASSES.get(code, PublishRefused)(message, code, retry_after)


def from_refusal(refusal: Refused) -> PublishRefused:
    """The error for what a parser refuses."""
    return refused(refusal.code, refusal.message, refusal.retry_after)
