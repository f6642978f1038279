"""One line of the log for each session that ends, or gets no place, sampled where there are many."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from ...shared.clock import Clock
from ...shared.codes import CLOSE_RULES, CloseCode
from ...shared.sessions import CloseOrder
from ..admission.sampled_lines import SampledLines
from ..protocols.session import Session

CLOSED_BY_CLIENT = "closed by the client"
LOST = "the connection was lost"
LOSSES_KEPT = 256
"""Lost connections of which the age is remembered, to find those that a time-out on the way has cut."""
_KNOWN_CODES = frozenset(CLOSE_RULES)


class EndedBy(StrEnum):
    """Who has ended a session."""

    NODE = "node"
    REFUSAL = "refusal"  # by the node, before the session was open
    CLIENT = "client"
    LOSS = "loss"  # of its connection, without a close frame


@dataclass(frozen=True, slots=True)
class EndStatistics:
    """How many sessions have ended so."""

    by: EndedBy
    code: str
    """The close code; empty: there was none; "other": the client chose one that is not of `docs/protocol.md §5`."""
    count: int


_log = structlog.get_logger("tannoy.session")


class SessionLog:
    """`address` is the client's, None where it has none."""

    def __init__(self, clock: Clock) -> None:
        self._lines = SampledLines(clock)
        self._loss_ages: deque[float] = deque(maxlen=LOSSES_KEPT)
        self._ends: Counter[tuple[EndedBy, str]] = Counter()  # bounded: close codes of ours

    def record_close(
        self, session: Session, address: str | None, code: CloseCode, order: CloseOrder | None, *, was_open: bool
    ) -> None:
        """The node closes the session, or, if it was never open, refuses it a place. `order`: the limit behind it."""
        self._ends[EndedBy.NODE if was_open else EndedBy.REFUSAL, str(int(code))] += 1
        event = "closed a session" if was_open else "refused a session"
        if (sampled := self._lines.admit((event, code))) is None:
            return
        limit = {} if order is None else {"owner": f"{order.owner.kind}:{order.owner.name}", "count": order.count}
        self._write(event, session, address, int(code), CLOSE_RULES[code].reason, {**limit, **sampled})

    def record_end(self, session: Session, address: str | None, code: int | None, age: float) -> None:
        """The client has closed the session with this code; None: its connection is gone. `age` is in seconds."""
        if code is None:
            self._loss_ages.append(round(age, 1))
            self._ends[EndedBy.LOSS, ""] += 1
        else:
            self._ends[EndedBy.CLIENT, str(code) if code in _KNOWN_CODES else "other"] += 1
        if (sampled := self._lines.admit(code is None)) is not None:
            reason = LOST if code is None else CLOSED_BY_CLIENT
            self._write("a session has ended", session, address, code, reason, sampled)

    def loss_ages(self) -> tuple[float, ...]:
        """How long the connections had lasted that were lost last, in seconds."""
        return tuple(self._loss_ages)

    def statistics(self) -> tuple[EndStatistics, ...]:
        return tuple(EndStatistics(by, code, count) for (by, code), count in sorted(self._ends.items()))

    def _write(
        self,
        event: str,
        session: Session,
        address: str | None,
        code: int | None,
        reason: str,
        others: Mapping[str, object],
    ) -> None:
        _log.info(
            event,
            session=session.session_id,
            user=session.user_id,
            address=address,
            code=code,
            reason=reason,
            **others,
        )
