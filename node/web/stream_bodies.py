"""The bodies of the calls for streams."""

from typing import Annotated, Any

import orjson
from pydantic import BeforeValidator, Field, WithJsonSchema

from ...shared.errors import BadRequest
from ...shared.names import StreamId, parse_stream
from ...shared.protocol.commands import OFFSET_MAX
from ...shared.protocol.field_schemas import NAME, OFFSET, nullable
from ...shared.protocol.frames import Author
from ...shared.streams import META_MAX_BYTES, PRODUCER_STATUSES, StreamStatus
from .contract import ContractBody, OptionalUser, OptionalUsername


def _parse_meta(value: object) -> object:
    size = len(orjson.dumps(value))
    if size > META_MAX_BYTES:
        raise BadRequest(f"meta has {size} bytes as JSON, and may have {META_MAX_BYTES}")
    return value


def _parse_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise BadRequest("text has to be a string")


def _parse_start(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= OFFSET_MAX):
        return value
    raise BadRequest("from has to be a position: bytes of the text in UTF-8, an integer from 0")


def _parse_status(value: object) -> StreamStatus:
    if isinstance(value, str) and value in list(PRODUCER_STATUSES):
        return StreamStatus(value)
    raise BadRequest(f"status has to be one of: {', '.join(PRODUCER_STATUSES)}")


class StreamBody(ContractBody):
    """The beginning of a stream."""

    stream_id: Annotated[
        StreamId | None,
        BeforeValidator(lambda value: None if value is None else parse_stream(value)),
        WithJsonSchema(nullable(NAME)),
    ] = None
    meta: Annotated[Any, BeforeValidator(_parse_meta), WithJsonSchema({"description": "Any JSON value."})] = None
    user_id: OptionalUser = None
    username: OptionalUsername = None

    @property
    def author(self) -> Author:
        return Author.named(self.user_id, self.username)


class StreamPieceBody(ContractBody):
    """A piece of the text."""

    text: Annotated[str, BeforeValidator(_parse_text)]
    start: Annotated[int | None, BeforeValidator(_parse_start), WithJsonSchema(nullable(OFFSET))] = Field(
        default=None, alias="from"
    )


class StreamEndBody(ContractBody):
    """How a stream has ended."""

    status: Annotated[
        StreamStatus,
        BeforeValidator(_parse_status),
        WithJsonSchema({"type": "string", "enum": list(PRODUCER_STATUSES), "default": "done"}),
    ] = StreamStatus.DONE
