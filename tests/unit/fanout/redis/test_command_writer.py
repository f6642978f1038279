"""What becomes of each command that a writer is given: an answer or a failure, once, whoever still waits for it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tannoy.fanout.redis.command_writer import CommandWriter
from tannoy.fanout.redis.connection import Reply
from tannoy.fanout.redis.errors import CommandFailed
from tannoy.fanout.redis.in_flight import OVERTAKEN, RedisCommand
from tannoy.fanout.scripts import PUBLISH

from tests.support.clock import on_manual_time, turns
from tests.support.memory_redis import NOWHERE, MemoryRedis


class Writer(CommandWriter[RedisCommand]):
    """A writer that records how each command ended, by its second word."""

    def __init__(self) -> None:
        super().__init__(
            NOWHERE, name="test", scripts=(), on_answered=self._record_answer, on_failed=self._record_failure
        )
        self.ended: list[tuple[str, object]] = []

    def _record_answer(self, command: RedisCommand, reply: Reply) -> None:
        self.ended.append((str(command.words[1]), reply))

    def _record_failure(self, command: RedisCommand, error: CommandFailed) -> None:
        self.ended.append((str(command.words[1]), "returned" if error.is_returned else error.message))

    def echo(self, text: str) -> RedisCommand:
        command = RedisCommand(("ECHO", text), None)
        self.write(command)
        return command


@asynccontextmanager
async def running() -> AsyncGenerator[Writer]:
    writer = Writer()
    task = asyncio.create_task(writer.run())
    await writer.connected.wait()
    try:
        yield writer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_manual_time
async def test_each_command_ends_once_in_the_order_of_the_replies(redis: MemoryRedis) -> None:
    async with running() as writer:
        writer.echo("a")
        writer.echo("b")
        await turns()
        assert writer.ended == [("a", 1), ("b", 1)]


@on_manual_time
async def test_a_command_that_nobody_waits_for_any_more_is_given_back_and_not_sent(redis: MemoryRedis) -> None:
    async with running() as writer:
        writer.echo("given up").answer.cancel()
        writer.echo("b")
        await turns()
        assert writer.ended == [("given up", "returned"), ("b", 1)]
        assert redis.arguments_of("ECHO") == [[b"b"]]


@on_manual_time
async def test_commands_that_wait_for_a_connection_are_given_back_on_request(redis: MemoryRedis) -> None:
    writer = Writer()
    writer.echo("a")
    writer.echo("b")
    writer.return_unsent()
    assert writer.ended == [("a", "returned"), ("b", "returned")]


@on_manual_time
async def test_only_those_that_nobody_waits_for_are_dropped(redis: MemoryRedis) -> None:
    writer = Writer()
    writer.echo("given up").answer.cancel()
    writer.echo("b")
    writer.drop_done()
    assert writer.ended == [("given up", "returned")]


@on_manual_time
async def test_a_command_on_a_connection_that_is_lost_fails_and_is_not_given_back(redis: MemoryRedis) -> None:
    async with running() as writer:
        redis.mute = True
        writer.echo("a")
        await turns()
        redis.break_connection()
        await turns()
        assert writer.ended == [("a", "the bus did not confirm: the connection to Redis was lost")]


@on_manual_time
async def test_a_command_given_up_by_its_caller_overtakes_as_any_other(
    redis: MemoryRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter([b"-NOSCRIPT No matching script.\r\n"])  # another node loads it before the second command

    def reply(command: list[bytes]) -> bytes:
        return next(replies, b":1\r\n")

    monkeypatch.setattr(redis, "reply", reply)
    async with running() as writer:
        first, second = (RedisCommand(PUBLISH.call((b"server", b"room", b"log"), ()), PUBLISH) for _ in range(2))
        writer.write(first)
        writer.write(second)
        await turns(1)
        second.answer.cancel()
        await turns()
        assert [outcome for _, outcome in writer.ended] == [OVERTAKEN, 1]
        assert len(redis.arguments_of("EVALSHA")) == 2
