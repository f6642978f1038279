"""The output of `tannoy up`: what is printed while nobody reads it, and once somebody does again."""

import io
import threading
from collections.abc import Generator

import pytest
from tannoy.node.server.terminal_output import TerminalOutput

from tests.support.waiting import PATIENCE, eventually


class Reader:
    """Reads nothing until it may."""

    def __init__(self) -> None:
        self.text = b""
        self.may_read = threading.Event()

    def write(self, text: bytes) -> None:
        assert self.may_read.wait(PATIENCE)
        self.text += text


@pytest.fixture
def reader() -> Generator[Reader]:
    reader = Reader()
    yield reader
    reader.may_read.set()


def output_to(reader: Reader, *, waiting_max_bytes: int = 1000) -> TerminalOutput:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    return TerminalOutput(stream, reader.write, waiting_max_bytes=waiting_max_bytes)


def test_lines_are_printed_in_their_order(reader: Reader) -> None:
    reader.may_read.set()
    output = output_to(reader)
    output.print("[bold]first[/bold]")
    output.print("second", source="node-1")
    output.close()

    assert reader.text == b"first\nsecond\n"


def test_what_the_encoding_of_the_output_lacks_is_escaped(reader: Reader) -> None:
    reader.may_read.set()
    output = output_to(reader)
    output.print("née")
    output.close()

    assert reader.text == b"n\\xe9e\n"


async def test_lines_that_find_no_room_are_counted_for_each_source_which_is_said_once_there_is_room(
    reader: Reader,
) -> None:
    output = output_to(reader, waiting_max_bytes=len(b"fits\n"))
    output.print("fits")
    output.print("fits")
    for source in ("node-1", "node-2", "node-1"):
        output.print("does not fit", source=source)
    reader.may_read.set()

    async def has_room() -> bool:
        return output.catch_up()

    await eventually(has_room, what="what waited has been read")
    output.close()

    assert reader.text.decode().splitlines() == [
        "fits",
        "fits",
        "node-1: 2 lines were not printed, since this output was not read",
        "node-2: 1 lines were not printed, since this output was not read",
    ]


def test_without_room_there_is_no_catching_up(reader: Reader) -> None:
    output = output_to(reader, waiting_max_bytes=0)
    output.print("waits")

    assert not output.catch_up()
