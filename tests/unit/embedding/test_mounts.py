"""Where an application is mounted, from the scopes of Starlette and of Litestar."""

import pytest
from starlette._utils import get_route_path
from starlette.types import Scope
from tannoy.embedding.mounts import below_mount


def _scope(path: str, raw_path: bytes | None, root_path: str = "") -> Scope:
    scope: Scope = {"type": "http", "path": path, "root_path": root_path, "state": {"of": "the host"}}
    return scope if raw_path is None else {**scope, "raw_path": raw_path}


@pytest.mark.parametrize(
    ("scope", "root_path", "rest"),
    [
        (_scope("/ws", b"/ws"), "", "/ws"),
        (_scope("/", b"/"), "", "/"),
        (_scope("/rt/ws/chat/a b", b"/rt/ws/chat/a%20b", "/rt"), "/rt", "/ws/chat/a b"),
        (_scope("/proxy/rt/ws", b"/proxy/rt/ws", "/proxy/rt"), "/proxy/rt", "/ws"),
        ({**_scope("/rt/ws", b"/rt/ws", "/proxy/rt"), "app_root_path": "/proxy"}, "/rt", "/ws"),
        (_scope("/ws", None), "", "/ws"),
        (_scope("/rt", b"/rt", "/rt"), "/rt", ""),
    ],
    ids=[
        *("at the root", "page at the root", "below a mount", "behind a proxy too"),
        *("behind a proxy that takes its prefix off", "without a raw path", "the mount itself"),
    ],
)
def test_a_scope_of_starlette_says_by_itself_where_the_mount_is(scope: Scope, root_path: str, rest: str) -> None:
    below = below_mount(scope, {})

    assert (below["root_path"], get_route_path(below)) == (root_path, rest)


@pytest.mark.parametrize(
    ("scope", "root_path", "rest"),
    [
        (_scope("/ws/chat/a b/", b"/rt/ws/chat/a%20b"), "/rt", "/ws/chat/a b"),
        (_scope("/ws/", b"/rt/ws/"), "/rt", "/ws/"),
        (_scope("/", b"/rt"), "/rt", "/"),
        (_scope("/", b"/rt/"), "/rt", "/"),
        (_scope("ws/", b"/ws"), "", "/ws"),
        (_scope("/ws/", b"/proxy/rt/ws", "/proxy"), "/proxy/rt", "/ws"),
        (_scope("/rtx/", b"/rt/rtx", "/rt"), "/rt", "/rtx"),
    ],
    ids=["path", "slash", "page without slash", "page", "at the root", "behind a proxy too", "a path like the mount"],
)
def test_in_a_scope_of_litestar_the_mount_is_what_the_path_lacks(scope: Scope, root_path: str, rest: str) -> None:
    below = below_mount(scope, {})

    assert (below["root_path"], get_route_path(below)) == (root_path, rest)


def test_the_state_of_a_request_has_that_of_the_host_and_more_and_the_host_s_own_stays() -> None:
    scope = _scope("/ws", b"/ws")

    assert below_mount(scope, {"node": 1})["state"] == {"of": "the host", "node": 1}
    assert scope["state"] == {"of": "the host"}
