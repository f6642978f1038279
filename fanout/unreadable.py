"""What Redis holds and no node has written: it is skipped, counted, logged once for each kind of key, and removed.

Two things find it. A node that parses a value notes what it can't read. And where a script or a command is refused
because of what its keys hold, `lua/unreadable_remove.lua` looks at all of these keys, before or without a repetition.
What is removed counts as lost: it is stated or built again as after any loss of keys.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import cast

from ..shared.channels import Channel, ChannelKind, Owner, OwnerKind
from ..shared.channels import partition as partition_of_name
from ..shared.errors import BadName
from ..shared.keyspace import Keyspace
from ..shared.logs import get_logger
from ..shared.names import RoomName, parse_agent, parse_room, parse_user
from ..shared.partitions import kind_of_key
from .redis.connection import Reply, Word
from .redis.errors import CommandFailed, RedisError
from .redis.pipeline import CommandSender
from .redis.script import Script
from .scripts import UNREADABLE_REMOVE

SHOWN_BYTES = 60
"""Of a value that is logged."""

_log = get_logger("tannoy.redis")


class UnreadableData:
    """What this process has found, by kind of key. One for all that reads from Redis."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()  # bounded: there are as many kinds as `Keyspace` has methods
        self._removing: set[tuple[bytes, ...]] = set()  # bounded: commands that are in flight

    def note(self, key: bytes, value: object, count: int = 1) -> None:
        """A value under this key was skipped or removed."""
        kind = kind_of_key(key)
        if kind not in self._found:
            shown = value[:SHOWN_BYTES] if isinstance(value, bytes) else value
            _log.error(
                "Redis holds what no node has written: it is skipped, and removed where that harms nothing. "
                "/diagnostics counts what follows",
                key=f"{key[:SHOWN_BYTES]!r}",
                value=f"{shown!r:.80}",
            )
        self._found[kind] += count

    async def remove(self, commands: CommandSender, verb: str, key: bytes, *members: bytes) -> None:
        """Note these members or fields of a key, and remove them by SREM, ZREM, HDEL. Raises what `commands` raises."""
        for member in members:
            self.note(key, member)
        if members:
            await commands.send(verb, key, *members)

    # ---- what Redis refuses

    def on_refused(self, commands: CommandSender, words: tuple[Word, ...], refusal: RedisError) -> None:
        """A command was refused. If that is because of what its keys hold, remove what can't be read there."""
        keys = _keys_of(words)
        if refusal.is_about_data and keys and keys not in self._removing and words[1] != UNREADABLE_REMOVE.digest:
            self._removing.add(keys)
            removing = commands.run_script(UNREADABLE_REMOVE, keys, tuple(map(kind_of_key, keys)))
            removing.add_done_callback(lambda done: self._on_removed(keys, done))

    def _on_removed(self, keys: tuple[bytes, ...], done: "asyncio.Future[Reply]") -> None:
        self._removing.discard(keys)
        if done.cancelled() or done.exception() is not None:
            return  # the next refusal tries again
        self._note_removed(keys, done.result())

    def _note_removed(self, keys: tuple[bytes, ...], counts: Reply) -> None:
        for key, count in zip(keys, cast("list[int]", counts), strict=True):
            if count:
                self.note(key, None, count)

    async def run(
        self, commands: CommandSender, script: Script, keys: tuple[bytes, ...], arguments: tuple[Word, ...]
    ) -> Reply:
        """Run a script that repeating does not harm. If the keys hold what it can't read, remove that and repeat it.

        For what has to succeed before a connection may be used. Raises what `commands` raises.
        """
        try:
            return await commands.run_script(script, keys, arguments)
        except (RedisError, CommandFailed) as error:
            refusal = error if isinstance(error, RedisError) else error.refusal
            if refusal is None or not refusal.is_about_data:
                raise
        self._note_removed(keys, await commands.run_script(UNREADABLE_REMOVE, keys, tuple(map(kind_of_key, keys))))
        return await commands.run_script(script, keys, arguments)

    def statistics(self) -> Mapping[str, int]:
        """Values since the start that were skipped or removed, by kind of key."""
        return dict(self._found)


def _keys_of(words: tuple[Word, ...]) -> tuple[bytes, ...]:
    """The keys of a command or script; empty: it is no command on a key."""
    found = words[3 : 3 + int(words[2])] if words[0] == "EVALSHA" else words[1:2]
    return tuple(word for word in found if isinstance(word, bytes) and kind_of_key(word))


# ---- names in members and entries, as types


def parse_channel(name: str, keyspace: Keyspace) -> Channel:
    """The channel of `room:NAME` or `agent:NAME`. Raises BadName: no node has written it."""
    kind, _, rest = name.partition(":")
    if kind == ChannelKind.ROOM:
        return keyspace.room(parse_room(rest))
    if kind == ChannelKind.AGENT:
        return keyspace.agent(parse_agent(rest))
    raise BadName(f"{name!r:.40} names no room and no agent")


def parse_room_member(member: bytes, part: int) -> RoomName | None:
    """The room that a member of a set of rooms in this partition names. None: no node has written it."""
    try:
        room = parse_room(member.decode())
    except (UnicodeDecodeError, BadName):
        return None
    return room if partition_of_name("room", room) == part else None


def parse_owner_member(member: bytes, part: int) -> Owner | None:
    """The owner that a member of the set of a process's owners names. None: no node has written it."""
    try:
        kind, _, name = member.decode().partition(":")
        owner = Owner(OwnerKind(kind), parse_agent(name) if kind == OwnerKind.AGENT else parse_user(name))
    except (ValueError, BadName):
        return None
    return owner if owner.partition == part else None


def parse_incarnation(member: bytes) -> str | None:
    """The process that a member of the set of heartbeats names. None: no node has written it."""
    name = member.decode("ascii", "replace")
    return name if name.isalnum() and name.isascii() and len(name) <= 64 else None


def parse_number(field: bytes) -> int | None:
    """The number of a session, as a process has written it: digits without leading zeros. None: no node has."""
    if not (field.isdigit() and len(field) <= 15):
        return None
    number = int(field)
    return number if str(number).encode() == field else None
