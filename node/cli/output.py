"""What `tannoy watch` prints: messages to standard output, the state of the connection to standard error."""

import json
import sys
from contextlib import aclosing

from rich.console import Console
from rich.text import Text

from ...client.catch_up import Frame
from ...client.subscription import StatusLine, Subscription

NOT_PRINTED = ("welcome", "resync", "bye")
"""Frames for which the subscription yields a StatusLine."""


async def print_frames(subscription: Subscription, *, raw: bool) -> None:
    """Print until the subscription raises ClientError. `raw`: each frame as a line of JSON."""
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    # What such an output lacks would be printed as an escape of Python, which JSON does not have.
    is_ascii = sys.stdout.encoding.lower().replace("-", "") != "utf8"
    async with aclosing(subscription.frames()) as frames:
        async for frame in frames:
            if isinstance(frame, StatusLine):
                errors.print(Text(make_printable(frame.text)))
            elif raw:
                console.out(_encode_json(frame, is_ascii=is_ascii), highlight=False)
            elif frame["type"] not in NOT_PRINTED:
                console.print(_format_frame(frame))


def _format_frame(frame: Frame) -> Text:
    if frame["type"] != "message":
        return Text(_encode_json(frame), style="dim")
    content = frame["content"]
    text = make_printable(content) if isinstance(content, str) else _encode_json(content)
    author = make_printable(frame["username"] or frame["user_id"] or "–")
    time = frame["timestamp"][11:19]
    return Text.assemble((time, "dim"), " ", (f"{author}:", "cyan"), " ", text)


def _encode_json(value: object, *, is_ascii: bool = False) -> str:
    """JSON that can't control this terminal: characters that do not print are escaped, so the value is the same."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def make_printable(text: str) -> str:
    """Replace control characters, so that a message can't control this terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
