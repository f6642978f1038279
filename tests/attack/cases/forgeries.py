"""F6, F18, F19: whoever can publish in Redis: forged messages of rooms, in a cluster without a secret and with one."""

import asyncio
import uuid
from collections.abc import Callable

from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.attack.case import Attacker, Case
from tests.attack.eavesdropper import Eavesdropper
from tests.support.client import Client

KEYSPACE = Keyspace("tannoy")
AT_ONCE = 50
AFTER = 5
"""Messages behind the forged one."""
NOTICED_WITHIN = 15.0
HEARD = frozenset({"all heard", "told"})
Forge = Callable[[bytes], bytes]
UNSEALED = b'\1\0\0\0\0\x21{"type":"bye","code":4504,"id":0}\x80'
"""An envelope, not numbered, that holds another frame than a message."""


async def _hears(member: Client, offsets: list[int]) -> str:
    """Whether a member hears all messages of these offsets, or is told by `resync` that some may be missing."""
    missing, told = set(offsets), False
    try:
        async with asyncio.timeout(NOTICED_WITHIN):
            while missing:
                frame = await member.find(lambda frame: frame["type"] in ("message", "resync"), "a message")
                if frame["type"] == "resync":
                    told = True
                    missing = {offset for offset in missing if offset > (frame["offset"] or 0)}
                else:
                    missing.discard(frame.get("offset"))
    except TimeoutError:
        return f"deaf for {len(missing)} of {len(offsets)} messages"
    return "told" if told else "all heard"


async def _forge(attacker: Attacker, forge: Forge) -> str:
    """Record a message of a room, publish it changed, and see whether what is said afterwards is heard."""
    name = f"forged.{uuid.uuid4().hex}"
    address = KEYSPACE.room(RoomName(name)).address
    valkey = attacker.arena.valkey
    async with Eavesdropper.on(valkey) as eavesdropper:
        member = await connect(f"{attacker.arena.attacked.ws_url}/ws/chat/{name}")
        try:
            await member.ok("message", content="real")
            real = await eavesdropper.wait_for(lambda each: each.channel == address and b"real" in each.payload)
            await valkey.run("PUBLISH", address, forge(real.payload))
            answers = [await member.ok("message", content=number) for number in range(AFTER)]
            outcome = await _hears(member, [answer["offset"] for answer in answers])
            return "forged frame heard" if any(frame["type"] == "bye" for frame in member.inbox) else outcome
        finally:
            await member.close()


async def _flood(attacker: Attacker) -> str:
    """Publish what is no message into a room, as fast as Redis takes it, and see whether what is said is heard."""
    name = f"flooded.{uuid.uuid4().hex}"
    address, valkey = KEYSPACE.room(RoomName(name)).address, attacker.arena.valkey
    member = await connect(f"{attacker.arena.attacked.ws_url}/ws/chat/{name}")
    try:
        offsets: list[int] = []
        while attacker.goes_on or not offsets:
            await asyncio.gather(*(valkey.run("PUBLISH", address, b"\xff" * 1000) for _ in range(AT_ONCE)))
            offsets.append((await member.ok("message", content="real"))["offset"])
        return await _hears(member, offsets)
    finally:
        await member.close()


def _case(name: str, forge: Forge, *, fault: str = "F6", sealed: bool = False, cuts_link: bool = False) -> Case:
    async def attack(attacker: Attacker) -> str:
        return await _forge(attacker, forge)

    return Case(name, fault, attack, HEARD, by_client=False, sealed=sealed, cuts_link=cuts_link)


def _renumbered(offset: str) -> Forge:
    return lambda payload: payload.replace(b" 1 ", f" {offset} ".encode(), 1)


async def connect(url: str) -> Client:
    client = await Client.open(url)
    await client.welcomed()
    return client


CASES = (
    _case("a message far ahead of its head", _renumbered("1000000")),
    _case("a message one ahead of its head", _renumbered("2")),
    _case("an offset of 30 digits", _renumbered("1" + "0" * 30)),
    _case("an offset without digits", _renumbered("-x")),
    _case("a message of 8 MB", lambda payload: payload + bytes(8_000_000), cuts_link=True),
    _case("bytes without meaning", lambda payload: b"\xff" * 1000, fault="F19"),
    Case("bytes without meaning, again and again", "F19", _flood, HEARD, by_client=False),
    _case("a message renumbered, with a secret", _renumbered("1000000"), fault="F18", sealed=True),
    _case("a message without a seal", lambda payload: UNSEALED, fault="F18", sealed=True),
    _case("a message with its last byte changed", lambda payload: payload[:-1] + b"?", fault="F18", sealed=True),
)
