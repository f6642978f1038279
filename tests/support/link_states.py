"""LinkStates that are connected to a Redis that has acknowledged all, and pushes for them."""

from tannoy.fanout.pubsub.link_state import LinkState
from tannoy.fanout.redis.connection import Pushes

from tests.support.scripted_redis import data_to_send

ECHO = b"echo"
A, B = b"a", b"b"


def push(kind: str, *channels: bytes, payload: bytes | int = 1) -> Pushes:
    return [[kind.encode(), channel, payload] for channel in channels]


def connected(*wanted: bytes) -> LinkState:
    """A connected link whose channels are subscribed."""
    state = LinkState(ECHO)
    for channel in wanted:
        state.subscribe(channel)
    state.on_connected(0.0)
    data_to_send(state)
    state.handle_pushes(push("subscribe", ECHO, *wanted))
    return state
