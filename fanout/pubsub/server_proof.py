"""Proof that the commands of a node reach the server from which its link receives, without I/O and without a clock.

A URL may lead to another server while connections to the former one live on: behind a TCP proxy, a Kubernetes Service
or a name with two addresses. So the link publishes a nonce over each command connection, and later one of its own:

    over a command connection, on the link's echo channel:  nonce c ──▶ confirmed by Redis
    over the link itself, sent after that:                                            nonce n
    what the link receives, on one server:                       c                         n
    what the link receives, if the command connection goes elsewhere:                      n

Redis sends to one connection in the order of publishing. So if n comes back and c, which was confirmed before n was
sent, has not, then c was published on another server: how long anything takes does not matter.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

PROOF_PREFIX = b"c"
"""First byte of the nonces that are published over command connections."""

C = TypeVar("C")


@dataclass(slots=True)
class _Sent:
    """A nonce that has not come back."""

    nonce: bytes
    sent_at: float
    is_confirmed: bool = False
    """Redis has answered that it was published."""
    is_due: bool = False
    """It was confirmed before the link sent its present nonce."""


class ServerProof(Generic[C]):
    """Of one connection of the link. `C` is a command connection."""

    def __init__(self) -> None:
        self.proven: set[C] = set()
        """Command connections whose last nonce has come back: they go to the server of the link."""
        self._sent: dict[C, _Sent] = {}  # at most one nonce for each connection
        self._number = 0

    def clear(self) -> None:
        """The link has another connection, or was not subscribed to its echo channel: all begins anew."""
        self.proven.clear()
        self._sent.clear()

    def nonces_to_send(self, connections: Iterable[C], sent_at: float) -> list[tuple[C, bytes]]:
        """A nonce for each connection that has none on its way; what is known of other connections is forgotten.

        `sent_at` is now, in seconds of any clock.
        """
        now = set(connections)
        self.proven &= now
        self._sent = {connection: sent for connection, sent in self._sent.items() if connection in now}
        nonces: list[tuple[C, bytes]] = []
        for connection in now - self._sent.keys():
            self._number += 1
            nonce = PROOF_PREFIX + b"%d" % self._number
            self._sent[connection] = _Sent(nonce, sent_at)
            nonces.append((connection, nonce))
        return nonces

    def handle_answer(self, connection: C, nonce: bytes, answer: "asyncio.Future[Any]") -> None:
        """Redis has answered to the nonce, or its connection was lost: then it proves nothing."""
        is_published = not answer.cancelled() and answer.exception() is None
        sent = self._sent.get(connection)
        if sent is None or sent.nonce != nonce:
            return
        if is_published:
            sent.is_confirmed = True
        else:
            del self._sent[connection]

    def handle_nonce(self, nonce: bytes) -> tuple[C, float] | None:
        """A nonce has come back over the link: return the connection whose server is proven, and as of when."""
        found = next((connection for connection, sent in self._sent.items() if sent.nonce == nonce), None)
        if found is None:
            return None
        self.proven.add(found)
        return found, self._sent.pop(found).sent_at

    def begin(self) -> None:
        """The link sends a nonce over its own connection now."""
        for sent in self._sent.values():
            sent.is_due = sent.is_confirmed

    def end(self) -> list[C]:
        """That nonce has come back. The command connections that go to another server."""
        elsewhere = [connection for connection, sent in self._sent.items() if sent.is_due]
        for connection in elsewhere:
            del self._sent[connection]
            self.proven.discard(connection)
        return elsewhere
