"""Publish to a room: `python script.py`. Redis is where TANNOY_REDIS_URL says, on this machine without it."""

from tannoy import Publisher

with Publisher() as publisher:
    print(publisher.to_room("lobby", {"hi": 1}))
