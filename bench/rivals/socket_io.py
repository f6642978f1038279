"""python-socketio with several nodes, connected by its `AsyncRedisManager`."""

import argparse
from typing import Any

import socketio  # type: ignore[import-untyped]  # python-socketio has no types
import uvicorn

ROOM = "bench"


def build(redis_url: str) -> Any:
    """Create a node that sends each message of a socket to all sockets of the room, on every node."""
    server: Any = socketio.AsyncServer(
        async_mode="asgi",
        client_manager=socketio.AsyncRedisManager(redis_url),
        transports=["websocket"],
        http_compression=False,
    )

    async def connect(sid: str, _environ: dict[str, Any]) -> None:
        await server.enter_room(sid, ROOM)

    async def message(_sid: str, text: str) -> None:
        await server.emit("message", text, room=ROOM)

    server.on("connect", connect)
    server.on("message", message)
    return socketio.ASGIApp(server)


def main() -> None:
    """Serve on loopback with uvicorn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis-url", required=True)
    options = parser.parse_args()
    app = build(options.redis_url)
    uvicorn.run(app, host="127.0.0.1", port=options.port, loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    main()
