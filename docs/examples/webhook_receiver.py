"""A back end that the HTTP hooks speak to: `uvicorn webhook_receiver:app --port 9000`, with TANNOY_HOOK_SECRET set."""

import hmac
import os
import time
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response

SECRET = os.environ["TANNOY_HOOK_SECRET"].encode()
OLDEST = 300
"""Seconds after which a request is refused: somebody may have recorded it."""
USERS = {"session=ada": "ada", "session=bob": "bob"}
"""In place of your own sessions: cookies of who has logged in."""

app = FastAPI()
occupied: set[str] = set()
"""The rooms in which somebody listens. Your back end keeps this in its database, and so `seen`."""
seen: set[str] = set()


async def read_signed(request: Request) -> Any:
    """The body of a request that Tannoy has signed."""
    body = await request.body()
    at, _, digest = request.headers.get("Tannoy-Signature", "").removeprefix("t=").partition(",v1=")
    wanted = hmac.new(SECRET, at.encode() + b"." + body, sha256).hexdigest()
    if not hmac.compare_digest(wanted, digest) or abs(time.time() - int(at)) > OLDEST:
        raise HTTPException(401)
    return await request.json()


@app.post("/events", status_code=204)
async def take_events(request: Request) -> None:
    """Each event counts once, however often it comes."""
    for event in (await read_signed(request))["events"]:
        if event["id"] in seen:
            continue
        seen.add(event["id"])
        if event["type"] == "room_occupied":
            occupied.add(event["room"])
        elif event["type"] == "room_vacated":
            occupied.discard(event["room"])


@app.post("/questions")
async def decide(request: Request, response: Response) -> dict[str, Any]:
    """Who a client is, and whether it may join a room."""
    question = await read_signed(request)
    if question["type"] == "connect":
        user = USERS.get(question["headers"].get("cookie", ""))
        if user is None:
            raise HTTPException(401)
        return {"user_id": user, "agents": [user]}  # its own agent; each room is asked about
    response.headers["Cache-Control"] = "max-age=60"
    return {"allow": question["room"] != "staff" or question["user_id"] == "ada"}


@app.get("/occupied")
async def list_occupied() -> list[str]:
    return sorted(occupied)
