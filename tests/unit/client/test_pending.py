"""Commands that wait for an answer."""

from tannoy.client.catch_up import Frame
from tannoy.client.pending import PendingCommands


def test_an_answer_goes_to_the_command_with_its_id() -> None:
    pending, first, second = PendingCommands(), list[Frame | None](), list[Frame | None]()
    pending.add(first.append)
    id = pending.add(second.append)
    assert pending.answer({"type": "ok", "id": id})
    assert (first, second) == ([], [{"type": "ok", "id": id}])


def test_a_command_gets_one_answer_only() -> None:
    pending, answers = PendingCommands(), list[Frame | None]()
    id = pending.add(answers.append)
    assert [pending.answer({"type": "ok", "id": id}) for _ in range(2)] == [True, False]
    assert len(answers) == 1


def test_an_answer_to_a_command_whose_caller_gave_up_is_ignored() -> None:
    pending, answers = PendingCommands(), list[Frame | None]()
    id = pending.add(answers.append)
    pending.discard(id)
    assert not pending.answer({"type": "ok", "id": id})
    assert answers == []


def test_a_frame_without_an_id_answers_nothing() -> None:
    pending = PendingCommands()
    pending.add(lambda answer: None)
    assert not pending.answer({"type": "error", "code": "bad_request", "message": ""})


def test_the_end_of_the_connection_answers_all_with_nothing() -> None:
    pending, answers = PendingCommands(), list[Frame | None]()
    pending.add(answers.append)
    pending.add(answers.append)
    pending.fail_all()
    assert (answers, len(pending)) == ([None, None], 0)


def test_no_id_is_used_twice() -> None:
    pending = PendingCommands()
    first = pending.add(lambda answer: None)
    pending.fail_all()
    assert pending.add(lambda answer: None) != first
