"""A listener of a transport that pauses and resumes, for tests of the outbox alone."""

from tannoy.node.delivery.outbox import Outbox


class OutboxListener:
    """A TransportListener that tells `outbox` what its connection would tell it."""

    outbox: Outbox

    def on_opened(self, opening: bytes = b"") -> None: ...
    def on_message(self, payload: bytes, binary: bool) -> None: ...
    def on_ping(self, payload: bytes) -> None: ...
    def charge_frames(self, frames: int) -> bool:
        return True

    def on_violation(self, code: int, reason: str) -> None: ...
    def on_close_sent(self) -> None: ...
    def on_closed(self, code: int | None = None) -> None: ...
    def on_writing_paused(self) -> None:
        self.outbox.pause()

    def on_writing_resumed(self) -> None:
        self.outbox.resume()
