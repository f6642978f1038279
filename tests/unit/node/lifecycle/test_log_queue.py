"""The handler of the log: it formats a record at once, and writes it without keeping whoever logs waiting."""

import logging
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from tannoy.node.lifecycle.bounded_writer import WriterStatistics
from tannoy.node.lifecycle.log_file import LogFile
from tannoy.node.lifecycle.log_queue import LineEncoder, QueuedLog, log_statistics, reopen_log_file
from tannoy.node.lifecycle.repeats import WINDOW_SECONDS

from tests.support.clock import ManualClock
from tests.support.waiting import PATIENCE, eventually

ENCODER = LineEncoder(logging.Formatter("%(levelname)s %(message)s"), "utf-8")


class Output:
    """Keeps what is written, once it may be."""

    def __init__(self) -> None:
        self.text = b""
        self.may_write = threading.Event()
        self.is_closed = False

    def write(self, text: bytes) -> None:
        assert self.may_write.wait(PATIENCE)
        self.text += text

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def output() -> Generator[Output]:
    output = Output()
    yield output
    output.may_write.set()


def record_of(
    message: str, *arguments: object, logger: str = "test", level: int = logging.WARNING
) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 0, message, arguments, None)


def test_a_record_is_formatted_as_its_values_are_when_it_is_logged(output: Output) -> None:
    log = QueuedLog(output, ENCODER)
    value = ["before"]
    log.handle(record_of("%s", value))
    value[0] = "after"
    output.may_write.set()
    log.close()

    assert output.text == b"WARNING ['before']\n"


def test_what_the_encoding_lacks_is_escaped(output: Output) -> None:
    output.may_write.set()
    log = QueuedLog(output, ENCODER)
    log.handle(record_of("née \udce9"))
    log.close()

    assert output.text.decode() == "WARNING née \\udce9\n"


def test_a_record_that_can_not_be_formatted_is_an_error_in_the_log(output: Output) -> None:
    output.may_write.set()
    log = QueuedLog(output, ENCODER)
    log.handle(record_of("%d", "no number"))
    log.close()

    assert output.text.startswith(b"ERROR a record of test can't be formatted: TypeError(")


def test_while_the_output_is_stalled_records_beyond_the_bound_are_lost_and_the_log_says_so(output: Output) -> None:
    line = len(b"WARNING 0\n")
    log = QueuedLog(output, ENCODER, max_bytes=3 * line)
    for number in range(10):
        log.handle(record_of(str(number)))
    assert log.statistics() == WriterStatistics(waiting_bytes=3 * line, lost_lines=7)
    output.may_write.set()
    log.close()

    assert output.text.decode().splitlines() == [
        *("WARNING 0", "WARNING 1", "WARNING 2"),
        "ERROR 7 records of this log were lost: it was not written fast enough",
    ]


def test_of_records_of_one_kind_in_a_second_one_is_written_and_then_how_many_more_there_were(output: Output) -> None:
    output.may_write.set()
    clock = ManualClock()
    log = QueuedLog(output, ENCODER, monotonic=clock.monotonic)
    for number in range(5):
        log.handle(record_of("bad %d", number))
    clock.advance(WINDOW_SECONDS)
    log.handle(record_of("other"))
    log.close()

    assert output.text.decode().splitlines() == [
        "WARNING bad 0",
        "WARNING 4 more within a second: bad %d",
        "WARNING other",
    ]


def test_how_many_more_there_were_is_written_at_the_end(output: Output) -> None:
    output.may_write.set()
    log = QueuedLog(output, ENCODER, monotonic=ManualClock().monotonic)
    for _ in range(3):
        log.handle(record_of("bad"))
    log.close()

    assert output.text == b"WARNING bad\nWARNING 2 more within a second: bad\n"


async def test_how_many_more_there_were_is_written_without_a_further_record(output: Output) -> None:
    output.may_write.set()
    clock = ManualClock()
    log = QueuedLog(output, ENCODER, monotonic=clock.monotonic)
    log.handle(record_of("bad"))
    log.handle(record_of("bad"))
    clock.advance(WINDOW_SECONDS)

    async def is_written() -> bool:
        return b"1 more within a second: bad" in output.text

    await eventually(is_written, what="the count is written")
    log.close()


@pytest.mark.parametrize("level", [logging.INFO, logging.CRITICAL])
def test_other_records_are_all_written(output: Output, level: int) -> None:
    output.may_write.set()
    log = QueuedLog(output, ENCODER, monotonic=ManualClock().monotonic)
    for _ in range(3):
        log.handle(record_of("same", level=level))
    log.close()

    assert output.text.count(b"same\n") == 3


def test_the_output_is_closed_once_all_is_written(output: Output) -> None:
    output.may_write.set()
    log = QueuedLog(output, ENCODER)
    log.close()
    assert output.is_closed


def test_a_log_file_is_opened_anew_without_a_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = QueuedLog(LogFile(path, ENCODER.encode_error), ENCODER)
    logging.getLogger().addHandler(log)
    path.unlink()
    try:
        assert reopen_log_file()
    finally:
        logging.getLogger().removeHandler(log)
        log.close()

    assert path.read_text() == ""


def test_without_a_log_file_nothing_is_opened_anew(output: Output) -> None:
    log = QueuedLog(output, ENCODER)
    logging.getLogger().addHandler(log)
    try:
        assert not reopen_log_file()
    finally:
        logging.getLogger().removeHandler(log)
        output.may_write.set()
        log.close()


def test_a_process_without_such_a_log_has_zeros_for_statistics() -> None:
    assert log_statistics() == WriterStatistics(waiting_bytes=0, lost_lines=0)
