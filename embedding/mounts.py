"""Where an application is mounted, told from an ASGI scope: frameworks say it in two ways.

Starlette and FastAPI leave the path whole, and put what belongs to the mount into `root_path`, behind the prefix of a
proxy in front of them. Litestar takes the mount off the path, puts a slash behind the rest, and leaves `root_path` as
the server has set it.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope


def below_mount(scope: Scope, state: Mapping[str, Any]) -> Scope:
    """Return the scope as an application below a mount of Starlette gets it, with more for the `state` of its requests.

    The scope that was given is not changed.
    """
    root, path = _find_mount(scope)
    return {**scope, "path": path, "root_path": root, "state": {**scope.get("state", {}), **state}}


def _find_mount(scope: Scope) -> tuple[str, str]:
    """The prefix of every path below the mount, and the whole path of this request."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if _is_below(path, root):
        return root, path
    mount = root.removeprefix(scope.get("app_root_path", ""))
    if _is_below(path, mount):  # the proxy has taken its own prefix off
        return mount, path
    raw: bytes | None = scope.get("raw_path")
    rest = path.strip("/")
    whole = path if raw is None else unquote(raw.partition(b"?")[0].decode("latin-1"))
    if not whole.strip("/").endswith(rest):
        return root, path
    root = whole.rstrip("/").removesuffix(rest).rstrip("/")
    return root, whole if len(whole) > len(root) else f"{root}/"


def _is_below(path: str, root: str) -> bool:
    return root != "" and f"{path}/".startswith(f"{root.rstrip('/')}/")
