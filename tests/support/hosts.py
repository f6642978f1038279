"""Applications of users that a node runs in: which framework, where it is mounted, and which carrier is below."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent


class Framework(StrEnum):
    """What the application of the user is made with."""

    FASTAPI = "fastapi"
    STARLETTE = "starlette"
    LITESTAR = "litestar"


@dataclass(frozen=True, slots=True)
class Host:
    """An application of `tests/support/embedded_app.py`. `is_fast`: on the fast carrier."""

    framework: Framework
    mount: str
    is_fast: bool
    http: str = "auto"
    """The HTTP class of uvicorn. `h11` reads the body of a request that offers an upgrade (docs/operations.md)."""

    def __str__(self) -> str:
        return f"{self.framework} at {self.mount} {'fast' if self.is_fast else 'portable'}"

    @property
    def prefix(self) -> str:
        """Of every path of the node."""
        return self.mount.rstrip("/")

    def command(self, port: int) -> list[str]:
        """What `python -m` runs."""
        carrier = ["--ws", "tannoy.node.server:Protocol"] if self.is_fast else []
        application = ["--factory", "tests.support.embedded_app:create_app"]
        return ["uvicorn", *application, "--port", str(port), "--http", self.http, *carrier]

    def as_environment(self) -> Mapping[str, str]:
        return {"EMBEDDED_IN": self.framework, "EMBEDDED_AT": self.mount, "PYTHONPATH": str(PROJECT)}
