"""One connection to Redis: replies in order, pushes in batches, and every way it can end."""

import asyncio

import pytest
from tannoy.fanout.redis.connection import Pushes, RedisConnection, Reply, pack
from tannoy.fanout.redis.errors import ConnectionLost, RedisError

from tests.support.clock import on_manual_time, turns
from tests.support.memory_redis import read_commands


def test_words_are_packed_as_redis_reads_them() -> None:
    assert pack(("SET", b"\x00\r\n", 7)) == b"*3\r\n$3\r\nSET\r\n$3\r\n\x00\r\n\r\n$1\r\n7\r\n"


# ---- the connection


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False
        self.reading = True

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.aborted

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def open_wire(pushed: list[Pushes] | None = None) -> tuple[RedisConnection, Transport]:
    wire, transport = RedisConnection((pushed if pushed is not None else []).append), Transport()
    wire.connection_made(transport)
    return wire, transport


@on_manual_time
async def test_replies_go_to_their_commands_in_order() -> None:
    wire, transport = open_wire()
    first, second = wire.command("GET", "a"), wire.command("GET", "b")
    assert read_commands(transport.written) == [[b"GET", b"a"], [b"GET", b"b"]]
    wire.data_received(b"$1\r\n1\r\n_\r\n")
    assert (await first, await second) == (b"1", None)


@on_manual_time
async def test_an_error_of_redis_is_raised_with_its_words() -> None:
    wire, _ = open_wire()
    refused, fine = wire.command("AUTH", "x"), wire.command("PING")
    wire.data_received(b"-WRONGPASS invalid password\r\n+PONG\r\n")
    with pytest.raises(RedisError, match="WRONGPASS invalid password"):
        await refused
    assert await fine == b"PONG"


@on_manual_time
async def test_pushes_are_told_from_replies_and_come_as_one_batch() -> None:
    pushed: list[Pushes] = []
    wire, _ = open_wire(pushed)
    reply = wire.command("PING")
    message = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n%d\r\n"
    wire.data_received(message % 1 + b"+PONG\r\n" + message % 2)
    assert pushed == [[[b"message", b"a", b"1"], [b"message", b"a", b"2"]]]
    assert await reply == b"PONG"


@on_manual_time
async def test_a_reply_may_come_byte_by_byte() -> None:
    pushed: list[Pushes] = []
    wire, _ = open_wire(pushed)
    reply = wire.command("GET", "a")
    for byte in b">2\r\n+a\r\n+b\r\n$5\r\nhello\r\n":
        wire.data_received(bytes((byte,)))
    assert pushed == [[[b"a", b"b"]]]
    assert await reply == b"hello"


@on_manual_time
async def test_a_lost_connection_fails_all_that_waits() -> None:
    wire, _ = open_wire()
    waiting = [wire.command("PING") for _ in range(3)]
    wire.connection_lost(None)
    for reply in waiting:
        with pytest.raises(ConnectionLost):
            await reply
    assert wire.lost.done()


@on_manual_time
async def test_whoever_waits_for_a_connection_that_was_ended_on_purpose_is_told_why() -> None:
    wire, transport = open_wire()
    waiting = wire.command("PING")
    wire.abort("it is a replica")
    assert transport.aborted
    wire.connection_lost(None)
    with pytest.raises(ConnectionLost, match="it is a replica"):
        await waiting
    assert str(await wire.lost) == "it is a replica"


@pytest.mark.parametrize("code", ["READONLY", "LOADING", "MASTERDOWN"])
def test_an_answer_that_only_a_replica_gives_ends_the_connection(code: str) -> None:
    @on_manual_time
    async def test() -> None:
        wire, transport = open_wire()
        refused, fine = wire.command("SET", "a", "1"), wire.command("PING")
        wire.data_received(f"-{code} because\r\n+PONG\r\n".encode())
        assert transport.aborted
        with pytest.raises(RedisError, match=f"^{code} because$"):
            await refused
        assert await fine == b"PONG", "it came with the same read"

    test()


@on_manual_time
async def test_another_error_does_not_end_the_connection() -> None:
    wire, transport = open_wire()
    refused = wire.command("SET", "a", "1")
    wire.data_received(b"-READONLYISH is no code of Redis\r\n")
    with pytest.raises(RedisError):
        await refused
    assert not transport.aborted


@on_manual_time
async def test_a_command_on_a_lost_connection_fails_too() -> None:
    # "The future raises RedisError or ConnectionLost": there is nobody left who could do it later.
    wire, _ = open_wire()
    wire.connection_lost(None)
    reply = wire.command("PING")
    await turns()
    assert reply.done()
    with pytest.raises(ConnectionLost):
        await reply


@on_manual_time
async def test_what_is_no_resp_ends_the_connection() -> None:
    wire, transport = open_wire()
    wire.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    assert transport.aborted


@on_manual_time
async def test_pushes_in_front_of_garbage_are_still_heard() -> None:
    pushed: list[Pushes] = []
    wire, transport = open_wire(pushed)
    wire.data_received(b">2\r\n+a\r\n+b\r\n?garbage\r\n")
    assert pushed == [[[b"a", b"b"]]]
    assert transport.aborted


@on_manual_time
async def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    wire, transport = open_wire()
    wire.data_received(b"+OK\r\n")
    assert transport.aborted


@on_manual_time
async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    wire, transport = open_wire()
    reply = wire.command("PING")
    reply.cancel()
    wire.data_received(b"+PONG\r\n")
    assert not transport.aborted


@on_manual_time
async def test_whoever_expects_an_answer_gets_errors_as_values() -> None:
    wire, _ = open_wire()
    answers: list[Reply] = []
    wire.expect(answers.append)
    wire.expect(answers.append)
    wire.data_received(b"-ERR no\r\n")
    wire.connection_lost(None)
    assert [type(answer) for answer in answers] == [RedisError, ConnectionLost]


@on_manual_time
async def test_reading_is_paused_and_resumed() -> None:
    wire, transport = open_wire()
    wire.pause_reading()
    wire.pause_reading()
    assert not transport.reading
    wire.resume_reading()
    assert transport.reading


@on_manual_time
async def test_reading_is_not_resumed_on_a_connection_that_ends() -> None:
    wire, transport = open_wire()
    wire.pause_reading()
    wire.abort()
    wire.resume_reading()
    assert not transport.reading
