"""`tannoy archive` as operators run it, and nodes whose rooms are archived."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tannoy.fanout.startup import skip_recovery

from tests.support.archive_process import ArchiveWriterProcess
from tests.support.cluster import NodeProcess, Transport
from tests.support.command_line import run_tannoy_async
from tests.support.node import PATIENT
from tests.support.ports import free_port
from tests.support.valkey import Valkey
from tests.support.waiting import PATIENCE, eventually


class Archived:
    """One node whose rooms named `kept…` are archived in a SQLite, with a history of 10 messages."""

    def __init__(self, url: str, file: Path) -> None:
        self.file = file
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

    async def backlog(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.run("--status"))
        return found

    async def is_written(self) -> bool:
        return bool((await self.backlog())["waiting"] == 0)

    def rows(self, room: str) -> list[tuple[int, int]]:
        """Offset and content of what stands in the database."""
        connection = sqlite3.connect(self.file)
        found = connection.execute(
            "SELECT message_offset, message FROM tannoy_messages WHERE channel = ? ORDER BY 1", (f"room:{room}",)
        ).fetchall()
        connection.close()
        return [(offset, json.loads(message)["content"]) for offset, message in found]


@pytest.fixture(scope="module")
async def archived(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Archived]:
    async with Valkey() as valkey:
        archived = Archived(valkey.url, tmp_path_factory.mktemp("archive") / "archive.db")
        await skip_recovery(valkey.address, "tannoy", PATIENCE)
        try:
            await archived.node.start()
            yield archived
        finally:
            archived.writer.close()
            await archived.node.close()


async def test_messages_wait_for_a_writer_and_stand_in_the_database_then(archived: Archived) -> None:
    offsets = await archived.publish("kept-1", 25)
    await archived.publish("other", 25)
    assert (await archived.backlog())["waiting"] == 25

    await archived.writer.start()
    await eventually(archived.is_written, what="the archive is written")
    assert archived.rows("kept-1") == list(zip(offsets, range(25), strict=True))
    assert archived.rows("other") == []
    assert archived.writer.terminate() == 0


async def test_prune_deletes_what_is_older_and_nothing_else(archived: Archived) -> None:
    await archived.publish("kept-2", 5)
    await archived.writer.start()
    await eventually(archived.is_written, what="the archive is written")
    archived.writer.terminate()
    connection = sqlite3.connect(archived.file)
    connection.execute("UPDATE tannoy_messages SET sent_at = 0 WHERE channel = 'room:kept-2' AND message LIKE '%:0,%'")
    connection.commit()
    connection.close()

    assert await archived.run("--prune", "90d") == "deleted 1 message\n"
    assert [content for _, content in archived.rows("kept-2")] == [1, 2, 3, 4]


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
