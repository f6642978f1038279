"""`pytest -p tests.support.use_managed …`: what the tests start lacks what managed Redis services leave out.

It emulates them, on the server that would be started without this plugin: ROLE is unknown, INFO is refused in scripts
and as a command, and so are SELECT and CLIENT NO-EVICT. The tests themselves reach INFO by another name.
"""

from typing import Any

import pytest

from tests.support.valkey import Valkey

_INFO = "TESTS-INFO"
_OPTIONS = (
    *("--rename-command", "INFO", _INFO),
    *("--rename-command", "ROLE", ""),
    # Not SELECT by a new name: a master sends it in front of its first transaction, which a replica then discards.
    *("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-client|no-evict", "-select"),
)

ABOUT_THE_REPLICATION_ID = (
    "tests/scripts/test_server_adopt.py",
    "tests/scripts/test_server_beats.py",  # these have servers without one in any case
    "tests/scripts/test_history_epochs.py::test_new_server_identity_starts_an_epoch_that_keeps_offsets_and_log[publish-promoted]",
    "tests/scripts/test_history_epochs.py::test_new_server_identity_starts_an_epoch_that_keeps_offsets_and_log[read-promoted]",
)
"""Tests of what a server without one can't know."""

_init, _run = Valkey.__init__, Valkey.run


def _start_managed(self: Valkey, *options: str) -> None:
    _init(self, *_OPTIONS, *options)
    self.client.set_response_callback(_INFO, self.client.response_callbacks["INFO"])


async def _run_renamed(self: Valkey, *words: str | bytes) -> Any:
    return await _run(self, _INFO if words[0] == "INFO" else words[0], *words[1:])


Valkey.__init__ = _start_managed  # type: ignore[method-assign]
Valkey.run = _run_renamed  # type: ignore[method-assign]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid.startswith(ABOUT_THE_REPLICATION_ID)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
