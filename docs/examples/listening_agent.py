"""An agent that listens in a room and answers: `python listening_agent.py ws://127.0.0.1:8000 lobby`."""

import asyncio
import sys

from tannoy.client import connect


async def listen(url: str, room_name: str) -> None:
    """Answer each message of others, until Ctrl-C."""
    async with connect(url, user_id="echo-agent", username="Echo") as client:
        room = await client.join(room_name)
        print(f"listening in {room_name}", flush=True)
        async for message in room:
            if message.user_id != client.user_id:
                # The key lets a second run of this agent answer the same message only once.
                await room.send({"answer": message.content}, key=f"answer-to-{room.position}")


if __name__ == "__main__":
    asyncio.run(listen(*sys.argv[1:]))
