"""Logging: structlog formats its own records and those of the standard library, as text or as JSON."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from ...shared.errors import StartError
from ...shared.logs import Event
from ...shared.settings import LogFormat, Settings
from .log_file import LogFile, StandardError
from .log_queue import LineEncoder, QueuedLog
from .log_text import bound_fields, escape_fields, write_traceback


def configure_logs(settings: Settings) -> None:
    """Configure logging of the process; call once. Raises StartError.

    Both formats cut long values, escape what is not printable, so that a value from a client can't forge a line, and
    show tracebacks without local variables, among which there may be secrets.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_spread_event, *shared], processors=_renderers(settings)
    )
    root = logging.getLogger()
    root.handlers = [_create_handler(settings, formatter)]
    root.setLevel(settings.log_level)
    # uvicorn's own command has given it a handler, with which the event loop would wait for whoever reads the log.
    logging.getLogger("uvicorn").handlers = []
    logging.getLogger("uvicorn").propagate = True
    # The access log contains the query of each request, which may contain a token.
    logging.getLogger("uvicorn.access").disabled = True
    # Those of httpx have the whole address of each request of the HTTP hooks, which may contain a key.
    for chatty in ("uvicorn.error", "asyncio", "httpx", "httpcore", "hpack"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _spread_event(logger: WrappedLogger, method: str, fields: EventDict) -> EventDict:
    """A processor for records of `shared/logs.py`: their fields become those of structlog."""
    event: object = fields["_record"].msg
    return {**fields, **event} if isinstance(event, Event) else fields


def _create_handler(settings: Settings, formatter: logging.Formatter) -> QueuedLog:
    if settings.log_file is None:
        encoding = "utf-8" if sys.__stderr__ is None else sys.__stderr__.encoding
        return QueuedLog(StandardError(), LineEncoder(formatter, encoding))
    encoder = LineEncoder(formatter, "utf-8")
    max_bytes, kept = settings.log_file_max_mb * 1_000_000, settings.log_files_kept
    try:
        file = LogFile(settings.log_file, encoder.encode_error, max_bytes=max_bytes, kept=kept)
        return QueuedLog(file, encoder)
    except OSError as error:
        raise StartError(
            f"TANNOY_LOG_FILE={settings.log_file}: {error.strerror}; the folder of the file has to exist"
        ) from error


def _renderers(settings: Settings) -> list[Any]:
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.log_format is LogFormat.JSON:
        return [first, structlog.processors.format_exc_info, bound_fields, structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty() and settings.log_file is None
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=write_traceback)
    return [first, bound_fields, escape_fields, renderer]


def silence_logs() -> None:
    """Log nothing: what a command finds, it prints by itself."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
