"""Lines that a thread writes: their order, the bound of the queue, and what is lost."""

import fcntl
import os
import threading
from collections.abc import Generator

import pytest
from tannoy.node.lifecycle.bounded_writer import BoundedWriter, WriterStatistics, write_all

from tests.support.waiting import PATIENCE


class Output:
    """Keeps what is written. While it is stalled, a write takes for ever."""

    def __init__(self) -> None:
        self.text = b""
        self.failures = 0
        self.is_entered = threading.Semaphore(0)
        self.may_write = threading.Event()
        self.may_write.set()

    def write(self, text: bytes) -> None:
        self.is_entered.release()
        assert self.may_write.wait(PATIENCE)
        if self.failures:
            self.failures -= 1
            raise OSError("no space left on device")
        self.text += text


@pytest.fixture
def output() -> Generator[Output]:
    output = Output()
    yield output
    output.may_write.set()


def writer_to(output: Output, max_bytes: int = 100) -> BoundedWriter:
    return BoundedWriter(output.write, max_bytes=max_bytes, describe_loss=lambda lines: b"(lost %d)" % lines)


def stalled_writer_to(output: Output, max_bytes: int) -> BoundedWriter:
    """Its thread is writing `a`, and does not come back."""
    output.may_write.clear()
    writer = writer_to(output, max_bytes)
    assert writer.put(b"a")
    assert output.is_entered.acquire(timeout=PATIENCE)
    return writer


def test_lines_are_written_in_their_order(output: Output) -> None:
    writer = writer_to(output)
    for number in range(5):
        assert writer.put(b"%d" % number)
    assert writer.close(PATIENCE)

    assert output.text == b"01234"


def test_while_the_output_is_stalled_lines_are_taken_up_to_the_bound(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=3)

    assert [writer.put(line) for line in (b"b", b"c", b"d", b"e")] == [True, True, False, False]
    assert writer.statistics() == WriterStatistics(waiting_bytes=3, lost_lines=2)


def test_behind_the_lines_that_waited_the_output_says_how_many_were_lost(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=2)
    for line in (b"b", b"lost", b"lost"):
        writer.put(line)
    output.may_write.set()
    assert output.is_entered.acquire(timeout=PATIENCE)
    assert writer.close(PATIENCE)

    assert output.text == b"ab(lost 2)"


def test_after_the_first_line_that_is_lost_none_is_taken_before_the_others_are_written(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=10)

    assert not writer.put(b"too long for it")
    assert not writer.put(b"b")


def test_once_the_output_goes_on_new_lines_are_taken(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=1)
    writer.put(b"lost")
    output.may_write.set()
    assert output.is_entered.acquire(timeout=PATIENCE)  # for the text that one was lost

    assert writer.put(b"b")
    assert writer.close(PATIENCE)
    assert output.text == b"a(lost 1)b"


def test_a_line_above_the_bound_is_lost_and_the_output_says_so(output: Output) -> None:
    writer = writer_to(output, max_bytes=3)
    assert not writer.put(b"four")
    assert writer.close(PATIENCE)

    assert output.text == b"(lost 1)"


def test_lines_that_can_not_be_written_are_lost_and_the_next_write_says_so(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=100)
    output.failures = 1
    writer.put(b"b")
    output.may_write.set()
    assert writer.close(PATIENCE)

    assert output.text == b"b(lost 1)"
    assert writer.statistics().lost_lines == 1


def test_closing_does_not_wait_for_an_output_that_is_stalled(output: Output) -> None:
    writer = stalled_writer_to(output, max_bytes=10)

    assert not writer.close(0.0)


def test_a_line_after_the_end_is_lost_and_counted(output: Output) -> None:
    writer = writer_to(output)
    assert writer.close(PATIENCE)

    assert not writer.put(b"late")
    assert writer.statistics().lost_lines == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # it says that threads are not forked
def test_a_forked_process_writes_its_own_lines_and_not_those_of_the_other() -> None:
    reading, writing = os.pipe()
    entered, may_write = threading.Event(), threading.Event()

    def write(text: bytes) -> None:
        if os.getpid() == parent:
            entered.set()
            assert may_write.wait(PATIENCE)
        write_all(writing, text)

    parent = os.getpid()
    writer = BoundedWriter(write, max_bytes=100, describe_loss=lambda lines: b"")
    writer.put(b"of the parent")
    assert entered.wait(PATIENCE)

    if (child := os.fork()) == 0:
        try:
            os._exit(0 if writer.put(b"of the child") and writer.close(PATIENCE) else 1)
        finally:
            os._exit(2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(reading, 100) == b"of the child"
    may_write.set()
    assert writer.close(PATIENCE)
    assert os.read(reading, 100) == b"of the parent"
    os.close(reading)
    os.close(writing)


def test_all_is_written_to_a_pipe_that_does_not_block() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    text = b"0123456789" * 100_000

    def write() -> None:
        write_all(writing, text)
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb") as pipe:
        assert pipe.read() == text
    thread.join(PATIENCE)
