"""Credential providers for nodes that tests start, and what tells them what to give."""

import os
import threading
from pathlib import Path

from redis.credentials import CredentialProvider

VARIABLE = "TESTED_CREDENTIALS"
"""The environment variable with the path of a file: `user password`, or a sentence that is raised."""


def give(file: Path, text: str) -> None:
    file.write_text(text)


class Hanging(CredentialProvider):
    """Like one whose token service does not answer."""

    def get_credentials(self) -> tuple[str, str]:
        threading.Event().wait()
        raise AssertionError("unreachable")


class FromFile(CredentialProvider):
    """Reads the file each time, like a provider that asks for a token."""

    def get_credentials(self) -> tuple[str, str]:
        user, _, password = Path(os.environ[VARIABLE]).read_text().partition(" ")
        if " " in password:
            raise PermissionError(f"{user} {password}")
        return user, password
