"""Streams over the HTTP API of a node or load balancer: the paths, bodies and answers of their calls."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..shared.channels import ChannelKind
from ..shared.names import StreamId
from ..shared.publication import Position
from ..shared.streams import Ended, StreamHeader, StreamStatus, Written
from .errors import StreamBroken


def streams_path(kind: ChannelKind, name: str) -> str:
    return f"/{'rooms' if kind is ChannelKind.ROOM else 'agents'}/{quote(name)}/streams"


def stream_path(kind: ChannelKind, name: str, stream_id: StreamId) -> str:
    return f"{streams_path(kind, name)}/{quote(stream_id)}"


def begin_fields(header: StreamHeader) -> dict[str, object]:
    return {
        "stream_id": header.stream_id,
        "meta": header.meta,
        "user_id": header.user_id,
        "username": header.username,
    }


def read_written(answer: Mapping[str, Any]) -> Written:
    return Written(int(answer["to"]), int(answer["listeners"]), bool(answer["stop"]))


def read_ended(answer: Mapping[str, Any]) -> Ended:
    position = Position(answer["epoch"], answer["offset"]) if "offset" in answer else None
    return Ended(int(answer["to"]), StreamStatus(answer["status"]), position)


def broken_by(status: int, problem: Mapping[str, Any]) -> StreamBroken | None:
    """What a problem document says of a stream; None: it is about something else."""
    if status not in (404, 409) or "code" not in problem:
        return None
    ended = problem.get("ended")
    if status == 404:
        ended = StreamStatus.LOST
    known = StreamStatus(ended) if ended in list(StreamStatus) else None
    return StreamBroken(str(problem.get("detail", "")), to=problem.get("to"), ended=known)
