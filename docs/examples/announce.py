"""A script that says something in a room, without asyncio: `python announce.py ws://127.0.0.1:8000 lobby "Lunch"`."""

import sys

from tannoy.client.sync import connect


def announce(url: str, room_name: str, text: str) -> None:
    """Print the position of the message, and who was there."""
    with connect(url, user_id="announcer") as client:
        room = client.join(room_name)
        print(room.send({"text": text}))
        print(f"{room.users_count} users are in {room_name}")


if __name__ == "__main__":
    announce(*sys.argv[1:])
