"""A client's session without a socket: frames in, commands and events out."""

from tannoy.client.catch_up import Frame
from tannoy.client.channel_state import ChannelState
from tannoy.client.events import BusStatus, Event, NodeError, Rejoined, UserJoined
from tannoy.client.session import Session

WELCOME: Frame = {"type": "welcome", "user_id": "ada", "session_id": "s", "node": "n1", "message_max_bytes": 100}


class Driver:
    """A session, and what it has sent and told."""

    def __init__(self, home: ChannelState | None = None) -> None:
        self.sent: list[Frame] = []
        self.events: list[Event] = []
        self.welcomes: list[Frame] = []
        self.missed: list[ChannelState] = []
        self.session = Session(
            send=self.sent.append,
            on_event=self.events.append,
            on_live=self.welcomes.append,
            on_presence_missed=self.missed.append,
            home=home,
        )

    def connect(self, **fields: object) -> None:
        self.session.begin()
        self.session.receive(WELCOME | fields)

    def join(self, name: str = "lobby") -> ChannelState:
        room = self.session.rooms[name] = ChannelState(name, 10)
        room.enter({"epoch": "e1", "offset": 4, "users_count": 1, "version": 3, "users": []})
        return room


def message(offset: int, room: str = "lobby") -> Frame:
    return {"type": "message", "room": room, "offset": offset, "timestamp": "t", "session_id": "s", "user_id": "ada"}


def test_a_welcome_makes_the_session_live() -> None:
    driver = Driver()
    driver.connect()
    assert (driver.session.is_live, driver.session.user_id, driver.session.message_max_bytes) == (True, "ada", 100)
    assert len(driver.welcomes) == 1


def test_a_ping_is_answered() -> None:
    driver = Driver()
    driver.connect()
    driver.session.receive({"type": "ping"})
    assert driver.sent == [{"type": "pong"}]


def test_a_message_goes_to_its_room() -> None:
    driver = Driver()
    driver.connect()
    lobby, garden = driver.join("lobby"), driver.join("garden")
    assert driver.session.receive(message(5)) is lobby
    assert (len(lobby.inbox), len(garden.inbox)) == (1, 0)


def test_a_message_of_a_room_that_was_left_goes_nowhere() -> None:
    driver = Driver()
    driver.connect()
    assert driver.session.receive(message(5, "elsewhere")) is None


def test_a_message_without_a_room_goes_to_the_agent() -> None:
    agent = ChannelState("42", 10)
    driver = Driver(home=agent)
    driver.connect(agent_id="42", epoch="e1", offset=0)
    assert driver.session.receive({"type": "message", "agent_id": "42", "offset": 1}) is agent
    assert len(agent.inbox) == 1


def test_a_resync_goes_to_its_room() -> None:
    driver = Driver()
    driver.connect()
    room = driver.join()
    assert driver.session.receive({"type": "resync", "room": "lobby", "epoch": "e2", "offset": 9}) is room
    assert len(room.inbox) == 1


def test_a_join_after_a_reconnect_recovers_from_what_was_received_last() -> None:
    driver = Driver()
    driver.connect()
    room = driver.join()
    driver.session.receive(message(5))
    driver.session.end()
    assert driver.session.build_join(room) == {
        "type": "join",
        "room": "lobby",
        "recover": {"epoch": "e1", "offset": 5},
    }


def test_a_room_that_is_joined_again_is_an_event() -> None:
    driver = Driver()
    driver.connect()
    room = driver.join()
    driver.session.end()
    driver.session.enter_room(room, {"epoch": "e1", "offset": 6, "recovered": True})
    assert driver.events == [Rejoined("lobby", 2)]


def test_every_frame_is_shown_to_who_asks_for_it() -> None:
    driver, frames = Driver(), list[Frame]()
    driver.session.on_frame = frames.append
    driver.connect()
    driver.session.receive({"type": "ping"})
    assert [frame["type"] for frame in frames] == ["welcome", "ping"]


def test_a_first_join_recovers_nothing() -> None:
    room = ChannelState("lobby", 10, is_observed=True)
    assert Driver().session.build_join(room) == {"type": "join", "room": "lobby", "observe": True}


def test_the_end_of_the_connection_leaves_no_room_joined_and_no_command_waiting() -> None:
    driver = Driver()
    driver.connect()
    room, answers = driver.join(), list[Frame | None]()
    driver.session.pending.add(answers.append)
    driver.session.end()
    assert (room.is_joined, driver.session.is_live, answers) == (False, False, [None])


def test_a_change_of_presence_is_applied_and_told() -> None:
    driver = Driver()
    driver.connect()
    room = driver.join()
    driver.session.receive(
        {"type": "user_joined", "room": "lobby", "user_id": "bob", "username": "Bob", "users_count": 2, "version": 4}
    )
    assert driver.events == [UserJoined("lobby", "bob", "Bob", 2)]
    assert (list(room.presence.users), driver.missed) == (["bob"], [])


def test_a_missing_change_of_presence_is_requested() -> None:
    driver = Driver()
    driver.connect()
    room = driver.join()
    driver.session.receive(
        {"type": "user_left", "room": "lobby", "user_id": "bob", "username": "Bob", "users_count": 2, "version": 9}
    )
    assert driver.missed == [room]


def test_an_error_that_answers_no_command_is_an_event() -> None:
    driver = Driver()
    driver.connect()
    driver.session.receive({"type": "error", "code": "internal", "message": "why"})
    assert driver.events == [NodeError("internal", "why")]


def test_an_error_in_place_of_the_welcome_is_remembered() -> None:
    driver = Driver()
    driver.session.begin()
    driver.session.receive({"type": "error", "code": "bad_token", "message": "it was revoked"})
    assert driver.session.refusal["message"] == "it was revoked"


def test_the_bye_of_an_earlier_connection_does_not_count() -> None:
    driver = Driver()
    driver.connect()
    driver.session.receive({"type": "bye", "code": 4001, "reason": "draining", "reconnect": True})
    assert driver.session.bye["code"] == 4001
    driver.session.begin()
    assert driver.session.bye == {}


def test_a_frame_of_a_later_version_is_ignored() -> None:
    driver = Driver()
    driver.connect()
    assert driver.session.receive({"type": "delta", "room": "lobby", "text": "tok"}) is None
    assert driver.events == []


def test_a_status_is_an_event() -> None:
    driver = Driver()
    driver.connect()
    driver.session.receive({"type": "status", "bus": "down"})
    assert driver.events == [BusStatus("down")]
