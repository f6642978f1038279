"""A chat with a login, in one application: `uvicorn fastapi_chat:app --ws tannoy.node.server:Protocol`.

Who has logged in is in a signed cookie, by which `authenticate` knows the owner of a WebSocket too.
"""

import os
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from tannoy import ChannelRequest, ClientMessage, Forbidden, Identity, LiveSession, Tannoy

MEMBERS = {"board": {"ada"}}
"""The rooms that only some may use, and who they are."""

LOGIN = """<form method="post" action="/login"><input name="name" pattern="[A-Za-z]+"> <button>Log in</button></form>"""
CHAT = """<p>You are {name}.</p><div id="said"></div><form id="say"><input id="text"> <button>Say</button></form>
<script>
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/rt/ws/chat/lobby", "tannoy.v1.json");
  socket.onmessage = ({{ data }}) => {{
    const frame = JSON.parse(data);
    if (frame.type === "ping") socket.send('{{"type":"pong"}}');
    if (frame.type === "error") alert(frame.message);
    if (frame.type === "message") said.append(frame.username ?? "", " ", frame.content.text, "; ");
  }};
  say.onsubmit = () => {{
    socket.send(JSON.stringify({{ type: "message", content: {{ text: text.value }} }}));
    say.reset();
    return false;
  }};
</script>"""


async def authenticate(request: HTTPConnection) -> Identity | None:
    name = request.session.get("name")
    return None if name is None else Identity(name.lower(), username=name)


async def authorize(session: LiveSession, channel: ChannelRequest) -> bool:
    members = MEMBERS.get(channel.room or "")
    return members is None or session.user_id in members


async def on_message(session: LiveSession, message: ClientMessage) -> None:
    match message.content:
        case {"text": str(text)}:
            message.content = {"text": text.replace("damn", "d***")}
        case _:
            raise Forbidden("a message is an object with a text")


async def on_connect(session: LiveSession) -> None:
    if session.room is not None:
        await rt.publish.to_room(session.room, {"text": f"{session.username} is here"})


rt = Tannoy(authenticate=authenticate, authorize=authorize, on_message=on_message, on_connect=on_connect)
app = FastAPI(lifespan=rt.lifespan)
app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"])


@app.get("/", response_class=HTMLResponse)
async def page(request: Request) -> str:
    name = request.session.get("name")
    return LOGIN if name is None else CHAT.format(name=name)


@app.post("/login")
async def log_in(request: Request) -> RedirectResponse:
    """Your own application asks for a password here."""
    (name,) = parse_qs((await request.body()).decode()).get("name", ("",))
    if not name.isascii() or not name.isalpha():
        raise HTTPException(400, "a name has letters alone")
    request.session["name"] = name
    return RedirectResponse("/", 303)


app.mount("/rt", rt)
