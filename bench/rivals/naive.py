"""The simplest server with Starlette: a set of sockets per room, `gather(send_text …)` for each message."""

import argparse
import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

rooms: dict[str, set[WebSocket]] = {}


async def chat(socket: WebSocket) -> None:
    """Send each message of a member of the room to all members."""
    name = socket.path_params["room"]
    await socket.accept()
    members = rooms.setdefault(name, set())
    members.add(socket)
    await socket.send_text("hello")
    try:
        async for text in socket.iter_text():
            await asyncio.gather(*(member.send_text(text) for member in members))
    finally:
        members.discard(socket)
        if not members:
            rooms.pop(name, None)


def main() -> None:
    """Serve on loopback with uvicorn's own choice of WebSocket implementation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    app = Starlette(routes=[WebSocketRoute("/ws/{room}", chat)])
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", ws="auto", log_level="warning")


if __name__ == "__main__":
    main()
