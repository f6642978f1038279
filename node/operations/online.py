"""Who is online on all nodes, in pages: a survey of the nodes, each of which lists its own first users."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ...fanout.control.surveys import Surveys, expect
from ...shared.errors import BadName, BadRequest, Unavailable
from ...shared.names import UserId, parse_user
from ...shared.nodes import NodeInfo
from ...shared.online import OnlineUser, merge_pages
from ...shared.turns import Turns
from .pages import LIST_WEIGHT


@dataclass(frozen=True, slots=True)
class OnlinePage:
    """`cursor` leads to the next page; None: this is the last one. The users of `late_nodes` are not in it."""

    users: tuple[OnlineUser, ...]
    cursor: str | None
    late_nodes: tuple[str, ...]

    def as_object(self) -> dict[str, object]:
        return {
            "users": [user.as_object() for user in self.users],
            "cursor": self.cursor,
            "late_nodes": sorted(self.late_nodes),
        }


def make_cursor(last: str) -> str:
    """The cursor behind this user, of characters that need no escape in a query."""
    return base64.urlsafe_b64encode(last.encode()).rstrip(b"=").decode()


def parse_cursor(cursor: str) -> UserId:
    """The user behind whom a page begins. Raises BadRequest."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return parse_user(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError, BadName) as error:
        raise BadRequest("cursor has to be one that a page of this list had") from error


class OnlineQueries:
    """Reads pages, each in its turn. `list_nodes` gives the nodes whose heartbeat holds."""

    def __init__(self, surveys: Surveys, turns: Turns, list_nodes: Callable[[], Awaitable[list[NodeInfo]]]) -> None:
        self._surveys = surveys
        self._turns = turns
        self._list_nodes = list_nodes

    async def read_page(self, limit: int, cursor: str | None) -> OnlinePage:
        """The first `limit` users behind the cursor. Raises BadRequest, and Unavailable if no node has answered."""
        after = "" if cursor is None else parse_cursor(cursor)
        return await self._turns.run(LIST_WEIGHT, lambda: self._ask(limit, after))

    async def _ask(self, limit: int, after: str) -> OnlinePage:
        result = await self._surveys.list_online(after, limit, expect(await self._list_nodes()))
        if not result.answers:
            raise Unavailable("no node has answered in time")
        page = merge_pages(result.answers.values(), limit)
        return OnlinePage(page.users, make_cursor(page.users[-1].user_id) if page.more else None, result.late_nodes)
