"""Sessions whose token, user or agent has been revoked are closed: all of them, and a share of them in each turn."""

import asyncio
from itertools import pairwise

from tannoy.node.auth.claims import Claims
from tannoy.node.connections.revoked import CLOSED_PER_TURN, LOOKED_AT_PER_TURN, PAUSE_SECONDS, RevokedSessions
from tannoy.node.delivery.hub import Hub
from tannoy.shared.codes import CloseCode
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import AgentId

from tests.support.clock import on_manual_time, turns
from tests.support.hub_members import RecordingMember

KEYSPACE = Keyspace("tannoy")
TOMORROW = 1_900_000_000.0


class RevokedDriver:
    """A hub, and what is revoked: the test adds names to `users`, `tokens` and `agents`."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.users: set[str] = set()
        self.tokens: set[str | None] = set()
        self.agents: set[str] = set()
        self.asked = 0
        self.revoked = RevokedSessions(self.hub, self)

    @property
    def has_any(self) -> bool:
        return True

    def is_revoked(self, user_id: str, token_id: str | None = None) -> bool:
        self.asked += 1
        return user_id in self.users or (token_id is not None and token_id in self.tokens)

    def is_agent_revoked(self, agent_id: str) -> bool:
        return agent_id in self.agents

    def connect(self, user: str = "ada", *, token: str | None = None, agent: str | None = None) -> RecordingMember:
        member = RecordingMember(user=user, agent=None if agent is None else KEYSPACE.agent(AgentId(agent)))
        if token is not None:
            member.session.claims = Claims(member.user_id, user, TOMORROW, token_id=token)
        self.hub.register(member)
        return member


BAD_TOKEN = [CloseCode.BAD_TOKEN]


@on_manual_time
async def test_the_sessions_of_a_revoked_user_are_closed() -> None:
    node = RevokedDriver()
    sessions = [node.connect("ada"), node.connect("ada", agent="42"), node.connect("bob")]
    node.users.add("ada")
    assert await node.revoked.close_all() == 2
    assert [each.closed_with for each in sessions] == [BAD_TOKEN, BAD_TOKEN, []]


@on_manual_time
async def test_the_sessions_of_a_revoked_token_are_closed_and_not_others_of_its_user() -> None:
    node = RevokedDriver()
    revoked = [node.connect(token="t1"), node.connect(token="t1", agent="42")]
    others = [node.connect(token="t2"), node.connect()]
    node.tokens.add("t1")
    assert await node.revoked.close_all() == 2
    assert [each.closed_with for each in revoked] == [BAD_TOKEN, BAD_TOKEN]
    assert [each.closed_with for each in others] == [[], []]


@on_manual_time
async def test_the_sessions_of_a_revoked_agent_are_closed() -> None:
    node = RevokedDriver()
    sessions = [node.connect(agent="42"), node.connect(agent="43"), node.connect("42")]
    node.agents.add("42")
    assert await node.revoked.close_all() == 1
    assert [each.closed_with for each in sessions] == [BAD_TOKEN, [], []]


@on_manual_time
async def test_a_session_before_its_welcome_is_closed_too() -> None:
    node = RevokedDriver()
    opening = node.connect("ada")
    opening.is_open = False
    node.users.add("ada")
    await node.revoked.close_all()
    assert opening.closed_with == BAD_TOKEN


@on_manual_time
async def test_thousands_of_sessions_are_closed_a_share_in_each_turn() -> None:
    node = RevokedDriver()
    sessions = [node.connect("ada") for _ in range(10 * CLOSED_PER_TURN)]
    node.users.add("ada")
    closing = asyncio.create_task(node.revoked.close_all())
    closed = [0]
    while not closing.done():
        await turns(1)
        closed.append(sum(not each.is_open for each in sessions))
    assert closed[-1] == len(sessions)
    assert max(later - earlier for earlier, later in pairwise(closed)) == CLOSED_PER_TURN


@on_manual_time
async def test_thousands_of_sessions_are_looked_at_a_share_in_each_turn() -> None:
    node = RevokedDriver()
    for _ in range(3 * LOOKED_AT_PER_TURN):
        node.connect("ada")
    looking = asyncio.create_task(node.revoked.close_all())
    await turns(1)
    assert node.asked == LOOKED_AT_PER_TURN
    assert await looking == 0
    assert node.asked == 3 * LOOKED_AT_PER_TURN


@on_manual_time
async def test_a_session_that_ends_meanwhile_is_no_hindrance() -> None:
    node = RevokedDriver()
    sessions = [node.connect("ada") for _ in range(2 * CLOSED_PER_TURN)]
    node.users.add("ada")
    closing = asyncio.create_task(node.revoked.close_all())
    await turns(1)
    for each in sessions:
        node.hub.unregister(each)
    await closing


@on_manual_time
async def test_sessions_are_looked_at_after_each_revocation_and_only_then() -> None:
    node = RevokedDriver()
    ada, bob = node.connect("ada"), node.connect("bob")
    running = asyncio.create_task(node.revoked.run())
    await asyncio.sleep(10)
    assert node.asked == 0
    for user, session in (("ada", ada), ("bob", bob)):
        node.users.add(user)
        node.revoked.close_soon()
        await asyncio.sleep(PAUSE_SECONDS)
        assert session.closed_with == BAD_TOKEN
        node.hub.unregister(session)
    node.connect("cyd")
    asked = node.asked
    await asyncio.sleep(10)
    assert node.asked == asked
    running.cancel()


@on_manual_time
async def test_a_burst_of_revocations_is_one_pass_and_the_last_one_counts() -> None:
    node = RevokedDriver()
    node.connect("bob")
    ada = node.connect("ada")
    running = asyncio.create_task(node.revoked.run())
    node.revoked.close_soon()
    await turns()
    for number in range(100):
        node.users.add("ada" if number == 99 else f"u{number}")
        node.revoked.close_soon()
        await turns()
    await asyncio.sleep(2 * PAUSE_SECONDS)
    assert ada.closed_with == BAD_TOKEN
    assert node.asked == 2 * 2
    running.cancel()
