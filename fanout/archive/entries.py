"""From an entry of the backlog to a row of the archive. What Redis holds is input: it is parsed here, or refused."""

from typing import Any, cast

import orjson

from ...shared.errors import BadName, MalformedBytes
from ...shared.keyspace import Keyspace
from ..pubsub.envelopes import Envelopes
from ..unreadable import parse_channel
from .calls import TakenEntry
from .store import ArchivedMessage


def read_entry(entry: TakenEntry, keyspace: Keyspace, envelopes: Envelopes) -> ArchivedMessage:
    """Raises MalformedBytes: no node of this cluster has written it."""
    fields = entry.fields
    if len(fields) != 6 or tuple(fields[::2]) != (b"c", b"p", b"m"):
        raise MalformedBytes(f"an entry of the backlog with other fields: {fields!r:.80}")
    name, position, envelope = map(bytes, fields[1::2])
    try:
        channel = parse_channel(name.decode(), keyspace)
        epoch, _, digits = position.decode().partition(" ")
        offset, milliseconds = int(digits), int(entry.id.partition(b"-")[0])
        if channel.partition != entry.partition:
            raise MalformedBytes("an entry of the backlog in the partition of another channel")
        json = envelopes.unpack_entry(channel.address, envelope, epoch, offset).encoded.json
        frame: Any = orjson.loads(json)
        text = json.decode()
    except (ValueError, BadName) as error:
        raise MalformedBytes(f"an entry of the backlog: {error}") from error
    return ArchivedMessage(name.decode(), offset, epoch, milliseconds, _author(frame), text)


def _author(frame: object) -> str | None:
    fields = cast("dict[str, object]", frame) if isinstance(frame, dict) else {}
    user_id = fields.get("user_id")
    return user_id if isinstance(user_id, str) else None
