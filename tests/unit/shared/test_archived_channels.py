import pytest
from tannoy.shared.archived_channels import PATTERNS_MAX, ArchivedChannels, parse_patterns
from tannoy.shared.channels import Channel, ChannelKind


def includes(pattern: str, kind: ChannelKind, name: str) -> bool:
    return ArchivedChannels((pattern,)).include(Channel(kind, name, b""))


@pytest.mark.parametrize(
    ("pattern", "kind", "name", "is_included"),
    [
        ("room:lobby", ChannelKind.ROOM, "lobby", True),
        ("room:lobby", ChannelKind.ROOM, "lobby2", False),
        ("room:lobby", ChannelKind.AGENT, "lobby", False),
        ("room:team.*", ChannelKind.ROOM, "team.a", True),
        ("room:team.*", ChannelKind.ROOM, "team.", True),
        ("room:team.*", ChannelKind.ROOM, "team", False),
        ("agent:*", ChannelKind.AGENT, "42", True),
        ("agent:*", ChannelKind.ROOM, "42", False),
    ],
)
def test_a_pattern_includes_a_name_or_all_with_its_beginning(
    pattern: str, kind: ChannelKind, name: str, is_included: bool
) -> None:
    assert includes(pattern, kind, name) is is_included


def test_without_patterns_nothing_is_included() -> None:
    assert not ArchivedChannels().include(Channel(ChannelKind.ROOM, "lobby", b""))


def test_patterns_are_sorted_and_each_stands_once() -> None:
    assert parse_patterns([" room:b ", "agent:*", "room:b", ""]) == ("agent:*", "room:b")


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("lobby", "has to begin with room: or agent:"),
        ("user:ada", "has to begin with room: or agent:"),
        ("*", "has to begin with room: or agent:"),
        ("room:", "room has to have 1 to 128 characters"),
        ("room:a*b", r"must not contain '\*'"),
        ("room:a b", "must not contain ' '"),
    ],
)
def test_a_bad_pattern_is_refused_with_what_is_allowed(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_patterns([pattern])


def test_too_many_patterns_are_refused() -> None:
    assert len(parse_patterns(f"room:{number}" for number in range(PATTERNS_MAX))) == PATTERNS_MAX
    with pytest.raises(ValueError, match="has 101 patterns: 100 are allowed"):
        parse_patterns(f"room:{number}" for number in range(PATTERNS_MAX + 1))
