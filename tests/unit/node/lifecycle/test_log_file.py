"""A log file that is moved away, removed, or can't be opened again."""

from collections.abc import Generator
from pathlib import Path

import pytest
from tannoy.node.lifecycle.log_file import LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "log"


@pytest.fixture
def file(path: Path) -> Generator[LogFile]:
    file = open_log(path)
    yield file
    file.close()


def open_log(path: Path) -> LogFile:
    return LogFile(path, lambda text: f"error: {text}\n".encode())


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    path.write_text("before\n")
    file = open_log(path)
    file.write(b"after\n")
    file.close()

    assert path.read_text() == "before\nafter\n"


def test_after_a_move_the_next_line_is_in_a_new_file(file: LogFile, path: Path) -> None:
    file.write(b"first\n")
    path.rename(path.with_suffix(".1"))
    file.write(b"second\n")

    assert (path.with_suffix(".1").read_text(), path.read_text()) == ("first\n", "second\n")


def test_after_a_move_to_another_file_the_next_line_is_in_that(file: LogFile, path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.write_text("created by logrotate\n")
    file.write(b"next\n")

    assert path.read_text() == "created by logrotate\nnext\n"


def test_a_file_that_was_truncated_is_written_from_its_start(file: LogFile, path: Path) -> None:
    file.write(b"first\n")
    path.write_text("")  # as logrotate does it with copytruncate
    file.write(b"second\n")

    assert path.read_text() == "second\n"


def test_reopening_creates_the_file_without_a_line(file: LogFile, path: Path) -> None:
    path.unlink()
    file.reopen_with_next_write()
    file.write(b"")

    assert path.read_text() == ""


def test_while_it_can_not_be_opened_lines_go_on_to_the_open_file_which_says_so_once(file: LogFile, path: Path) -> None:
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    file.write(b"first\n")
    file.write(b"second\n")
    path.parent.mkdir()
    file.write(b"third\n")

    complaint, *lines = (moved / "log").read_text().splitlines()
    assert (
        complaint
        == f"error: TANNOY_LOG_FILE={path}: No such file or directory; writing goes on in the file that was open"
    )
    assert lines == ["first", "second"]
    assert path.read_text() == "third\n"
