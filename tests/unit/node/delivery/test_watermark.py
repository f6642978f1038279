"""Which publications of a channel a watermark includes, and what is left of a list of them."""

import pytest
from tannoy.node.delivery.watermark import NOTHING_SEEN, Watermark
from tannoy.shared.publication import EncodedMessage, Publication

ENCODED = EncodedMessage(b"{}", b"\x80")
OLD, NEW = "life-1", "life-2"


def message(offset: int, epoch: str = OLD) -> Publication:
    return Publication(ENCODED, epoch=epoch, offset=offset)


def event(version: int) -> Publication:
    return Publication(ENCODED, version=version)


def resync(offset: int, epoch: str) -> Publication:
    return Publication(ENCODED, epoch=epoch, offset=offset, resets=True)


TYPING = Publication(ENCODED)
SEEN = Watermark(7, OLD, 3)

INCLUDED = [event(6), event(7), message(2), message(3), message(9, NEW), resync(3, OLD)]
NOT_INCLUDED = [event(8), message(4), resync(4, OLD), resync(0, NEW), TYPING]


@pytest.mark.parametrize("publication", INCLUDED)
def test_publication_up_to_the_watermark_is_included(publication: Publication) -> None:
    assert SEEN.includes(publication)


@pytest.mark.parametrize("publication", NOT_INCLUDED)
def test_publication_behind_the_watermark_is_not_included(publication: Publication) -> None:
    assert not SEEN.includes(publication)


@pytest.mark.parametrize("publication", [*INCLUDED, *NOT_INCLUDED])
def test_nothing_is_included_in_the_empty_watermark(publication: Publication) -> None:
    assert not NOTHING_SEEN.includes(publication)


def test_publications_not_seen_keep_their_order() -> None:
    publications = [message(3), message(4), event(7), TYPING, event(8), message(5)]
    assert SEEN.not_seen_of(publications) == [message(4), TYPING, event(8), message(5)]


def test_messages_behind_a_resync_into_another_epoch_are_not_seen_and_known_versions_stay_known() -> None:
    publications = [message(3), resync(0, NEW), message(1, NEW), event(7)]
    assert SEEN.not_seen_of(publications) == [resync(0, NEW), message(1, NEW)]


def test_watermark_after_publications_is_that_of_the_last_of_each_kind() -> None:
    assert Watermark.after([event(1), message(4), event(2), message(5), TYPING]) == Watermark(2, OLD, 5)
    assert Watermark.after([message(4), resync(0, NEW)]) == Watermark(0, NEW, 0)
    assert Watermark.after([]) == NOTHING_SEEN


@pytest.mark.parametrize(
    ("one", "other", "merged"),
    [
        (SEEN, Watermark(9, OLD, 1), Watermark(9, OLD, 3)),
        (SEEN, Watermark(1, OLD, 8), Watermark(7, OLD, 8)),
        (SEEN, Watermark(9, NEW, 8), Watermark(9, OLD, 3)),
        (SEEN, NOTHING_SEEN, SEEN),
    ],
)
def test_merged_watermark_includes_what_either_includes(one: Watermark, other: Watermark, merged: Watermark) -> None:
    assert one.merged_with(other) == merged


@pytest.mark.parametrize(
    ("other", "is_ahead"),
    [
        (SEEN, False),
        (NOTHING_SEEN, True),
        (Watermark(6, OLD, 3), True),
        (Watermark(7, OLD, 2), True),
        (Watermark(8, OLD, 4), False),
        (Watermark(7, NEW, 9), True),
    ],
)
def test_watermark_is_ahead_of_one_that_does_not_include_all_of_it(other: Watermark, is_ahead: bool) -> None:
    assert SEEN.is_ahead_of(other) is is_ahead


def test_empty_watermark_is_ahead_of_none() -> None:
    assert not NOTHING_SEEN.is_ahead_of(NOTHING_SEEN)
    assert not NOTHING_SEEN.is_ahead_of(SEEN)
