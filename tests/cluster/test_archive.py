"""`tannoy archive` as operators run it, and nodes whose rooms are archived."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tannoy import AsyncPublisher
from tannoy.fanout.archive.calls import READER_SCRIPTS, BacklogCalls
from tannoy.fanout.backlog import summarize
from tannoy.fanout.startup import skip_recovery
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.names import RoomName

from tests.support.archive_process import ArchiveWriterProcess
from tests.support.cluster import NodeProcess, Transport
from tests.support.command_line import run_tannoy_async
from tests.support.node import PATIENT
from tests.support.ports import free_port
from tests.support.redis_pipeline import open_pipeline
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually


class Archived:
    """One node whose rooms named `kept…` are archived in a SQLite, with a history of 10 messages."""

    def __init__(self, url: str, file: Path, calls: BacklogCalls) -> None:
        self.file = file
        self.calls = calls
        self.offsets = self.lost = self.pruned = list[int]()
        """Of the messages of three rooms that are written: kept-written, kept-lost, kept-pruned."""
        self.settings = {"REDIS_URL": url, "DATABASE_URL": f"sqlite:///{file}"}
        every = {**self.settings, "ARCHIVE": "room:kept*", "HISTORY_SIZE": "10", "PING_INTERVAL": "3600"}
        self.node = NodeProcess("n1", Transport.FAST, every, times=PATIENT)
        self.writer = ArchiveWriterProcess(self.settings)

    async def publish(self, room: str, count: int) -> list[int]:
        """Publish the numbers from 0 on; the offsets."""
        messages = [{"room": room, "content": number} for number in range(count)]
        answer = await self.node.http.post("/api/v1/messages", json={"messages": messages})
        return [result["offset"] for result in answer.json()["results"]]

    async def run(self, *options: str) -> str:
        """What `tannoy archive OPTIONS…` prints."""
        ended = await run_tannoy_async("archive", *options, **self.settings)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    async def is_written(self) -> bool:
        return summarize(await self.calls.waiting()).waiting == 0

    def change(self, statement: str, *values: object) -> None:
        """In the database."""
        connection = sqlite3.connect(self.file)
        connection.execute(statement, values)
        connection.commit()
        connection.close()

    def rows(self, room: str) -> list[tuple[int, int]]:
        """Offset and content of what stands in the database."""
        connection = sqlite3.connect(self.file)
        found = connection.execute(
            "SELECT message_offset, message FROM tannoy_messages WHERE channel = ? ORDER BY 1", (f"room:{room}",)
        ).fetchall()
        connection.close()
        return [(offset, json.loads(message)["content"]) for offset, message in found]

    async def start(self) -> None:
        """With messages that are written; then the writer ends."""
        await self.node.start()
        self.offsets = await self.publish("kept-written", 35)
        self.lost = await self.publish("kept-lost", 25)
        self.pruned = await self.publish("kept-pruned", 5)
        await self.writer.start()
        await eventually(self.is_written, what="the archive is written")
        self.writer.terminate()


@pytest.fixture(scope="module")
async def archived(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Archived]:
    async with Valkey() as valkey, open_pipeline(valkey, READER_SCRIPTS) as pipeline:
        file = tmp_path_factory.mktemp("archive") / "archive.db"
        archived = Archived(valkey.url, file, BacklogCalls(pipeline, Keyspace("tannoy")))
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        try:
            await archived.start()
            yield archived
        finally:
            archived.writer.close()
            await archived.node.close()


async def test_messages_wait_for_a_writer_and_stand_in_the_database_then(archived: Archived) -> None:
    offsets = await archived.publish("kept-1", 25)
    await archived.publish("other", 25)
    assert json.loads(await archived.run("--status"))["waiting"] == 25

    await archived.writer.start()
    await eventually(archived.is_written, what="the archive is written")
    assert archived.rows("kept-1") == list(zip(offsets, range(25), strict=True))
    assert archived.rows("other") == []
    assert archived.writer.terminate() == 0


async def test_prune_deletes_what_is_older_and_nothing_else(archived: Archived) -> None:
    first, *rest = archived.pruned
    archived.change("UPDATE tannoy_messages SET sent_at = 0 WHERE message_offset = ?", first)

    assert await archived.run("--prune", "90d") == "deleted 1 message\n"
    assert [offset for offset, _ in archived.rows("kept-pruned")] == rest


async def test_a_writer_without_its_database_ends_with_a_sentence(archived: Archived) -> None:
    settings = {**archived.settings, "DATABASE_URL": "postgresql://ada:secret@127.0.0.1:1/tannoy"}
    ended = await run_tannoy_async("archive", **settings)

    assert ended.returncode == 1
    assert "tannoy: the database at postgresql://127.0.0.1:1/tannoy (TANNOY_DATABASE_URL): " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr


async def test_a_writer_without_redis_ends_with_a_sentence(archived: Archived) -> None:
    ended = await run_tannoy_async("archive", **{**archived.settings, "REDIS_URL": "redis://127.0.0.1:1"})

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "can't be reached" in ended.stderr


async def test_an_archive_without_history_stops_the_start_of_a_node(archived: Archived) -> None:
    settings = {**archived.settings, "ARCHIVE": "room:*", "HISTORY_SIZE": "0"}
    ended = await run_tannoy_async("node", "--port", str(free_port()), **settings)

    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "tannoy: TANNOY_ARCHIVE needs a history to be written: TANNOY_HISTORY_SIZE=0 keeps none\n" in ended.stderr


async def test_a_publisher_without_the_setting_is_archived_too(archived: Archived) -> None:
    async with AsyncPublisher(archived.settings["REDIS_URL"]) as publisher:
        position = await publisher.to_room("kept-sdk", "hi")

    assert position is not None
    room = Keyspace("tannoy").room(RoomName("kept-sdk"))
    assert await archived.calls.may_wait(room, position.offset, position.offset)


async def test_a_session_recovers_in_an_archived_room_as_in_any_other(archived: Archived) -> None:
    client = await archived.node.connect("/ws")
    head = await client.ok("join", room="kept-recovery")
    await client.ok("leave", room="kept-recovery")
    await archived.publish("kept-recovery", 3)

    position = {"epoch": head["epoch"], "offset": head["offset"]}
    again = await client.ok("join", room="kept-recovery", recover=position)
    assert again["recovered"] is True
    assert await client.contents(3) == [0, 1, 2]


# ---- reading on


async def read_back(archived: Archived, room: str, **bounds: int) -> tuple[list[tuple[int, int]], list[dict[str, Any]]]:
    """Page through a room from its end to its beginning: offset and content of each message, and the answers."""
    messages: list[tuple[int, int]] = []
    answers: list[dict[str, Any]] = []
    while True:
        answer = await archived.node.http.get(f"/api/v1/rooms/{room}/messages", params=bounds)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        answers.append(page)
        if not page["messages"]:
            return messages, answers
        messages = [(each["offset"], each["content"]) for each in page["messages"]] + messages
        bounds["before"] = messages[0][0]


async def test_history_reads_on_in_the_database_without_a_seam(archived: Archived) -> None:
    messages, answers = await read_back(archived, "kept-written", limit=8)
    assert messages == list(zip(archived.offsets, range(35), strict=True))
    assert not any("gaps" in answer or "more" in answer for answer in answers)


async def test_history_since_a_message_of_the_database_goes_on_in_redis(archived: Archived) -> None:
    params = {"since": archived.offsets[4], "limit": 100}
    answer = await archived.node.http.get("/api/v1/rooms/kept-written/messages", params=params)
    assert [each["content"] for each in answer.json()["messages"]] == list(range(5, 35))


async def test_a_session_reads_the_archive_in_either_wire_format(archived: Archived) -> None:
    for wire in ("json", "msgpack"):
        client = await archived.node.connect("/ws/chat/kept-written", wire=wire)
        answer = await client.ok("history", limit=100)
        assert [each["content"] for each in answer["messages"]] == list(range(35))


async def test_messages_that_are_not_written_yet_are_told_and_never_skipped(archived: Archived) -> None:
    offsets = await archived.publish("kept-6", 25)
    first = (await archived.node.http.get("/api/v1/rooms/kept-6/messages")).json()
    beyond = await archived.node.http.get("/api/v1/rooms/kept-6/messages", params={"before": offsets[15]})

    assert [each["content"] for each in first["messages"]] == list(range(15, 25))
    assert first["more"] is True
    assert beyond.status_code == 503
    assert beyond.json()["code"] == "unavailable"
    assert "the archive is behind" in beyond.json()["detail"]


async def test_messages_that_the_archive_has_lost_are_told_as_a_gap(archived: Archived) -> None:
    first, last = archived.lost[9:11]
    archived.change("DELETE FROM tannoy_messages WHERE message_offset IN (?, ?)", first, last)

    answer = (await archived.node.http.get("/api/v1/rooms/kept-lost/messages")).json()
    assert [each["content"] for each in answer["messages"]] == [*range(9), *range(11, 25)]
    assert answer["gaps"] == [[first, last]]


async def test_the_diagnostics_tell_the_services_and_what_waits(archived: Archived) -> None:
    diagnostics = await archived.node.diagnostics()

    assert diagnostics["services"].keys() == {"redis", "database"}
    assert diagnostics["services"]["database"]["address"] == f"sqlite:///{archived.file}"
    assert diagnostics["services"]["database"]["is_usable"] is True
    assert diagnostics["archive"].keys() == {"waiting", "lag", "lost"}


# ---- another setting; the last test of the file, since it counts for the whole cluster


async def test_the_setting_of_the_node_that_starts_last_counts_for_all_and_costs_no_session(archived: Archived) -> None:
    agent = await archived.node.connect("/ws/agents/42")
    member = await archived.node.connect("/ws/chat/more")
    before = await member.ok("message", content="before")
    second = NodeProcess(
        "n2",
        Transport.FAST,
        {**archived.settings, "ARCHIVE": "room:kept*,room:more", "HISTORY_SIZE": "10"},
        times=PATIENT,
    )
    try:
        await second.start()
        after = await member.ok("message", content="after")
        resync = await member.expect("resync")
        history = await member.ok("history")
        spoken = await agent.ok("message", content="still here")
    finally:
        await second.close()

    assert ("_" in before["epoch"], "_" in after["epoch"]) == (False, True)
    assert resync["epoch"] == after["epoch"]
    assert [each["content"] for each in history["messages"]] == ["before", "after"]
    assert spoken["offset"] == 1
