"""Where an application is mounted, told from an ASGI scope: frameworks say it in two ways.

Starlette and FastAPI leave the path whole, and put what belongs to the mount into `root_path`. Litestar takes the mount
off the path, puts a slash behind the rest, and leaves `root_path` as the server has set it.
"""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope


def below_mount(scope: Scope, state: MutableMapping[str, Any]) -> Scope:
    """Return the scope as an application below a mount of Starlette gets it, with more for the `state` of its requests.

    The scope that was given is not changed.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not (root and path.startswith(root)) and (raw := scope.get("raw_path")):
        whole = unquote(raw.partition(b"?")[0].decode("latin-1"))
        rest = path.strip("/")
        if whole.strip("/").endswith(rest):
            root = whole.rstrip("/").removesuffix(rest).rstrip("/")
            path = whole if len(whole) > len(root) else f"{root}/"
    return {**scope, "path": path, "root_path": root, "state": {**scope.get("state", {}), **state}}
