"""The steps of scenarios in which Redis loses data, or is another server. `scenarios.py` has their mutants."""

import asyncio

from tests.chaos.harness.proxy import Part, Way
from tests.chaos.harness.waiting import becomes_true
from tests.chaos.messages.contents import UNITED_AFTER
from tests.chaos.messages.scene import ROOM_NAME, SOON, Scene, position_of
from tests.support.waiting import eventually

# ---- loss of data


async def lagging_replica_promoted(scene: Scene) -> None:
    """A replica without the last messages is promoted, and further messages get the same offsets."""
    listeners = await scene.connect("n1"), await scene.connect("n2")
    await scene.publish(3)
    fault, replica = await scene.stage.redis.start_lagging_replica()
    await scene.publish(3)
    for listener in listeners:
        await scene.wait_for_offset(listener, 6)
    await scene.stage.redis.fail_over(fault, replica)
    await scene.publish(5)


async def new_epoch_while_the_link_is_stalled(scene: Scene) -> None:
    """History is deleted, a joining client learns the new epoch, and its node has not received earlier messages yet.

    A node admits nobody once it has given up its stalled link: where the steps took that long, they begin again.
    """
    stayed = await scene.connect("n1")
    await scene.publish(3)
    await scene.wait_for_offset(stayed, 3)

    async def client_is_admitted_beside_the_stalled_link() -> bool:
        await scene.wait_until_link_is_live()
        former = position_of(stayed)
        stall = scene.stage.stall_part(scene.n1, Part.LINK, Way.FROM_REDIS)
        await scene.publish(2)
        await scene.stage.redis.delete_keys(f"head:{ROOM_NAME}", f"log:{ROOM_NAME}")
        await scene.publish(5)
        is_admitted = await scene.start_connecting("n1", former).wait_welcomed(SOON)
        scene.stage.resume_link(scene.n1, stall, Part.LINK)
        await scene.wait_for_offset(stayed, 5)
        return is_admitted

    await eventually(client_is_admitted_beside_the_stalled_link, what="a client is admitted beside the stalled link")
    await scene.publish(3)


async def log_vanishes_with_messages_that_are_missing(scene: Scene) -> None:
    """The link is lost for two messages, and the log vanishes before they are read from it."""
    await scene.connect("n1")
    await scene.publish(2)
    heal = await scene.cut_link()
    await scene.publish(2)
    await scene.stage.redis.delete_keys(f"log:{ROOM_NAME}")
    await heal()
    await scene.publish()


async def client_returns_after_its_log_has_vanished(scene: Scene) -> None:
    """A client has missed messages, of which the log has only the last ones any more."""
    listener = await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(listener, 2)
    listener.close()
    await scene.publish(2)
    await scene.stage.redis.delete_keys(f"log:{ROOM_NAME}")
    await scene.publish(2)
    await scene.connect("n2", position_of(listener))


# ---- another server


async def publisher_stays_on_the_former_server(scene: Scene) -> None:
    """The address leads to another server, and the connection over which a node publishes stays on the former one."""
    listener = await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(listener, 2)
    await scene.stage.switch_server(scene.n2, Part.PUBLISHER)

    async def is_published_to_the_listener() -> bool:
        published = await scene.publish()
        return published is not None and published.epoch == position_of(listener).epoch

    await becomes_true(is_published_to_the_listener, UNITED_AFTER + SOON)


async def history_stays_on_the_former_server(scene: Scene) -> None:
    """Messages are published while the address leads to another server, and a node still reads the former one."""
    listener = await scene.connect("n1")
    await scene.publish(2)
    await scene.wait_for_offset(listener, 2)
    switching = asyncio.create_task(scene.stage.switch_server(scene.n1, Part.HISTORY))
    while not switching.done():
        await scene.publish()
    await switching
    await scene.publish(3)
