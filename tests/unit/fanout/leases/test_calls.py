"""The replies of the lease scripts, parsed as values; a reply of unknown form is an error."""

import pytest
from tannoy.fanout.leases.calls import (
    Acquired,
    Displaced,
    Fenced,
    Full,
    Held,
    Recovering,
    Wait,
    parse_acquired,
    parse_granted,
)
from tannoy.shared.errors import MalformedBytes


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ([b"held", b"17"], Held("17")),
        ([b"full", 4, 3], Full(count=4, max_sessions=3)),
        ([b"wait", b"a|1|s1", b"", 4, 4], Wait("a|1|s1", None, count=4)),
        ([b"wait", b"a|1|s1", b"b|2|s2", 4, 4], Wait("a|1|s1", "b|2|s2", count=4)),
        ([b"recovering", 3000], Recovering(3000)),
        ([b"recovering", -1], Recovering(None)),
        ([b"displaced", b""], Displaced(by_same_session=False)),
        ([b"displaced", b"a|1|s1"], Displaced(by_same_session=True)),
        ([b"fenced"], Fenced()),
    ],
)
def test_each_reply_of_acquire_is_parsed_as_a_value(reply: object, value: Acquired) -> None:
    assert parse_acquired(reply) == value


@pytest.mark.parametrize("reply", [None, b"held", [], [b"held"], [b"granted", b"17"]])
def test_a_reply_of_acquire_of_unknown_form_is_malformed(reply: object) -> None:
    with pytest.raises(MalformedBytes, match="of unknown form"):
        parse_acquired(reply)


def test_a_reply_of_release_names_the_granted_lease_or_none() -> None:
    assert (parse_granted(b"a|1|s1"), parse_granted(b"")) == ("a|1|s1", None)
