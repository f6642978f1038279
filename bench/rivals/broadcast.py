"""The fan-out of the `websockets` library: `broadcast()` frames a message once and does not wait for slow sockets."""

import argparse
import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: dict[str, set[ServerConnection]] = {}


async def chat(socket: ServerConnection) -> None:
    """Send each message of a member of the room to all members."""
    name = socket.request.path if socket.request is not None else ""
    members = rooms.setdefault(name, set())
    members.add(socket)
    await socket.send("hello")
    try:
        async for text in socket:
            broadcast(members, text)
    finally:
        members.discard(socket)
        if not members:
            rooms.pop(name, None)


async def run(port: int) -> None:
    """Serve on loopback until the process is ended; no compression, as on every server here."""
    async with serve(chat, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


def main() -> None:
    """Serve under uvloop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(port))


if __name__ == "__main__":
    main()
