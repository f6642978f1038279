"""How a node logs inside an application of somebody else: as the application does, by `logging` or by structlog."""

import logging
import sys

import structlog

from ..node.lifecycle.log_text import bound_fields, escape_fields

_FORMAT = "%(levelname)s:     %(name)s: %(message)s"
"""As uvicorn's own lines begin."""


def log_as_host() -> None:
    """Pass records on to `logging`, unless the application has configured structlog, which then writes them.

    If nothing handles the records of `tannoy` there, they are written to standard error from INFO on: an application
    without a configuration of its logs would hear of no warning at start.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                bound_fields,
                structlog.processors.format_exc_info,
                escape_fields,
                _render,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    logger = logging.getLogger("tannoy")
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _render(logger: structlog.typing.WrappedLogger, method: str, fields: structlog.typing.EventDict) -> str:
    """One line, and the lines of a traceback below it, indented: so none can pass for a record."""
    event, exception = fields.pop("event"), fields.pop("exception", None)
    named = " ".join(f"{name}={value}" for name, value in fields.items())
    line = f"{event}: {named}" if named else str(event)
    if exception is None:
        return line
    return line + "".join(f"\n    {each}" for each in str(exception).splitlines())
