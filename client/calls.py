"""Commands that are repeated until they are answered, rooms that are joined, and users that are requested again."""

import asyncio
import itertools
import random

from ..shared.backoff import full_jitter
from ..shared.codes import ErrorCode
from .catch_up import Frame
from .channel_state import ChannelState
from .errors import CommandRefused, NoAnswer, Unconfirmed
from .reconnector import Reconnector

RETRY_BASE, RETRY_CAP = 0.2, 2.0
"""Seconds until a command is repeated that the node could not carry out, with full jitter."""
JOIN_SECONDS = 30.0
"""Seconds within which a node has to answer a `join`: it may have to read the history first."""
PRESENCE_SPREAD_PER_USER, PRESENCE_SPREAD_CAP = 0.005, 5.0
"""Seconds over which the clients of a room request its users, when a change was not sent to any of them."""
_NO_EFFECT = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.NOT_JOINED})
"""Errors after which a command was certainly not carried out."""
_TEMPORARY = _NO_EFFECT | {ErrorCode.UNAVAILABLE}


async def call(
    link: Reconnector, command: Frame, *, timeout: float, channel: ChannelState | None = None, repeats: bool = True
) -> Frame:
    """Send a command, on one connection after another, and return its `ok`.

    `channel` has to be joined for it. `repeats`: it may be sent again when a first try may have been carried out, since
    it has a key or only asks. Raises CommandRefused, Unconfirmed, NoAnswer, and what has ended the client or channel.
    """
    was_sent, refusal = False, None
    try:
        async with asyncio.timeout(timeout):
            for attempt in itertools.count():
                await link.wait_until_usable(channel)
                was_sent = True
                answer = await link.frames.exchange(command)
                if answer is not None and answer["type"] != "error":
                    return answer
                if answer is not None:
                    refusal = read_refusal(answer)
                    if refusal.code not in (_TEMPORARY if repeats else _NO_EFFECT):
                        raise refusal
                    await asyncio.sleep(seconds_until_retry(refusal, attempt))
                elif not repeats:
                    raise Unconfirmed(f"{command['type']}: the connection was lost before the node answered")
    except TimeoutError as error:
        if refusal is not None:
            raise refusal from error
        if was_sent:
            raise Unconfirmed(f"{command['type']}: not confirmed within {timeout:g} s") from error
        raise NoAnswer(f"{command['type']}: not sent, no connection for {timeout:g} s") from error
    raise AssertionError("the loop above ends only by return or raise")


def read_refusal(answer: Frame) -> CommandRefused:
    """The exception of an `error` frame."""
    return CommandRefused(answer["message"], code=answer["code"], retry_after=answer.get("retry_after"))


def seconds_until_retry(refusal: CommandRefused, attempt: int) -> float:
    """Not before the node said, and spread: others were refused at the same time."""
    jitter = full_jitter(attempt, base=RETRY_BASE, cap=RETRY_CAP, uniform=random.uniform)
    return (refusal.retry_after or 0.0) + jitter


async def join_room(link: Reconnector, room: ChannelState) -> None:
    """Join a room on the present connection. If it can't be joined for good, the room ends with CommandRefused."""
    recovers = True
    for attempt in itertools.count():
        if room.has_ended:
            return
        answer = await _request_join(link, room, recovers=recovers)
        if answer is None:
            return  # the next connection joins it again
        if answer["type"] == "ok":
            link.notify()
            return
        refusal = read_refusal(answer)
        if refusal.code == ErrorCode.FORBIDDEN and recovers and room.recover_from is not None:
            recovers = False  # the token does not allow to read the history
        elif refusal.code == ErrorCode.ALREADY_JOINED:
            await link.frames.exchange({"type": "leave", "room": room.name})
        elif refusal.code in _TEMPORARY:
            await asyncio.sleep(seconds_until_retry(refusal, attempt))
        else:
            link.session.rooms.pop(room.name, None)
            room.finish(refusal)
            link.notify()
            return


async def _request_join(link: Reconnector, room: ChannelState, *, recovers: bool) -> Frame | None:
    def enter(answer: Frame) -> None:
        if answer["type"] == "ok" and room.has_ended:
            link.frames.send({"type": "leave", "room": room.name})  # it was left meanwhile
        elif answer["type"] == "ok":
            link.session.enter_room(room, answer)

    try:
        async with asyncio.timeout(JOIN_SECONDS):
            return await link.frames.exchange(link.session.build_join(room, recovers=recovers), enter)
    except TimeoutError:
        link.frames.fail(f"join of {room.name} was not answered within {JOIN_SECONDS:g} s")
        return None


async def refresh_presence(link: Reconnector, room: ChannelState) -> None:
    """Request who is in a room, after a random delay, until no change of it is missing."""
    room.is_refreshing = True
    try:
        await _refresh_presence(link, room)
    finally:
        room.is_refreshing = False


async def _refresh_presence(link: Reconnector, room: ChannelState) -> None:
    presence = room.presence
    while presence.has_missed and room.is_joined:
        spread = min(PRESENCE_SPREAD_CAP, presence.count * PRESENCE_SPREAD_PER_USER)
        await asyncio.sleep(random.uniform(0, spread))
        presence.begin_request()
        answer = await link.frames.exchange({"type": "presence", "room": room.name})
        if answer is not None and answer["type"] == "ok":
            presence.apply_snapshot(answer)
            continue
        presence.end_request()
        if answer is None or answer["code"] not in _TEMPORARY:
            return  # the next join brings a snapshot; or the token does not allow to ask
        await asyncio.sleep(seconds_until_retry(read_refusal(answer), 1))
