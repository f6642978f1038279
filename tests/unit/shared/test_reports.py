"""What became of a message at the sockets: the mark that asks for it, and the counts of all nodes together."""

import pytest
from tannoy.shared.errors import MalformedBytes
from tannoy.shared.reports import DeliveryReport, SocketOutcome, add_token, has_token, split_mark


@pytest.mark.parametrize(("exclude", "token"), [("", "t1"), ("s1", "t1"), ("a.b:c@d~e-f", "x_-y")])
def test_a_mark_holds_the_excluded_session_and_the_token(exclude: str, token: str) -> None:
    mark = add_token(exclude, token)
    assert (split_mark(mark), has_token(mark)) == ((exclude, token), True)


@pytest.mark.parametrize("mark", ["", "s1"])
def test_a_mark_without_a_token_is_the_excluded_session_alone(mark: str) -> None:
    assert (split_mark(mark), has_token(mark)) == ((mark, ""), False)


def test_an_outcome_is_the_same_after_packing_and_parsing() -> None:
    outcome = SocketOutcome(3, 2, 1, ("s1",))
    assert SocketOutcome.parse(outcome.as_parts()) == outcome


@pytest.mark.parametrize("parts", [[], [1, 2, 3], [1, 2, 3, [4]], ["1", 2, 3, []], None])
def test_what_is_no_outcome_is_malformed(parts: object) -> None:
    with pytest.raises(MalformedBytes):
        SocketOutcome.parse(parts)


def test_a_report_sums_the_nodes_that_have_answered_and_names_the_others() -> None:
    report = DeliveryReport(
        {"i1": SocketOutcome(3, 2, 1, ("s1",)), "i2": SocketOutcome(10, 0, 1, ("s2",))}, ("n9", "n3")
    )
    assert report.as_fields() == {
        "nodes": 2,
        "written": 13,
        "slow": 2,
        "closed": ["s1", "s2"],
        "late_nodes": ["n3", "n9"],
    }
    assert report.sessions == 17


def test_a_report_that_does_not_name_all_closed_sessions_says_so() -> None:
    assert DeliveryReport({"i1": SocketOutcome(0, 0, 2, ("s1",))}).as_fields()["more"] is True
