import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tannoy.fanout.archive.faults import Fault, describe, fault_of


class FromPostgres(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"error {sqlstate}")
        self.sqlstate = sqlstate


def postgres(state: str) -> DBAPIError:
    return DBAPIError("INSERT", {"message": "private"}, FromPostgres(state))


def sqlite(code: int) -> DBAPIError:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return OperationalError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(ConnectionRefusedError(), Fault.LOST, id="refused connection"),
        pytest.param(TimeoutError(), Fault.LOST, id="no answer"),
        pytest.param(DBAPIError("", {}, Exception(), connection_invalidated=True), Fault.LOST, id="lost connection"),
        pytest.param(postgres("57P01"), Fault.LOST, id="server shuts down"),
        pytest.param(postgres("08006"), Fault.LOST, id="connection failure"),
        pytest.param(PoolTimeout(), Fault.BUSY, id="no free connection"),
        pytest.param(postgres("40P01"), Fault.BUSY, id="deadlock"),
        pytest.param(postgres("40001"), Fault.BUSY, id="serialization"),
        pytest.param(postgres("55P03"), Fault.BUSY, id="lock"),
        pytest.param(sqlite(5), Fault.BUSY, id="SQLITE_BUSY"),
        pytest.param(sqlite(5 | 2 << 8), Fault.BUSY, id="SQLITE_BUSY_SNAPSHOT"),
        pytest.param(postgres("42501"), Fault.REFUSED, id="no right"),
        pytest.param(postgres("42P01"), Fault.REFUSED, id="no table"),
        pytest.param(postgres("53100"), Fault.REFUSED, id="disk full"),
        pytest.param(sqlite(13), Fault.REFUSED, id="SQLITE_FULL"),
        pytest.param(sqlite(8), Fault.REFUSED, id="SQLITE_READONLY"),
        pytest.param(InvalidRequestError(), Fault.REFUSED, id="SQLAlchemy itself"),
        pytest.param(postgres("22021"), Fault.DATA, id="bad value"),
        pytest.param(postgres("23502"), Fault.DATA, id="constraint"),
        pytest.param(sqlite(18), Fault.DATA, id="SQLITE_TOOBIG"),
        pytest.param(IntegrityError("", {}, Exception()), Fault.DATA, id="constraint of any driver"),
        pytest.param(ValueError(), None, id="no fault of a database"),
    ],
)
def test_an_error_is_a_fault_by_what_has_to_be_done_about_it(error: BaseException, fault: Fault | None) -> None:
    assert fault_of(error) is fault


def test_a_description_has_no_values_of_the_statement() -> None:
    assert describe(postgres("42501")) == "error 42501"
