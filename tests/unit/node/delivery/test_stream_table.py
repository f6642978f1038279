"""What members of a channel are given of its streams: every text once and in order, whatever the link has lost."""

from dataclasses import replace

import pytest
from tannoy.node.delivery.watermark import Watermark
from tannoy.shared.protocol.codec import MSGPACK
from tannoy.shared.publication import EncodedMessage

from tests.support.hub_members import LOBBY, RecordingMember, RelayDriver
from tests.support.stream_events import Delivery, begun, ended, piece, read, shown


class StreamRoom(RelayDriver):
    """A room with one member."""

    def __init__(self) -> None:
        super().__init__()
        self.member = self.join()

    def bring(self, *deliveries: Delivery) -> list[str]:
        """Deliver all in one batch; what the member is sent of it."""
        self.relay.deliver(list(deliveries))
        return self.take(self.member)

    def take(self, member: RecordingMember) -> list[str]:
        return shown(member.transport.take())

    def enter(self, session_id: str = "late") -> RecordingMember:
        """Let a session join at this moment."""
        member = RecordingMember(session_id)
        self.hub.begin_join(LOBBY, member)
        self.complete(member)
        return member

    def complete(self, member: RecordingMember, offset: int = 0) -> None:
        roster = self.hub.rosters[LOBBY.address]
        seen = roster.delivered._replace(epoch="e", offset=offset)
        publications = self.hub.complete_join(LOBBY, member, seen)
        if publications:
            member.outbox.write_answer(member.encoding.publications_for(publications, member.outbox.session_id))


@pytest.fixture
def room() -> StreamRoom:
    return StreamRoom()


# ---- while nothing is missing


def test_a_stream_is_given_as_it_comes(room: StreamRoom) -> None:
    assert room.bring(begun()) == ["stream"]
    assert room.bring(piece(0, "one ")) == ["delta 0 one "]
    assert room.bring(piece(4, "two")) == ["delta 4 two"]
    assert room.bring(ended("one two")) == ["end done 7"]


def test_frames_have_the_fields_of_the_contract(room: StreamRoom) -> None:
    room.relay.deliver([begun()])
    room.relay.deliver([piece(0, "é")])
    room.relay.deliver([ended("é", 5)])
    about = {"room": "lobby", "stream_id": "s"}
    who = {"user_id": "bot", "username": "bot", "meta": {"model": "m"}, "timestamp": "2026-01-01T00:00:00.000Z"}
    assert room.member.transport.objects == [
        {"type": "stream", **about, **who, "from": 0, "to": 0},
        {"type": "delta", **about, "from": 0, "to": 2, "text": "é"},
        {"type": "stream_end", **about, "to": 2, "status": "done", "offset": 5},
    ]


def test_both_wire_formats_get_the_same_objects(room: StreamRoom) -> None:
    binary = room.join(wire=MSGPACK)
    room.relay.deliver([begun(), piece(0, "x"), ended("x")])
    assert binary.transport.objects == room.member.transport.objects


def test_pieces_of_one_batch_become_one_delta(room: StreamRoom) -> None:
    room.bring(begun())
    assert room.bring(piece(0, "a"), piece(1, "b"), piece(2, "c")) == ["delta 0 abc"]


def test_two_streams_of_a_channel_are_kept_apart(room: StreamRoom) -> None:
    room.bring(begun("s"), begun("t"))
    assert room.bring(piece(0, "a", "s"), piece(0, "x", "t"), piece(1, "b", "s")) == ["delta 0 ab", "delta 0 x"]


def test_messages_and_the_end_stay_in_order(room: StreamRoom) -> None:
    room.bring(begun())
    assert room.bring(piece(0, "a"), ended("a", 1), ended("other", 2, stream_id="unheard")) == [
        "delta 0 a",
        "end done 1",
        "message other",
    ]


# ---- coming in the middle


def test_who_joins_in_the_middle_is_given_the_whole_text_and_then_goes_on(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "one "))
    late = room.enter()
    assert room.take(late) == ["stream one"]
    room.bring(piece(4, "two"), ended("one two"))
    assert room.take(late) == ["delta 4 two", "end done 7"]


def test_pieces_that_come_during_a_join_are_in_its_snapshot_once(room: StreamRoom) -> None:
    late = RecordingMember("late")
    room.hub.begin_join(LOBBY, late)
    room.bring(begun(), piece(0, "one "), piece(4, "two"))
    room.complete(late)
    assert room.take(late) == ["stream one two"]


def test_who_joins_while_a_stream_ends_is_given_its_message(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "one"))
    late = RecordingMember("late")
    room.hub.begin_join(LOBBY, late)
    room.bring(ended("one", 1))
    room.complete(late, offset=0)
    assert room.take(late) == ["message one"]


def test_who_has_the_message_of_an_end_in_its_snapshot_is_not_given_it_again(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "one"))
    late = RecordingMember("late")
    room.hub.begin_join(LOBBY, late)
    room.bring(ended("one", 1))
    room.complete(late, offset=1)
    assert room.take(late) == []


def test_who_is_ahead_of_the_end_of_a_stream_that_it_was_given_is_told_that_end(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "one"))
    late = RecordingMember("late")
    room.hub.begin_join(LOBBY, late)
    room.complete(late, offset=1)  # the head was read when the end was in the history, and before the link brought it
    room.bring(ended("one", 1))
    assert room.take(late) == ["stream one", "end done 3"]


def test_the_end_of_a_stream_that_no_member_was_given_is_a_message(room: StreamRoom) -> None:
    assert room.bring(ended("one")) == ["message one"]


# ---- holes


def test_a_piece_behind_a_hole_waits_until_redis_has_said_what_is_missing(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "a"))
    assert room.bring(piece(2, "c")) == []
    assert room.asked == ["s"]
    assert room.bring(read("ab")) == ["delta 1 bc"]


def test_pieces_that_what_was_read_holds_already_are_not_given_twice(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "a"))
    room.bring(piece(2, "c"))
    assert room.bring(read("abcd")) == ["delta 1 bcd"]
    assert room.bring(piece(3, "d")) == []
    assert room.bring(piece(4, "e")) == ["delta 4 e"]


def test_a_piece_that_overlaps_gives_what_is_new_of_it(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"))
    assert room.bring(piece(1, "bcd")) == ["delta 3 d"]


def test_a_stream_whose_beginning_was_missed_is_given_when_redis_has_said_how_it_stands(room: StreamRoom) -> None:
    assert room.bring(piece(3, "d")) == []
    assert room.asked == ["s"]
    assert room.bring(read("abc")) == ["stream abc", "delta 3 d"]


def test_an_older_answer_of_redis_says_nothing(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"))
    assert room.bring(read("ab")) == []
    assert room.bring(piece(3, "d")) == ["delta 3 d"]


def test_pieces_that_an_end_shows_to_be_missing_are_given_before_it(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "one "))
    assert room.bring(ended("one two")) == ["delta 4 two", "end done 7"]


def test_another_text_than_the_one_that_was_given_comes_as_a_whole(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"))
    assert room.bring(piece(2, "X")) == []
    assert room.asked == ["s"]
    assert room.bring(read("abX")) == ["stream abX"]
    assert room.bring(piece(3, "Y")) == ["delta 3 Y"]


def test_too_many_pieces_behind_a_hole_are_dropped_and_read_again(room: StreamRoom) -> None:
    room.bring(begun())
    for at in range(1, 400):
        room.bring(piece(at, "x"))
    assert room.bring(read("ax")) != []
    assert len(room.asked) > 399
    text = "a" + "x" * 399
    room.bring(read(text))
    assert room.bring(piece(len(text), "y")) == [f"delta {len(text)} y"]


def test_a_resync_asks_for_all_streams_again(room: StreamRoom) -> None:
    room.bring(begun())
    room.hub.rosters[LOBBY.address].complete_delivery(Watermark(0, "e", 9), resets=True)
    assert room.asked == ["s"]


# ---- what Redis has lost, and ends that were missed


def test_a_stream_that_redis_does_not_know_any_more_is_lost(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"))
    assert room.bring(read(None)) == ["end lost 3"]
    assert room.bring(read(None)) == []


def test_a_stream_that_members_were_not_given_is_lost_in_silence(room: StreamRoom) -> None:
    room.bring(piece(3, "d"))
    assert room.bring(read(None)) == []


def test_an_end_that_was_missed_without_history_is_told_with_the_missing_text(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "a"))
    assert room.bring(read("abc", status="done")) == ["delta 1 bc", "end done 3"]


def test_an_end_that_redis_has_told_first_waits_for_its_message(room: StreamRoom) -> None:
    room.bring(begun(), ended("other", 1, stream_id="t"), piece(0, "a"))
    assert room.bring(read("abc", status="done", offset=2)) == ["delta 1 bc"]
    assert room.bring(ended("abc", 2)) == ["end done 3"]


def test_an_end_whose_message_was_passed_over_is_told_at_once(room: StreamRoom) -> None:
    room.bring(begun(), ended("other", 7, stream_id="t"), piece(0, "a"))
    assert room.bring(read("abc", status="done", offset=2)) == ["delta 1 bc", "end done 3"]
    assert room.bring(ended("abc", 2)) == []


def test_what_was_read_before_the_end_came_does_not_open_the_stream_again(room: StreamRoom) -> None:
    room.bring(begun(), ended(""))
    assert room.bring(read("")) == []
    assert room.take(room.enter()) == []


def test_an_end_that_redis_had_lost_and_has_again_is_not_given_twice(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"), ended("abc", 1))
    assert room.bring(ended("abc", 5, epoch="f")) == []
    assert room.bring(ended("ab", 6, epoch="f", status="lost")) == []


def test_another_text_of_a_stream_whose_beginning_was_missed_is_a_message(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "abc"), ended("abc", 1))
    assert room.bring(ended("other", 2)) == ["message other"]


def test_a_stream_of_a_name_that_has_ended_may_begin_again(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "a"), ended("a"))
    assert room.bring(begun(), piece(0, "b")) == ["stream", "delta 0 b"]


def test_a_message_that_no_node_has_written_does_not_end_a_stream_as_a_text(room: StreamRoom) -> None:
    room.bring(begun(), piece(0, "a"))
    address, publication = ended("a")
    broken = replace(publication, encoded=EncodedMessage(b'{"content":{}}', b""))
    room.relay.deliver([(address, broken)])
    table = room.hub.rosters[LOBBY.address].streams
    assert table is not None
    assert table.views == {}
