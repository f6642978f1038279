"""What can go wrong with a database, by what has to be done about it. Pure: from an exception to a Fault.

How a transaction is undone depends on it too, see `Database.transaction`.
"""

from enum import StrEnum

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...shared.errors import Unavailable


class Fault(StrEnum):
    LOST = "lost"
    """The connection is gone, or cannot be made: another one may do."""
    BUSY = "busy"
    """Locks, deadlocks, conflicts, no free connection: the same may succeed a moment later."""
    REFUSED = "refused"
    """Rights, missing tables, a full disk: an operator has to do something; then the same succeeds."""
    DATA = "data"
    """The database does not take these values: they never succeed, and others may."""


class DatabaseFailed(Unavailable):
    """The database did not do it, and may later: any Fault but DATA."""

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


_BUSY_STATES = ("40", "55P03", "57014", "53300", "53200")
"""SQLSTATE of PostgreSQL, or its class: conflicts, locks, cancelled statements, too many connections, memory."""
_LOST_STATES = ("08", "57P")
"""Connections, and a server that stops or starts."""
_DATA_STATES = ("22", "23")
_SQLITE_BUSY = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
_SQLITE_LOST = (14, 10)  # SQLITE_CANTOPEN, SQLITE_IOERR
_SQLITE_DATA = (18, 19, 20)  # SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH


def fault_of(error: BaseException) -> Fault | None:
    """None: it is no fault of a database, but one of ours."""
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    if isinstance(error, TimeoutError | OSError):
        return Fault.LOST
    if isinstance(error, DBAPIError):
        return _fault_of_driver(error)
    return Fault.REFUSED if isinstance(error, SQLAlchemyError) else None


def _fault_of_driver(error: DBAPIError) -> Fault:
    if error.connection_invalidated:
        return Fault.LOST
    state = getattr(error.orig, "sqlstate", None) or ""
    if state.startswith(_BUSY_STATES):
        return Fault.BUSY
    if state.startswith(_LOST_STATES):
        return Fault.LOST
    if state.startswith(_DATA_STATES):
        return Fault.DATA
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the rest of an extended code
    if code in _SQLITE_BUSY:
        return Fault.BUSY
    if code in _SQLITE_LOST:
        return Fault.LOST
    if code in _SQLITE_DATA or isinstance(error, DataError | IntegrityError):
        return Fault.DATA
    return Fault.REFUSED if state or code else Fault.LOST


def describe(error: BaseException) -> str:
    """What a driver says, as one line without the statement and its values, which hold messages of users."""
    said = error.orig if isinstance(error, DBAPIError) else error
    text = str(said).strip().splitlines()
    return text[0][:200] if text else type(said).__name__
