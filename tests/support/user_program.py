"""A program of a user, as strict type checkers see it: tests/integration/test_wheel.py. It never runs."""

# ruff: noqa: T201
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from tannoy import (
    AsyncPublisher,
    ChannelRequest,
    ClientMessage,
    Forbidden,
    Identity,
    LiveSession,
    MessageFields,
    Position,
    Publisher,
    PublishUnavailable,
    SessionEnd,
    Settings,
    Tannoy,
    __version__,
)
from tannoy.client import Gap, Message, SlowReader, connect
from tannoy.client.errors import ClientError
from tannoy.client.events import Event, PrivateMessage
from tannoy.client.sync import connect as connect_script
from tannoy.node.app import create_app

settings = Settings(
    redis_url="redis://127.0.0.1:6379",
    api_key="secret",
    port=9000,
    allowed_origins=["https://example.com"],
    slow_policy="skip",
    ping_interval=10,
    log_file=Path("tannoy.log"),
)
app: Starlette = create_app(settings)
port: int = settings.port
key: str = settings.api_key.get_secret_value()
version: str = __version__


def publish(order: int) -> int | None:
    with Publisher("redis://localhost", cluster_secret="secret", timeout=2) as publisher:
        try:
            position = publisher.to_room("lobby", {"order": order}, user_id=order, key=f"order-{order}")
            sessions: int = publisher.to_user("ada", [1, None])
        except PublishUnavailable as error:
            print(error.key or "no key")
            return None
        messages: list[MessageFields] = [{"room": "lobby", "content": 1}, {"agent_id": "42", "content": "x"}]
        positions: list[Position | None] = publisher.many(messages)
        publisher.many([{"room": "lobby", "content": None, "key": "k"}])
        return position.offset if position else sessions + len(positions)


async def publish_soon() -> str | None:
    async with AsyncPublisher("https://rt.example.com", api_key="secret") as publisher:
        position = await publisher.to_agent("42", "x", username="Ada", exclude_session="s1")
        return None if position is None else position.epoch


async def fetch_token() -> str:
    return "a.b.c"


async def listen() -> None:
    async with connect("wss://rt.example.com", token=fetch_token, encoding="msgpack", slow_reader="recover") as client:
        room = await client.join("lobby", observe=True)
        position: Position | None = await room.send({"hi": 1}, key="k")
        print(position, room.presence.count, [user.username for user in room.presence.users.values()])
        async for message in room:
            print(message.username or "a back end", message.content, f"{message.time:%H:%M}")
        async for item in room.items():
            match item:
                case Gap():
                    print("missing in", item.channel, item.after, item.until)
                case Message():
                    print(item.timestamp)
        event: Event
        async for event in client.events():
            if isinstance(event, PrivateMessage):
                print(event.content)
        agent = await client.agent("42", session_id="tab")
        print([session.session_id for session in await agent.sessions()])


def announce(policy: SlowReader) -> int | None:
    try:
        with connect_script("ws://localhost:8000", user_id="cron", slow_reader=policy) as client:
            position = client.join("lobby").send("deployed")
            return None if position is None else position.offset
    except ClientError as error:
        print(error)
        return None


async def authenticate(request: HTTPConnection) -> Identity | None:
    user = request.cookies.get("user")
    return None if user is None else Identity(user, rooms=["team.*"], can={"publish"}, expires_at=2e9, data=settings)


async def authorize(session: LiveSession, channel: ChannelRequest) -> bool:
    return channel.room == session.user_id or channel.agent_id is not None


async def on_message(session: LiveSession, message: ClientMessage) -> None:
    if message.to_user is not None:
        raise Forbidden("no private messages")
    message.content = {"text": message.content["text"], "by": session.state.get("name")}


async def on_connect(session: LiveSession) -> None:
    position: Position | None = await rt.publish.to_room("lobby", f"{session.username} is here", key=session.session_id)
    print(position, session.identity and session.identity.data)


async def on_disconnect(session: LiveSession, end: SessionEnd) -> None:
    print(session, end.code, end.reason)


rt = Tannoy(
    settings,
    authenticate=authenticate,
    authorize=authorize,
    on_connect=on_connect,
    on_message=on_message,
    on_disconnect=on_disconnect,
    hook_timeout=2,
)
host = FastAPI(lifespan=rt.lifespan)
host.mount("/rt", rt)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    async with rt.lifespan(app):
        yield


other_host = Starlette(routes=[Mount("/rt", rt)], lifespan=lifespan)
