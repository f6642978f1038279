"""What a node knows of all revocations, in memory and without I/O: who is asked about with each token and each session.

It takes records in any order and any number of times: of one ID the one that was changed later holds.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from ...shared.revocations import Revocation, RevocationKind

KNOWN_MAX = 20_000
"""Records that a node knows: two Redis servers with as many as one may have, where the address led to both."""


class KnownRevocations:
    """Every question is a look-up in a dictionary, however many there are. `now` is in Unix seconds."""

    def __init__(self) -> None:
        self.ignored = 0
        """Records that were not taken, because KNOWN_MAX were known."""
        self._records: dict[str, Revocation] = {}
        self._packed: dict[str, bytes] = {}
        self._until: dict[RevocationKind, dict[str, int]] = {kind: {} for kind in RevocationKind}

    def __len__(self) -> int:
        return len(self._records)

    def is_revoked(self, kind: RevocationKind, value: str, now: float) -> bool:
        until = self._until[kind].get(value)
        return until is not None and now < until

    def active(self, now: float) -> list[Revocation]:
        """Those that have an effect, the newest first."""
        found = [record for record in self._records.values() if record.is_active(now)]
        found.sort(key=attrgetter("id"))
        found.sort(key=attrgetter("created_at"), reverse=True)
        return found

    def ids(self) -> list[str]:
        """Of all records, those that were lifted or are over among them."""
        return list(self._records)

    def find_same(self, id: str, packed: bytes) -> Revocation | None:
        """The record of an ID if Redis stores it as it is known: it need not be parsed again."""
        return self._records[id] if self._packed.get(id) == packed else None

    def packed(self, id: str) -> bytes:
        """The record of an ID as Redis stores it; empty: it is not known."""
        return self._packed.get(id, b"")

    def merge(self, record: Revocation) -> bool:
        """Whether this record holds from now on; False: it, or a later one, is known."""
        id = record.id
        known = self._records.get(id)
        if known is not None and known.changed_at >= record.changed_at:
            return False
        if known is None and len(self._records) >= KNOWN_MAX:
            self.ignored += 1
            return False
        self._records[id], self._packed[id] = record, record.pack()
        if record.is_lifted:
            self._until[record.kind].pop(record.value, None)
        else:
            self._until[record.kind][record.value] = record.until
        return True

    def find_lost(self, ids: Iterable[str], stored: Mapping[str, int], now: float) -> list[tuple[str, bytes]]:
        """Those of these IDs, with their records, that are not over, and that Redis lacks or has as they were before.

        `stored`: of each ID in Redis, when its record was changed.
        """
        known = ((id, self._records.get(id)) for id in ids)
        return [
            (id, self._packed[id])
            for id, record in known
            if record is not None and record.changed_at > stored.get(id, -1) and now < record.until
        ]

    def find_expired(self, ids: Iterable[str], now: float) -> list[str]:
        """Those of these IDs whose time is over."""
        known = ((id, self._records.get(id)) for id in ids)
        return [id for id, record in known if record is not None and record.until <= now]

    def forget_expired(self, ids: Iterable[str], now: float) -> None:
        """Forget those of these whose time is over: one may have been revoked again meanwhile."""
        for id in ids:
            record = self._records.get(id)
            if record is not None and record.until <= now:
                del self._records[id], self._packed[id]
                self._until[record.kind].pop(record.value, None)
