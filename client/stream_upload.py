"""A text from elsewhere as a stream, over the HTTP API: each piece at its position, so a repetition adds nothing."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from ..shared.backoff import full_jitter
from ..shared.stream_text import TextPieces, cut
from .api_client import BACKOFF_BASE, BACKOFF_CAP, TRIES, ApiClient
from .errors import ClientError, NoAnswer, Unconfirmed
from .targets import api_path

PIECE_MAX_BYTES = 8192
"""Bytes of the text in one request."""


class StreamUpload:
    """`report` gets a sentence for each try that was not confirmed. All but `add` raise ClientError."""

    def __init__(self, client: ApiClient, target: str, report: Callable[[str], None]) -> None:
        """`target` is `room:NAME` or `agent:ID`."""
        self.stream_id = uuid4().hex[:16]
        self.is_stopped = False
        """Somebody has asked to stop."""
        self._client = client
        self._path = f"{api_path(target)}/streams"
        self._report = report
        self._pieces = TextPieces()
        self._unsent = b""
        self._length = 0

    def begin(self, username: str | None) -> None:
        body: dict[str, object] = {"stream_id": self.stream_id}
        if username is not None:
            body |= {"user_id": None, "username": username}
        tries = 0

        def attempt() -> dict[str, Any]:
            nonlocal tries
            tries += 1
            try:
                return self._client.post(self._path, body)
            except (NoAnswer, Unconfirmed):
                raise
            except ClientError:
                if tries == 1:
                    raise
                return {}  # begun by a try that was not confirmed

        self._until_confirmed(attempt)

    def add(self, data: bytes) -> None:
        """Bytes of the text, cut anywhere."""
        self._unsent += self._pieces.add(data)

    def send(self) -> None:
        """Send what was added; nothing: keep the stream alive, and learn whether somebody has asked to stop."""
        while True:
            piece = self._unsent[: cut(self._unsent, PIECE_MAX_BYTES)]
            body = {"text": piece.decode(), "from": self._length}
            attempt = partial(self._client.post, f"{self._path}/{self.stream_id}", body)
            written = self._until_confirmed(attempt)
            self._length, self._unsent = int(written["to"]), self._unsent[len(piece) :]
            self.is_stopped = bool(written["stop"])
            if not self._unsent:
                return

    def end(self, status: str) -> dict[str, Any]:
        """What is left is sent first."""
        self._unsent += self._pieces.finish()
        if self._unsent:
            self.send()
        path = f"{self._path}/{self.stream_id}/end"
        return self._until_confirmed(lambda: self._client.post(path, {"status": status}))

    def _until_confirmed(self, attempt: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        failed: ClientError | None = None
        for tried in range(TRIES):
            if failed is not None:
                self._report(str(failed))
                time.sleep(full_jitter(tried - 1, base=BACKOFF_BASE, cap=BACKOFF_CAP, uniform=random.uniform))
            try:
                return attempt()
            except NoAnswer as error:
                if self._length == 0 and failed is None:
                    raise  # no server was there from the first try on
                failed = error
            except Unconfirmed as error:
                failed = error
        raise ClientError(f"not confirmed in {TRIES} tries: {failed}")
