"""What happens in the scenarios of presence: users join and leave a room, and Redis and nodes lose what they know."""

from functools import partial

from tests.chaos.harness.lost_keys import MENDED_WITHIN
from tests.chaos.harness.proxy import Part
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.limits.recorder import Socket
from tests.chaos.limits.scene import PATIENCE, SOON, Scene

DEAD_SWEPT_WITHIN = 13.0
"""Seconds in which the users of a dead node have to leave their rooms."""


async def user_reloads(scene: Scene) -> None:
    """A user is away just long enough for the leave to reach Redis, and returns within the grace."""
    await scene.join_room("n2", "observer")
    (await scene.join_room("n1", "ada")).close()
    await becomes_true(lambda: _has_no_session(scene, "ada"), SOON)
    await scene.join_room("n2", "ada")
    await scene.audit_room()


async def _has_no_session(scene: Scene, user: str) -> bool:
    """Whether Redis lists no session of the user, announced leave or not."""
    users = (await scene.n2.http.get(f"/api/v1/rooms/{scene.room}/presence")).json()["users"]
    return all(entry["sessions"] == 0 for entry in users if entry["user_id"] == user)


async def user_leaves(scene: Scene) -> None:
    await scene.join_room("n2", "observer")
    (await scene.join_room("n1", "ada")).close()
    await scene.audit_room()


async def user_joins(scene: Scene) -> None:
    await scene.join_room("n2", "observer")
    await scene.join_room("n1", "ada")
    await scene.audit_room()


async def rooms_joined_at_once(scene: Scene) -> None:
    """Users join rooms of their own, all at the same moment."""
    rooms = tuple(f"{scene.room}-{number}" for number in range(8))
    tabs = [scene.start_joining("n1", room, f"user.{room}") for room in rooms]
    for tab in tabs:
        if not await tab.wait_welcomed(PATIENCE):
            tab.on_unexpected(scene.stage.history.now(), f"it is not welcomed: {tab.end} {tab.code}")
    await scene.audit_room(rooms=rooms)


async def user_leaves_before_the_join_is_confirmed(scene: Scene) -> None:
    """A client goes away while its join is on the way to Redis."""
    await scene.join_room("n2", "observer")
    for number in range(5):
        tab = scene.start_joining("n1", scene.room, f"user.{number}")
        await becomes_true(partial(_is_joining_or_settled, scene, tab), SOON)
        tab.disconnect(reset=True)
    await scene.join_room("n1", "ada")  # Redis has carried out by now what was sent before
    await scene.audit_room()


async def _is_joining_or_settled(scene: Scene, tab: Socket) -> bool:
    return tab.settled.done() or await scene.n1.count("presence", "joining") > 0


async def node_with_users_killed(scene: Scene) -> None:
    await scene.join_room("n2", "observer")
    await scene.join_room("n1", "ada")
    fault = await scene.stage.kill_node(scene.n1)
    await scene.stage.restart_node(scene.n1, fault)
    await scene.audit_room(DEAD_SWEPT_WITHIN)


async def link_stays_on_the_former_server(scene: Scene) -> None:
    """The address leads to another server, and the connection with the events of a node stays on the former one."""
    await scene.join_room("n1", "observer")
    await scene.stage.switch_server(scene.n1, Part.LINK)
    # An event that comes while n1 has no link is noticed with the next event of the room, and there is none.
    await becomes_true(scene.stage.all_ready, PATIENCE)
    await scene.join_room("n2", "ada")
    await scene.audit_room()


async def sessions_of_a_room_vanish(scene: Scene) -> None:
    """The sessions of one node in a room vanish from Redis, and then one of them ends."""
    await scene.join_room("n2", "observer")
    tab, _ = await scene.join_room("n1", "ada"), await scene.join_room("n1", "bob")
    await scene.stage.redis.delete_keys(f"in:*:room:{scene.room}")
    tab.close()
    await scene.audit_room(MENDED_WITHIN)


async def users_of_a_room_vanish(scene: Scene) -> None:
    """The users of a room vanish from Redis."""
    await scene.join_room("n2", "observer")
    await scene.join_room("n1", "ada")
    await scene.stage.redis.delete_keys(f"users:room:{scene.room}")
    await scene.audit_room(MENDED_WITHIN)
