"""How a node logs inside an application: in a process of its own, since both loggers are global."""

import subprocess
import sys

RECORD = """
import structlog
from tannoy.embedding.host_logs import log_as_host

log_as_host()
log_as_host()
log = structlog.get_logger("tannoy.app")
log.debug("nothing")
log.info("it runs", node="n1\\nERROR: forged")
try:
    raise ValueError("wrong\\nERROR: forged")
except ValueError as error:
    log.error("it failed", exc_info=error)
"""


def _errors_of(program: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def test_without_a_configuration_records_go_to_standard_error_from_info_on() -> None:
    lines = _errors_of(RECORD)

    assert lines[0] == r"INFO:     tannoy.app: it runs: node=n1\nERROR: forged"
    assert lines[1] == "ERROR:     tannoy.app: it failed"
    assert lines[-2:] == ["    ValueError: wrong", "    ERROR: forged"]
    assert [line for line in lines[2:] if not line.startswith("    ")] == []


def test_where_the_application_has_configured_logging_its_handlers_and_levels_count() -> None:
    lines = _errors_of("import logging; logging.basicConfig(format='own %(message)s')\n" + RECORD)

    assert lines[0] == "own it failed"


def test_where_the_application_has_configured_structlog_that_writes_the_records() -> None:
    configured = """
import structlog, sys
structlog.configure(
    processors=[structlog.processors.JSONRenderer(sort_keys=True)],
    logger_factory=structlog.PrintLoggerFactory(sys.stderr),
)
"""

    assert '{"event": "it runs", "node": "n1\\nERROR: forged"}' in _errors_of(configured + RECORD)
