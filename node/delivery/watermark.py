"""Which events of a channel a member knows already: the order that the merge of snapshot and stream rests on.

A channel's events are of two kinds, each with an order of its own. Presence events carry the room's version, which
rises with every change. Messages carry an offset in an epoch, which rises by one with every message; a new epoch begins
when Redis has lost data. A watermark is a point in both orders: "presence events up to `version`, and messages up to
`offset` of `epoch`". `delivery/roster.py` says what it is for.
"""

from collections.abc import Iterable
from typing import NamedTuple

from ...shared.publication import Publication


class Watermark(NamedTuple):
    """A member knows presence events up to `version`, and messages up to `offset` of `epoch`.

    `version` 0: no presence event is known. `epoch` "": no message is known.
    """

    version: int = 0
    epoch: str = ""
    offset: int = 0

    @classmethod
    def after(cls, publications: Iterable[Publication]) -> "Watermark":
        """Return the watermark of a member that has been given all of these, in this order."""
        version, epoch, offset = 0, "", 0
        for publication in publications:
            version = publication.version or version
            if publication.epoch:
                epoch, offset = publication.epoch, publication.offset
        return cls(version, epoch, offset)

    def includes(self, publication: Publication) -> bool:
        """Return whether the member knows this event already.

        A `resync` can be known too: a member that knows an epoch up to an offset must not be led back before it.
        What carries neither version nor epoch (`typing`) is never known.
        """
        if publication.version:
            return publication.version <= self.version
        if not (publication.epoch and self.epoch):
            return False
        if publication.epoch != self.epoch:
            return not publication.resets  # published before the epoch that is known already
        return publication.offset <= self.offset

    def not_seen_of(self, publications: Iterable[Publication]) -> list[Publication]:
        """Return those that are not known, in order. Behind a `resync` into another epoch all messages are new."""
        seen, not_seen = self, list[Publication]()
        for publication in publications:
            if not seen.includes(publication):
                not_seen.append(publication)
                if publication.resets:
                    seen = Watermark(seen.version)
        return not_seen

    def merged_with(self, other: "Watermark") -> "Watermark":
        """Return what is known by either; if the epochs differ, the messages of this one."""
        offset = max(self.offset, other.offset) if self.epoch == other.epoch else self.offset
        return Watermark(max(self.version, other.version), self.epoch, offset)

    def is_ahead_of(self, other: "Watermark") -> bool:
        """Return whether this includes an event that `other` does not include."""
        in_history = bool(self.epoch) and (self.epoch != other.epoch or self.offset > other.offset)
        return self.version > other.version or in_history


NOTHING_SEEN = Watermark()
