"""What `tannoy watch` prints, and where."""

import json
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from tannoy.client.catch_up import Frame
from tannoy.client.errors import ClientError
from tannoy.client.subscription import StatusLine, Subscription
from tannoy.node.cli.output import print_frames

MESSAGE = {
    "type": "message",
    "room": "lobby",
    "user_id": "ada",
    "username": "Ada",
    "content": "hello",
    "timestamp": "2026-11-21T08:15:30.123Z",
}


class ScriptedSubscription:
    """Yields these frames and status lines, then raises ClientError."""

    def __init__(self, *items: Frame | StatusLine) -> None:
        self._items = items

    async def frames(self) -> AsyncGenerator[Frame | StatusLine]:
        for item in self._items:
            yield item
        raise ClientError("the end")


async def printed(capsys: pytest.CaptureFixture[str], *items: Frame | StatusLine, raw: bool = False) -> tuple[str, str]:
    """Standard output and standard error."""
    with pytest.raises(ClientError, match="the end"):
        await print_frames(cast("Subscription", ScriptedSubscription(*items)), raw=raw)
    out, err = capsys.readouterr()
    return out, err


async def test_a_message_is_printed_with_time_and_author(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed(capsys, MESSAGE) == ("08:15:30 Ada: hello\n", "")


@pytest.mark.parametrize(
    ("author", "name"),
    [({"username": None}, "ada"), ({"username": None, "user_id": None}, "–")],
)
async def test_a_message_without_a_username_is_printed_with_the_user_id_or_a_dash(
    capsys: pytest.CaptureFixture[str], author: Frame, name: str
) -> None:
    assert await printed(capsys, MESSAGE | author) == (f"08:15:30 {name}: hello\n", "")


async def test_content_that_is_not_text_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed(capsys, MESSAGE | {"content": {"é": [1]}}) == ('08:15:30 Ada: {"é": [1]}\n', "")


async def test_control_characters_are_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = await printed(capsys, MESSAGE | {"content": "\x1b[31mred"}, StatusLine("\x07bell"))

    assert (out, err) == ("08:15:30 Ada: \ufffd[31mred\n", "\ufffdbell\n")


UNPRINTABLE = "\x1b[2J\x7f\x9b\x90\u202e\U000e0001"
"""Characters that clear a screen, begin a control sequence or turn the direction of text around."""


@pytest.mark.parametrize("raw", [False, True])
async def test_characters_that_do_not_print_are_escaped_in_json(raw: bool, capsys: pytest.CaptureFixture[str]) -> None:
    frame = {"type": "private", "user_id": "eve", "content": UNPRINTABLE}
    out, _ = await printed(capsys, frame, raw=raw)
    assert json.loads(out) == frame
    assert out.rstrip("\n").isprintable()


async def test_control_characters_in_a_username_are_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = await printed(capsys, {**MESSAGE, "username": UNPRINTABLE})
    assert out.rstrip("\n").isprintable()


async def test_status_lines_are_printed_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert await printed(capsys, StatusLine("reconnected")) == ("", "reconnected\n")


async def test_frames_with_a_status_line_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [{"type": "welcome"}, {"type": "resync"}, {"type": "bye"}]

    assert await printed(capsys, *frames) == ("", "")


async def test_other_frames_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    frame = {"type": "user_joined", "user_id": "ada"}
    out, _ = await printed(capsys, frame)

    assert json.loads(out) == frame


async def test_raw_output_is_every_frame_as_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [{"type": "welcome"}, MESSAGE]
    out, _ = await printed(capsys, *frames, raw=True)

    assert [json.loads(line) for line in out.splitlines()] == frames
