"""docs/protocol.md §3: what a client may say, field by field."""

from typing import Any

import pytest
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadRequest
from tannoy.shared.names import RoomName, StreamId, UserId
from tannoy.shared.protocol.command_parser import BadCommand, parse_command, parse_history_query, parse_key
from tannoy.shared.protocol.commands import (
    OFFSET_MAX,
    Authenticate,
    Command,
    GetHistory,
    GetPresence,
    HistoryQuery,
    Join,
    Leave,
    Message,
    Ping,
    Pong,
    Private,
    Refresh,
    StopStream,
    Typing,
)
from tannoy.shared.publication import Position

LOBBY = RoomName("lobby")

WELL_FORMED: list[tuple[dict[str, object], Command]] = [
    ({"type": "join", "room": "lobby"}, Join(None, LOBBY)),
    ({"type": "join"}, Join(None, None)),
    ({"type": "join", "room": "lobby", "recover": {"epoch": "e", "offset": 1}}, Join(None, LOBBY, Position("e", 1))),
    ({"type": "join", "room": "lobby", "observe": True}, Join(None, LOBBY, observe=True)),
    ({"type": "join", "room": "lobby", "observe": False}, Join(None, LOBBY)),
    ({"type": "leave", "room": "lobby"}, Leave(None, LOBBY)),
    ({"type": "leave"}, Leave(None, None)),
    ({"type": "message", "room": "lobby", "content": "hi"}, Message(None, LOBBY, "hi", None)),
    ({"type": "message", "content": None}, Message(None, None, None, None)),
    ({"type": "message", "content": [{"a": 1.5}], "key": "k"}, Message(None, None, [{"a": 1.5}], "k")),
    ({"type": "private", "to": "ada", "content": {}}, Private(None, UserId("ada"), {})),
    ({"type": "typing", "room": "lobby"}, Typing(None, LOBBY)),
    ({"type": "typing"}, Typing(None, None)),
    ({"type": "ping"}, Ping(None)),
    ({"type": "pong"}, Pong(None)),
    ({"type": "auth", "token": "t"}, Authenticate(None, "t")),
    ({"type": "presence", "room": "lobby", "id": 3}, GetPresence(3, LOBBY)),
    ({"type": "presence", "id": "p"}, GetPresence("p", None)),
    (
        {"type": "history", "id": 3, "room": "lobby", "limit": 10, "before": 5, "since": 1},
        GetHistory(3, LOBBY, HistoryQuery(10, before=5, since=1)),
    ),
    ({"type": "history", "id": 3}, GetHistory(3, None, HistoryQuery(100, before=None, since=None))),
    ({"type": "refresh", "token": "t"}, Refresh(None, "t")),
    ({"type": "stop", "stream_id": "s"}, StopStream(None, None, StreamId("s"))),
    ({"type": "stop", "room": "lobby", "stream_id": "s", "id": 1}, StopStream(1, LOBBY, StreamId("s"))),
]
TYPES = sorted({str(fields["type"]) for fields, _ in WELL_FORMED})


def refusal_of(value: object) -> BadCommand:
    with pytest.raises(BadCommand) as caught:
        parse_command(value)
    return caught.value


@pytest.mark.parametrize(("fields", "command"), WELL_FORMED, ids=str)
def test_a_well_formed_object_is_parsed_to_its_command(fields: dict[str, object], command: Command) -> None:
    assert parse_command(fields) == command


def test_every_documented_command_is_known() -> None:
    documented = "auth join leave message private typing presence history stop refresh ping"
    assert set(TYPES) == {*documented.split(), "pong"}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("id", ["", "x", "7", "é" * 128, 0, 7, -1, 2**63], ids=ascii)
def test_every_command_may_have_an_id(kind: str, id: str | int) -> None:
    fields = next(fields for fields, _ in WELL_FORMED if fields["type"] == kind)
    assert parse_command({**fields, "id": id}).id == id


@pytest.mark.parametrize("id", [None, True, 1.5, [], {}, "x" * 129], ids=lambda value: f"{value!r:.9}")
def test_an_id_of_another_type_is_refused(id: object) -> None:
    bad = refusal_of({"type": "ping", "id": id})
    assert (bad.id, bad.refusal.code) == (None, ErrorCode.BAD_REQUEST)


@pytest.mark.parametrize("kind", TYPES)
def test_an_unknown_field_is_refused_by_name(kind: str) -> None:
    fields = next(fields for fields, _ in WELL_FORMED if fields["type"] == kind)
    bad = refusal_of({**fields, "colour": "red"})
    assert bad.refusal.code is ErrorCode.BAD_REQUEST
    assert "'colour'" in bad.refusal.message


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"type": "message", "room": "lobby"}, "content"),
        ({"type": "private", "to": "ada"}, "content"),
        ({"type": "private", "content": 1}, "to"),
        ({"type": "auth"}, "token"),
        ({"type": "refresh"}, "token"),
        ({"type": "stop"}, "stream_id"),
        ({"room": "lobby"}, "type"),
        ({}, "type"),
    ],
)
def test_a_missing_field_is_refused_by_name(fields: dict[str, object], missing: str) -> None:
    bad = refusal_of(fields)
    assert bad.refusal.code is ErrorCode.BAD_REQUEST
    assert f"'{missing}' is missing" in bad.refusal.message


@pytest.mark.parametrize("kind", ["presence", "history"])
def test_a_command_that_does_nothing_but_answer_needs_an_id(kind: str) -> None:
    bad = refusal_of({"type": kind, "room": "lobby"})
    assert bad.refusal.code is ErrorCode.BAD_REQUEST
    assert "'id' is missing" in bad.refusal.message


@pytest.mark.parametrize(("fields", "command"), WELL_FORMED, ids=str)
def test_a_command_has_the_type_that_it_was_sent_with(fields: dict[str, object], command: Command) -> None:
    assert command.type == fields["type"]


@pytest.mark.parametrize("kind", ["join", "leave", "message", "typing", "history"])
@pytest.mark.parametrize(
    "room", [None, 1, True, "", "a b", "a" * 129, ["lobby"], {}], ids=lambda value: f"{value!r:.9}"
)
def test_a_bad_room_name_is_refused(kind: str, room: object) -> None:
    content = {"content": 1} if kind == "message" else {}
    assert refusal_of({"type": kind, "id": 1, "room": room, **content}).refusal.code is ErrorCode.BAD_NAME


@pytest.mark.parametrize("to", [None, 1.5, "", "a b"])
def test_a_bad_user_id_of_a_receiver_is_refused(to: object) -> None:
    assert refusal_of({"type": "private", "to": to, "content": 1}).refusal.code is ErrorCode.BAD_NAME


NO_POSITIONS: tuple[object, ...] = (
    1,
    "e",
    [],
    True,
    {},
    {"epoch": "e"},
    {"epoch": 1, "offset": 1},
    {"epoch": "e", "offset": -1},
    {"epoch": "e", "offset": "1"},
    {"epoch": "e", "offset": True},
    {"epoch": "e", "offset": 1, "limit": 2},
)


@pytest.mark.parametrize("recover", NO_POSITIONS)
def test_recover_has_to_be_a_position(recover: object) -> None:
    assert refusal_of({"type": "join", "room": "lobby", "recover": recover}).refusal.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("observe", [None, 1, "true", [], {}], ids=repr)
def test_observe_has_to_be_true_or_false(observe: object) -> None:
    bad = refusal_of({"type": "join", "room": "lobby", "observe": observe})
    assert (bad.refusal.code, "observe" in bad.refusal.message) == (ErrorCode.BAD_REQUEST, True)


PAGES: list[tuple[dict[str, object], HistoryQuery]] = [
    ({}, HistoryQuery(100, before=None, since=None)),
    ({"limit": 1}, HistoryQuery(1)),
    ({"limit": 300}, HistoryQuery(300)),
    ({"before": 0}, HistoryQuery(before=0)),
    ({"since": 0}, HistoryQuery(since=0)),
    ({"before": 9, "since": 3, "limit": 2}, HistoryQuery(2, before=9, since=3)),
    ({"before": OFFSET_MAX, "since": OFFSET_MAX}, HistoryQuery(before=OFFSET_MAX, since=OFFSET_MAX)),
    ({"room": "lobby", "limit": 5}, HistoryQuery(5)),
]


@pytest.mark.parametrize(("fields", "page"), PAGES, ids=str)
def test_a_history_query_has_the_given_bounds_or_the_defaults(fields: dict[str, object], page: HistoryQuery) -> None:
    assert parse_history_query(fields) == page


NO_LIMITS: tuple[object, ...] = (0, -1, 301, "10", 1.5, True, None, [], 2**70)
NO_OFFSETS: tuple[object, ...] = (-1, "1", 1.0, True, [], {}, OFFSET_MAX + 1, 2**70)
NO_PAGES = [
    *({"limit": limit} for limit in NO_LIMITS),
    *({name: offset} for name in ("before", "since") for offset in NO_OFFSETS),
]


@pytest.mark.parametrize("fields", NO_PAGES, ids=str)
def test_a_bad_bound_of_a_history_query_is_refused_by_name(fields: dict[str, object]) -> None:
    (name,) = fields
    bad = refusal_of({"type": "history", "id": 1, **fields})
    assert (bad.id, bad.refusal.code) == (1, ErrorCode.BAD_REQUEST)
    assert name in bad.refusal.message


@pytest.mark.parametrize("key", ["k", " ", "é\n", "k" * 256], ids=ascii)
def test_an_idempotency_key_may_be_any_text(key: str) -> None:
    assert parse_key({"key": key}) == key


@pytest.mark.parametrize("key", ["", "k" * 257, 1, True, [], {}], ids=lambda value: f"{value!r:.9}")
def test_an_idempotency_key_of_another_type_or_size_is_refused(key: object) -> None:
    with pytest.raises(BadRequest):
        parse_key({"key": key})


@pytest.mark.parametrize("kind", ["", "Join", "join ", "dance", "__class__", None, 1, [], {}, True], ids=repr)
def test_an_unknown_type_is_refused(kind: object) -> None:
    assert refusal_of({"type": kind}).refusal.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("value", [None, [], [{"type": "ping"}], "ping", 1, 1.5, True])
def test_a_value_that_is_not_an_object_is_refused(value: object) -> None:
    assert refusal_of(value).refusal.code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize(
    "fields", [{"type": "dance"}, {"type": "message"}, {"type": "join", "room": ""}, {"type": "ping", "x": 1}], ids=str
)
def test_a_refusal_has_the_id_of_the_command(fields: dict[str, Any]) -> None:
    assert refusal_of({**fields, "id": "c-1"}).id == "c-1"


def test_a_refusal_shows_no_more_than_the_beginning_of_a_long_value() -> None:
    flood = {f"field-{number}-{'x' * 1000}": 1 for number in range(1000)}
    assert len(refusal_of({"type": "ping", **flood}).refusal.message) < 500


@pytest.mark.parametrize("kind", ["auth", "refresh"])
@pytest.mark.parametrize("token", [None, 1, True, ["t"], {}], ids=str)
def test_a_token_that_is_no_string_is_refused(kind: str, token: object) -> None:
    bad = refusal_of({"type": kind, "token": token})
    assert (bad.refusal.code, bad.refusal.message) == (ErrorCode.BAD_REQUEST, "token has to be a string")


@pytest.mark.parametrize("kind", ["auth", "refresh"])
def test_a_command_does_not_show_its_token(kind: str) -> None:
    assert "canary" not in repr(parse_command({"type": kind, "token": "canary"}))
