"""What `tannoy watch` prints: what was said to standard output, what happens to the line to standard error."""

import json
from contextlib import aclosing

from rich.console import Console
from rich.text import Text

from ...client.catch_up import Frame
from ...client.subscription import StatusLine, Subscription

TOLD_BY_REMARKS = ("welcome", "resync", "bye")


async def print_frames(watch: Subscription, *, raw: bool) -> None:
    """Until the watch ends, with its ClientError. `raw`: every frame as a line of JSON."""
    console, errors = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    async with aclosing(watch.heard()) as heard:
        async for told in heard:
            if isinstance(told, StatusLine):
                errors.print(Text(_printable(told.text)))
            elif raw:
                console.out(json.dumps(told, ensure_ascii=False), highlight=False)
            elif told["type"] not in TOLD_BY_REMARKS:
                console.print(_line(told))


def _line(frame: Frame) -> Text:
    if frame["type"] != "message":
        return Text(json.dumps(frame, ensure_ascii=False), style="dim")
    content = frame["content"]
    said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    who = frame["username"] or frame["user_id"] or "–"
    return Text.assemble((frame["timestamp"][11:19], "dim"), " ", (f"{who}:", "cyan"), " ", _printable(said))


def _printable(text: str) -> str:
    """What others say must not drive this terminal: no control sequences."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)
