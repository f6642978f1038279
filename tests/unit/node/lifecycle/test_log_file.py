"""A log file that is moved away, removed, or can't be opened again."""

import logging
from collections.abc import Generator
from pathlib import Path

import pytest
from tannoy.node.lifecycle.log_file import LogFile, reopen_log_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "log"


@pytest.fixture
def file(path: Path) -> Generator[LogFile]:
    handler = LogFile(path)
    yield handler
    handler.close()


def write(file: LogFile, message: str) -> None:
    file.handle(logging.LogRecord("test", logging.INFO, __file__, 0, message, None, None))


def test_records_are_appended_to_what_is_there(path: Path) -> None:
    path.write_text("before\n")
    file = LogFile(path)
    write(file, "née \udce9")
    file.close()

    assert path.read_text("utf-8") == "before\nnée \\udce9\n"


def test_after_a_move_the_next_record_is_in_a_new_file(file: LogFile, path: Path) -> None:
    write(file, "first")
    path.rename(path.with_suffix(".1"))
    write(file, "second")

    assert (path.with_suffix(".1").read_text(), path.read_text()) == ("first\n", "second\n")


def test_after_a_move_to_another_file_the_next_record_is_in_that(file: LogFile, path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.write_text("created by logrotate\n")
    write(file, "next")

    assert path.read_text() == "created by logrotate\nnext\n"


def test_a_file_that_was_truncated_is_written_from_its_start(file: LogFile, path: Path) -> None:
    write(file, "first")
    path.write_text("")  # as logrotate does it with copytruncate
    write(file, "second")

    assert path.read_text() == "second\n"


def test_reopening_creates_the_file_without_a_record(file: LogFile, path: Path) -> None:
    path.unlink()
    logging.getLogger().addHandler(file)
    try:
        assert reopen_log_files()
    finally:
        logging.getLogger().removeHandler(file)

    assert path.read_text() == ""


def test_without_a_log_file_nothing_is_reopened() -> None:
    assert not reopen_log_files()


def test_while_it_can_not_be_opened_records_go_on_to_the_open_file_which_says_so_once(
    file: LogFile, path: Path
) -> None:
    moved = path.parent.with_name("moved")
    path.parent.rename(moved)
    write(file, "first")
    write(file, "second")
    path.parent.mkdir()
    write(file, "third")

    complaint, *records = (moved / "log").read_text().splitlines()
    assert complaint == f"TANNOY_LOG_FILE={path}: No such file or directory; writing goes on in the file that was open"
    assert records == ["first", "second"]
    assert path.read_text() == "third\n"
