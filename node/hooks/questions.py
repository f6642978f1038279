"""TANNOY_AUTH=hook: a back end decides by HTTP who a client is, and which rooms and agents it may use.

These are the hooks `authenticate` and `authorize` of a node whose back end answers questions. Nobody is let in without
an answer: where it is late, malformed, or any status but those below, the client is refused, and told to try again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import orjson
from starlette.requests import HTTPConnection

from ...shared.clock import Clock
from ..admission.identity_question import SCOPE_KEY
from ..auth.claims import DEFAULT_PERMISSIONS
from .answer_cache import AnswerCache, key_of
from .errors import Forbidden, NotAuthenticated
from .hooks import ChannelRequest, LiveSession
from .identity import Identity

UNAUTHORIZED, FORBIDDEN = 401, 403
FIELDS = frozenset({"user_id", "username", "rooms", "agents", "can", "expires_at"})
"""Of an answer to `connect`."""
MESSAGE_MAX_CHARACTERS = 200
"""Of what a back end lets a refused client know."""


class Answer(Protocol):
    """Of the back end."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def max_age(self) -> int: ...


Ask = Callable[[bytes], Awaitable[Answer]]
"""Sends a question; the answer has one of the statuses of `is_answer`. Raises Unavailable."""


class JoinsAsked(NamedTuple):
    """Whether the back end is asked about each room, or agent: not if its answer to `connect` has listed them."""

    rooms: bool
    agents: bool


@dataclass(frozen=True, slots=True)
class _Decision:
    """`identity` is None where the client is refused, or the question was about a join."""

    is_allowed: bool
    message: str = ""
    identity: Identity | None = None
    is_known: bool = True


class HookQuestions:
    """Raises ValueError for an answer that is none."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._cache: AnswerCache[_Decision] = AnswerCache(clock)

    async def authenticate(self, request: HTTPConnection) -> Identity:
        """Raises NotAuthenticated where the back end does not know the client, Forbidden, Unavailable."""
        question: dict[str, object] = request.scope[SCOPE_KEY]
        decision = await self._decide(question, question, read_identity)
        if not decision.is_known:
            raise NotAuthenticated(decision.message)
        if decision.identity is None:
            raise Forbidden(decision.message or "the back end does not let you connect")
        return decision.identity

    async def authorize(self, session: LiveSession, channel: ChannelRequest) -> bool:
        """Raises Forbidden, Unavailable."""
        asked = session.identity.data if session.identity is not None else None
        assert isinstance(asked, JoinsAsked), "the identity is not of this back end"
        if not (asked.rooms if channel.room is not None else asked.agents):
            return True  # the patterns of its answer to `connect` have been checked
        about: dict[str, object] = {
            "type": "join",
            "user_id": session.user_id,
            "username": session.username,
            "observe": channel.observe,
        }
        about |= {"room": channel.room} if channel.room is not None else {"agent_id": channel.agent_id}
        decision = await self._decide(about, {**about, "session_id": session.session_id}, read_permission)
        if not decision.is_allowed and decision.message:
            raise Forbidden(decision.message)
        return decision.is_allowed

    async def _decide(
        self, kept_by: dict[str, object], question: dict[str, object], read: Callable[[object], _Decision]
    ) -> _Decision:
        key = key_of(kept_by)
        if (known := self._cache.find(key)) is not None:
            return known
        answer = await self._ask(orjson.dumps(question))
        decision = read_decision(answer, read)
        self._cache.keep(key, decision, answer.max_age)
        return decision


def is_answer(status: int) -> bool:
    return status in (200, UNAUTHORIZED, FORBIDDEN)


def read_decision(answer: Answer, read: Callable[[object], _Decision]) -> _Decision:
    """Raises ValueError."""
    if answer.status == 200:
        return read(orjson.loads(answer.body))
    return _Decision(False, _read_message(answer.body), is_known=answer.status != UNAUTHORIZED)


def read_identity(body: object) -> _Decision:
    """Of an answer to `connect`. Raises ValueError."""
    if not isinstance(body, dict):
        raise ValueError("the answer to connect has to be a JSON object with user_id")
    fields = cast("dict[str, Any]", body)
    if "user_id" not in fields or not fields.keys() <= FIELDS:
        raise ValueError(f"the answer to connect has to have user_id, and of {', '.join(sorted(FIELDS))} no others")
    for name in ("rooms", "agents", "can"):
        if not isinstance(fields.get(name, []), list):
            raise ValueError(f"{name} has to be a list of names")
    expires_at: object = fields.get("expires_at")
    if expires_at is not None and (isinstance(expires_at, bool) or not isinstance(expires_at, int | float)):
        raise ValueError("expires_at has to be a number of Unix seconds")
    asked = JoinsAsked(rooms="rooms" not in fields, agents="agents" not in fields)
    identity = Identity(
        fields["user_id"],
        fields.get("username"),
        fields.get("rooms", ("*",)),
        fields.get("agents", ("*",)),
        fields.get("can", tuple(DEFAULT_PERMISSIONS)),
        expires_at,
        asked,
    )
    return _Decision(True, identity=identity)


def read_permission(body: object) -> _Decision:
    """Of an answer to `join`. Raises ValueError."""
    if isinstance(body, dict):
        fields = cast("dict[str, object]", body)
        is_allowed = fields.get("allow")
        if isinstance(is_allowed, bool) and len(fields) == 1:
            return _Decision(is_allowed)
    raise ValueError('the answer to join has to be {"allow": true} or {"allow": false}')


def _read_message(body: bytes) -> str:
    """What the back end lets a refused client know; empty: nothing."""
    try:
        value: object = orjson.loads(body)
    except ValueError:
        return ""
    match value:
        case {"message": str(message)}:
            return message[:MESSAGE_MAX_CHARACTERS]
        case _:
            return ""
