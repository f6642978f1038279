"""Logs: structlog for ours and for the standard library's, on one stream, for people (console) or machines (json)."""

import logging
import sys
from typing import Any

import structlog

from ...shared.errors import StartError
from ...shared.settings import LogFormat, Settings


def configure_logs(settings: Settings) -> None:
    """Call once per process. JSON escapes control characters, as the console's `repr` does. Raises StartError."""
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
    handler = _handler(settings)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(settings)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # Its lines tell every request with its query; a token may stand there.
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("uvicorn.error", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _handler(settings: Settings) -> logging.Handler:
    if settings.log_file is None:
        return logging.StreamHandler(sys.stderr)
    try:
        return logging.FileHandler(settings.log_file)
    except OSError as error:
        raise StartError(
            f"TANNOY_LOG_FILE={settings.log_file}: {error.strerror}; name a file in a folder that is there"
        ) from error


def _renderers(settings: Settings) -> list[Any]:
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if settings.log_format is LogFormat.JSON:
        return [first, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [first, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and settings.log_file is None)]
