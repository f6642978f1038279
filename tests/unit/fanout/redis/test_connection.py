"""One connection to Redis: replies in order, pushes in batches, and every way in which it can end."""

import asyncio

import pytest
import uvloop
from tannoy.fanout.redis.connection import Pushes, RedisConnection, Reply, pack
from tannoy.fanout.redis.errors import ConnectionLost, RedisError

from tests.support.clock import on_manual_time, turns
from tests.support.memory_redis import read_commands


def test_a_command_is_packed_in_resp() -> None:
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


def open_connection(pushed: list[Pushes] | None = None) -> tuple[RedisConnection, Transport]:
    connection, transport = RedisConnection((pushed if pushed is not None else []).append), Transport()
    connection.connection_made(transport)
    return connection, transport


@on_manual_time
async def test_replies_complete_their_commands_in_order() -> None:
    connection, transport = open_connection()
    first, second = connection.send("GET", "a"), connection.send("GET", "b")
    assert read_commands(transport.written) == [[b"GET", b"a"], [b"GET", b"b"]]
    connection.data_received(b"$1\r\n1\r\n_\r\n")
    assert (await first, await second) == (b"1", None)


@on_manual_time
async def test_an_error_reply_is_raised_with_its_text() -> None:
    connection, _ = open_connection()
    refused, fine = connection.send("AUTH", "x"), connection.send("PING")
    connection.data_received(b"-WRONGPASS invalid password\r\n+PONG\r\n")
    with pytest.raises(RedisError, match="WRONGPASS invalid password"):
        await refused
    assert await fine == b"PONG"


@on_manual_time
async def test_pushes_of_one_read_between_replies_come_as_one_batch() -> None:
    pushed: list[Pushes] = []
    connection, _ = open_connection(pushed)
    reply = connection.send("PING")
    message = b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n%d\r\n"
    connection.data_received(message % 1 + b"+PONG\r\n" + message % 2)
    assert pushed == [[[b"message", b"a", b"1"], [b"message", b"a", b"2"]]]
    assert await reply == b"PONG"


@on_manual_time
async def test_a_reply_that_arrives_byte_by_byte_is_read() -> None:
    pushed: list[Pushes] = []
    connection, _ = open_connection(pushed)
    reply = connection.send("GET", "a")
    for byte in b">2\r\n+a\r\n+b\r\n$5\r\nhello\r\n":
        connection.data_received(bytes((byte,)))
    assert pushed == [[[b"a", b"b"]]]
    assert await reply == b"hello"


def push_of(size: int) -> bytes:
    return b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n%b\r\n" % (size, bytes(size))


@on_manual_time
async def test_a_push_larger_than_any_ends_the_connection_before_all_of_it_is_here() -> None:
    connection, transport = open_connection()
    connection.push_max_bytes = 1000
    push = push_of(100_000)
    read = next(end for end in range(0, len(push), 100) if _feed(connection, transport, push[end : end + 100]))
    assert 1000 <= read < 1300


def _feed(connection: RedisConnection, transport: Transport, data: bytes) -> bool:
    connection.data_received(data)
    return transport.aborted


@on_manual_time
async def test_many_small_pushes_that_reads_cut_anywhere_do_not_end_the_connection() -> None:
    pushed: list[Pushes] = []
    connection, transport = open_connection(pushed)
    connection.push_max_bytes = 1000
    pushes = push_of(200) * 100
    for start in range(0, len(pushes), 333):
        connection.data_received(pushes[start : start + 333])
    assert not transport.aborted
    assert sum(map(len, pushed)) == 100


@on_manual_time
async def test_without_a_bound_a_push_of_any_size_is_read() -> None:
    pushed: list[Pushes] = []
    connection, transport = open_connection(pushed)
    push = push_of(100_000)
    for start in range(0, len(push), 1000):
        connection.data_received(push[start : start + 1000])
    assert not transport.aborted
    assert len(pushed) == 1


@on_manual_time
async def test_a_lost_connection_fails_all_commands_without_a_reply() -> None:
    connection, _ = open_connection()
    waiting = [connection.send("PING") for _ in range(3)]
    connection.connection_lost(None)
    for reply in waiting:
        with pytest.raises(ConnectionLost):
            await reply
    assert connection.lost.done()


@on_manual_time
async def test_an_aborted_connection_fails_its_commands_with_the_reason() -> None:
    connection, transport = open_connection()
    waiting = connection.send("PING")
    connection.abort("is a replica")
    assert transport.aborted
    connection.connection_lost(None)
    with pytest.raises(ConnectionLost, match="is a replica"):
        await waiting
    assert str(await connection.lost) == "is a replica"


@pytest.mark.parametrize("code", ["READONLY", "LOADING", "MASTERDOWN"])
def test_an_error_that_only_a_server_without_its_data_gives_closes_the_connection(code: str) -> None:
    @on_manual_time
    async def test() -> None:
        connection, transport = open_connection()
        refused, fine = connection.send("SET", "a", "1"), connection.send("PING")
        connection.data_received(f"-{code} because\r\n+PONG\r\n".encode())
        assert transport.aborted
        with pytest.raises(RedisError, match=f"^{code} because$"):
            await refused
        assert await fine == b"PONG", "it came with the same read"

    test()


@on_manual_time
async def test_any_other_error_leaves_the_connection_open() -> None:
    connection, transport = open_connection()
    refused = connection.send("SET", "a", "1")
    connection.data_received(b"-READONLYISH is no code of Redis\r\n")
    with pytest.raises(RedisError):
        await refused
    assert not transport.aborted


@on_manual_time
async def test_a_command_on_a_lost_connection_fails_at_once() -> None:
    # Later no event of the connection would complete it.
    connection, _ = open_connection()
    connection.connection_lost(None)
    reply = connection.send("PING")
    await turns()
    assert reply.done()
    with pytest.raises(ConnectionLost):
        await reply


@on_manual_time
async def test_bytes_that_are_not_resp_close_the_connection() -> None:
    connection, transport = open_connection()
    connection.data_received(b"HTTP/1.1 400 Bad Request\r\n")
    assert transport.aborted


@pytest.mark.parametrize("data", [b"%1\r\n%1\r\n+a\r\n+b\r\n+c\r\n", b"%1\r\n*1\r\n+a\r\n+b\r\n"], ids=["map", "list"])
def test_a_map_with_a_key_that_is_no_scalar_closes_the_connection(data: bytes) -> None:
    @on_manual_time
    async def run() -> None:
        connection, transport = open_connection()
        connection.expect(lambda reply: None)
        connection.data_received(data)
        assert transport.aborted

    run()


@on_manual_time
async def test_pushes_before_invalid_bytes_are_delivered() -> None:
    pushed: list[Pushes] = []
    connection, transport = open_connection(pushed)
    connection.data_received(b">2\r\n+a\r\n+b\r\n?garbage\r\n")
    assert pushed == [[[b"a", b"b"]]]
    assert transport.aborted


@on_manual_time
async def test_a_reply_without_a_command_closes_the_connection() -> None:
    connection, transport = open_connection()
    connection.data_received(b"+OK\r\n")
    assert transport.aborted


@on_manual_time
async def test_a_reply_to_a_cancelled_command_is_dropped() -> None:
    connection, transport = open_connection()
    reply = connection.send("PING")
    reply.cancel()
    connection.data_received(b"+PONG\r\n")
    assert not transport.aborted


@on_manual_time
async def test_expected_replies_include_errors_as_values() -> None:
    connection, _ = open_connection()
    answers: list[Reply] = []
    connection.expect(answers.append)
    connection.expect(answers.append)
    connection.data_received(b"-ERR no\r\n")
    connection.connection_lost(None)
    assert [type(answer) for answer in answers] == [RedisError, ConnectionLost]


@on_manual_time
async def test_reading_pauses_and_resumes() -> None:
    connection, transport = open_connection()
    connection.pause_reading()
    connection.pause_reading()
    assert not transport.reading
    connection.resume_reading()
    assert transport.reading


@on_manual_time
async def test_reading_does_not_resume_on_a_closing_connection() -> None:
    connection, transport = open_connection()
    connection.pause_reading()
    connection.abort()
    connection.resume_reading()
    assert not transport.reading


# ---- under uvloop, on which the product runs


def test_nothing_that_is_done_to_a_lost_connection_raises_under_uvloop() -> None:
    async def lose_connection() -> None:
        loop = asyncio.get_running_loop()
        connection = RedisConnection(lambda pushes: None)
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            await loop.create_connection(lambda: connection, *server.sockets[0].getsockname())
            await connection.lost
        connection.write(b"*1\r\n$4\r\nPING\r\n")
        connection.subscribe(("SUBSCRIBE", "a"), lambda error: None)
        connection.pause_reading()
        connection.resume_reading()
        connection.abort()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose_connection())


@on_manual_time
async def test_a_connection_that_has_ended_keeps_no_part_of_a_reply() -> None:
    """Who keeps the object, such as its RoleWatch, would keep the megabytes that were read of a large message."""
    connection, _ = open_connection()
    answer = connection.send("GET", "a")
    connection.data_received(b"$8000000\r\n" + bytes(3_000_000))
    assert connection.is_receiving

    connection.connection_lost(None)

    assert not connection.is_receiving
    with pytest.raises(ConnectionLost):
        await answer
