"""Records with named fields, as a program sees them that has configured logging by itself."""

import logging

import pytest
from tannoy.shared.logs import get_logger

from tests.support.logged_events import logged_events


@pytest.mark.parametrize(
    ("fields", "text"), [({}, "it happened"), ({"room": "lobby", "count": 2}, "it happened: room=lobby count=2")]
)
def test_the_text_of_a_record_has_the_fields_behind_it(
    caplog: pytest.LogCaptureFixture, fields: dict[str, object], text: str
) -> None:
    get_logger("tannoy.test").warning("it happened", **fields)

    assert [record.getMessage() for record in caplog.records] == [text]


def test_a_record_names_its_logger_its_level_and_the_function_that_logged_it(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("tannoy.test").error("it happened")

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tannoy.test", logging.ERROR)
    assert record.funcName == "test_a_record_names_its_logger_its_level_and_the_function_that_logged_it"


def test_what_is_below_the_level_of_the_logger_makes_no_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tannoy.test"):
        get_logger("tannoy.test").debug("nobody wants it")
        get_logger("tannoy.test").info("somebody does")

    assert [event["event"] for event in logged_events(caplog)] == ["somebody does"]
