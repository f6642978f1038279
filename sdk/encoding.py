"""A message, encoded once in both wire formats, as nodes deliver it."""

from dataclasses import dataclass
from functools import lru_cache

import msgpack
import orjson

from ..shared.channels import Channel, ChannelKind
from ..shared.clock import Clock, rfc3339
from ..shared.codes import ErrorCode
from ..shared.errors import Refused
from ..shared.keyspace import Keyspace
from ..shared.names import AgentId, RoomName
from ..shared.protocol.decoding import ELEMENTS_MAX, MAX_DEPTH, check_value
from ..shared.protocol.frames import Author, MessageFrame, Object
from ..shared.publication import EncodedMessage
from .errors import MessageTooLarge, PublishRefused, from_refusal
from .messages import ChannelMessage

OVERHEAD_BYTES = 512
"""Of each message besides its two encodings, so that many empty ones are bounded too."""
CHANNELS_REMEMBERED = 4096
"""Names whose channels are not computed again."""


@dataclass(slots=True)
class ReadyMessage:
    """An encoded message, and where it goes. `size` is in bytes; `key` is that of the caller."""

    channel: Channel
    encoded: EncodedMessage
    author: str
    key: str | None
    exclude: str
    size: int


class Encoder:
    """`max_bytes` is how large the content of a message may be, as JSON."""

    def __init__(self, keyspace: Keyspace, clock: Clock, max_bytes: int) -> None:
        self._keyspace = keyspace
        self._clock = clock
        self._max_bytes = max_bytes
        self._find_channel = lru_cache(CHANNELS_REMEMBERED)(self._make_channel)
        self._pack = msgpack.Packer(strict_types=True).pack
        self._millisecond, self._timestamp = 0, ""

    def encode(self, message: ChannelMessage) -> ReadyMessage:
        """Raises PublishRefused."""
        channel, content, author = self._find_channel(message.kind, message.name), message.content, message.author
        frame = MessageFrame(channel, author, content, self._now()).as_object()
        json, packed = self._encode_checked(frame, author, content)
        if len(json) > self._max_bytes:
            self._check_size(len(orjson.dumps(content)))
        size = len(json) + len(packed) + OVERHEAD_BYTES
        encoded = EncodedMessage(json, packed)
        return ReadyMessage(channel, encoded, author.user_id or "", message.key, message.exclude, size)

    def find_channel(self, kind: ChannelKind, name: str) -> Channel:
        """Of a name that is checked."""
        return self._find_channel(kind, name)

    def check_content(self, content: object) -> None:
        """Raises PublishRefused."""
        self._check_size(len(encode_content(content)))

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            said = f"the content has {size} bytes as JSON, and {self._max_bytes} are allowed"
            raise MessageTooLarge(said, ErrorCode.TOO_LARGE)

    def _encode_checked(self, frame: Object, author: Author, content: object) -> tuple[bytes, bytes]:
        """In JSON and msgpack, which together refuse most of what `check_value` does, for a fraction of its time."""
        try:
            json, packed = orjson.dumps(frame), self._pack(frame)
        except (TypeError, ValueError) as error:
            _check(content)
            raise _not_encodable(error) from error
        nulls = (author.user_id is None) + (author.username is None) + (author.session_id is None)
        if (
            json.count(b"null") != nulls  # as which orjson writes NaN and infinity
            or json.count(b"[") + json.count(b"{") > MAX_DEPTH
            or (len(json) > ELEMENTS_MAX and json.count(b",") > ELEMENTS_MAX)
        ):
            _check(content)
        return json, packed

    def _now(self) -> str:
        now = self._clock.now()
        if (millisecond := int(now * 1000)) != self._millisecond:
            self._millisecond, self._timestamp = millisecond, rfc3339(now)
        return self._timestamp

    def _make_channel(self, kind: ChannelKind, name: str) -> Channel:
        if kind is ChannelKind.ROOM:
            return self._keyspace.room(RoomName(name))
        return self._keyspace.agent(AgentId(name))


def encode_content(content: object) -> bytes:
    """As JSON. Raises PublishRefused."""
    _check(content)
    try:
        return orjson.dumps(content)
    except TypeError as error:
        raise _not_encodable(error) from error


def _check(content: object) -> None:
    try:
        check_value(content)
    except Refused as refusal:
        raise from_refusal(refusal) from None


def _not_encodable(error: Exception) -> PublishRefused:
    """Its types were checked: a text in it is no Unicode."""
    return PublishRefused(f"the content can't be encoded: {error}", ErrorCode.BAD_REQUEST)
