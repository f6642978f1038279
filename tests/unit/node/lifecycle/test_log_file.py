"""A log file that is moved away, removed, can't be opened again, or is full."""

import threading
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


def open_log(path: Path, *, max_bytes: int = 0, kept: int = 0) -> LogFile:
    return LogFile(path, lambda text: f"error: {text}\n".encode(), max_bytes=max_bytes, kept=kept)


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


# ---- a full file


def files_of(path: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in path.parent.iterdir()}


def test_a_full_file_is_renamed_and_the_oldest_of_more_than_are_kept_goes(path: Path) -> None:
    file = open_log(path, max_bytes=10, kept=2)
    for number in range(5):
        file.write(f"line {number}\n".encode())
    file.close()

    assert files_of(path) == {"log": "line 4\n", "log.1": "line 3\n", "log.2": "line 2\n"}


def test_lines_that_fit_stay_in_one_file(path: Path) -> None:
    file = open_log(path, max_bytes=10, kept=2)
    for _ in range(5):
        file.write(b"a\n")
    file.close()

    assert files_of(path) == {"log": "a\n" * 5}


def test_with_none_kept_a_full_file_is_begun_anew(path: Path) -> None:
    file = open_log(path, max_bytes=10)
    for number in range(3):
        file.write(f"line {number}\n".encode())
    file.close()

    assert files_of(path) == {"log": "line 2\n"}


def test_a_piece_larger_than_a_file_is_written_whole(path: Path) -> None:
    file = open_log(path, max_bytes=10, kept=1)
    file.write(b"x" * 50)
    file.write(b"y")
    file.close()

    assert files_of(path) == {"log": "y", "log.1": "x" * 50}


def test_a_file_that_another_process_has_rotated_is_not_rotated_again(path: Path) -> None:
    one, other = open_log(path, max_bytes=10, kept=2), open_log(path, max_bytes=10, kept=2)
    one.write(b"first 12\n")
    one.write(b"second\n")
    other.write(b"3\n")
    for file in (one, other):
        file.close()

    assert files_of(path) == {"log": "second\n3\n", "log.1": "first 12\n"}


def test_writers_that_rotate_at_once_lose_no_line(path: Path) -> None:
    lines_each, writers = 300, 4

    def write_lines(writer: int) -> None:
        file = open_log(path, max_bytes=200, kept=1000)
        for number in range(lines_each):
            file.write(f"{writer} {number}\n".encode())
        file.close()

    threads = [threading.Thread(target=write_lines, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = "".join(files_of(path).values()).splitlines()
    assert sorted(written) == sorted(f"{writer} {number}" for writer in range(writers) for number in range(lines_each))


def test_a_file_that_can_not_be_renamed_is_written_on_and_says_so_once(path: Path) -> None:
    (path.parent / "log.1").mkdir()
    (path.parent / "log.1" / "in the way").touch()
    file = open_log(path, max_bytes=10, kept=1)
    for number in range(3):
        file.write(f"line {number}\n".encode())
    file.close()

    first, complaint, *others = path.read_text().splitlines()
    assert (first, others) == ("line 0", ["line 1", "line 2"])
    assert complaint.endswith("writing goes on in the file that was open")
