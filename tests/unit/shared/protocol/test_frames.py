"""docs/protocol.md §4: every frame of the node, field by field, as an object."""

import pytest
from tannoy.shared.codes import CloseCode, ErrorCode
from tannoy.shared.protocol.frames import ByeFrame, ErrorFrame, NodeFrame, OkFrame
from tannoy.shared.protocol.presence_frames import PresenceSnapshot

from tests.support.example_frames import FRAMES, PRESENT, PRESENT_OBJECT


@pytest.mark.parametrize(("frame", "whole"), FRAMES, ids=lambda value: type(value).__name__)
def test_a_frame_as_object_has_the_documented_fields(frame: NodeFrame, whole: dict[str, object]) -> None:
    assert frame.as_object() == whole


@pytest.mark.parametrize(
    ("snapshot", "fields"),
    [
        (PresenceSnapshot(17, 1, (PRESENT,)), {"version": 17, "users_count": 1, "users": [PRESENT_OBJECT]}),
        (PresenceSnapshot(17, 51, None), {"version": 17, "users_count": 51}),
        (PresenceSnapshot(17, 0, ()), {"version": 17, "users_count": 0, "users": []}),
    ],
)
def test_a_presence_snapshot_lists_its_users_unless_there_are_too_many(
    snapshot: PresenceSnapshot, fields: dict[str, object]
) -> None:
    assert snapshot.as_fields() == fields


def test_every_kind_of_frame_is_in_the_table() -> None:
    assert {type(frame) for frame, _ in FRAMES} == set(NodeFrame.__args__)


def test_the_code_of_bye_is_encoded_as_an_integer() -> None:
    assert type(ByeFrame(CloseCode.TOO_SLOW).as_object()["code"]) is int


def test_the_code_of_an_error_is_encoded_as_a_string() -> None:
    assert type(ErrorFrame(None, ErrorCode.FORBIDDEN, "").as_object()["code"]) is str


def test_changing_the_object_of_a_frame_does_not_change_the_frame() -> None:
    ok = OkFrame(1, {"room": "lobby"})
    ok.as_object().clear()
    assert ok.as_object() == {"type": "ok", "id": 1, "room": "lobby"}
