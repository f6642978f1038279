"""TANNOY_ARCHIVE: which rooms and agents are archived, as patterns.

A pattern is `room:NAME` or `agent:ID`, where a trailing `*` stands for any ending. The scripts of the history ask the
same question (`fanout/lua/history_common.lua`): a test compares the answers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .channels import Channel
from .errors import BadName
from .names import parse_agent, parse_room

PATTERNS_MAX = 100
"""Patterns of one setting: a script goes through them when an epoch begins."""
_PARSERS = {"room": parse_room, "agent": parse_agent}


@dataclass(frozen=True, slots=True)
class ArchivedChannels:
    """Without `patterns` nothing is archived."""

    patterns: tuple[str, ...] = ()
    backlog: int = 0
    """Messages of a partition that may wait to be written; then the oldest are lost to the archive."""

    def include(self, channel: Channel) -> bool:
        return match_channel(self.patterns, channel)

    @property
    def text(self) -> str:
        """As Redis stores them."""
        return ",".join(self.patterns)


NOTHING_ARCHIVED = ArchivedChannels()


def match_channel(patterns: Iterable[str], channel: Channel) -> bool:
    name = f"{channel.kind}:{channel.name}"
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def parse_patterns(entries: Iterable[str]) -> tuple[str, ...]:
    """Sorted, each once. Raises ValueError with what is allowed."""
    patterns = sorted({entry.strip() for entry in entries if entry.strip()})
    if len(patterns) > PATTERNS_MAX:
        raise ValueError(f"has {len(patterns)} patterns: {PATTERNS_MAX} are allowed")
    for pattern in patterns:
        _check(pattern)
    return tuple(patterns)


def _check(pattern: str) -> None:
    kind, _, name = pattern.partition(":")
    parse = _PARSERS.get(kind)
    if parse is None:
        raise ValueError(f"has {pattern!r:.80}: a pattern has to begin with room: or agent:, as in room:support.*")
    if name == "*":
        return
    try:
        parse(name.removesuffix("*"))
    except BadName as error:
        raise ValueError(f"has {pattern!r:.80}: {error.message}, and * at the end") from error
