"""What clients of the product have read, and the rules for it. Pure functions, no I/O.

The client reconnects, recovers and drops what it has read before by itself, so its reads are judged over all its
connections: from the position at which it joined, each message has to have the next offset, unless a gap is told; a gap
begins where was read last, and the next message follows its end. No message comes twice; but behind a gap that tells of
a new epoch those may that were read more than a page before: Redis came back with old data, and the client remembers a
page. What an author repeats after Redis has lost it with its key is another message: it has another timestamp. None has
another content than was acknowledged for its position. After the faults it has read up to the head.
"""

from collections.abc import Iterator

from tannoy.shared.protocol.commands import PAGE_MAX

from tests.chaos.harness.violation import Kind, Violation
from tests.chaos.messages.record import Acknowledged, Head, Position, ReadGap, Reads


def verify_reads(all_reads: list[Reads], acknowledged: list[Acknowledged], heads: list[Head]) -> Iterator[Violation]:
    numbers = {(each.post.channel, each.position): each.post.number for each in acknowledged}
    last = {head.channel: head for head in heads}
    for reads in all_reads:
        yield from _sequence(reads)
        yield from _contents(reads, numbers)
        head = last.get(reads.channel)
        if head is not None and reads.position != head.position:
            yield Violation(
                Kind.BEHIND, head.at, reads.channel, f"{reads.client} has read to {reads.position}, not {head.position}"
            )


def _sequence(reads: Reads) -> Iterator[Violation]:
    position = reads.start
    for item in reads.items:
        about = f"{reads.client} at {position}"
        if isinstance(item, ReadGap):
            if item.after != position:
                yield Violation(Kind.HOLE, item.at, reads.channel, f"{about}: a gap that begins at {item.after}")
            position = item.until
            continue
        if position is None or item.position is None or item.offset is None:
            yield Violation(Kind.NO_POSITION, item.at, reads.channel, f"{about}: a message without a position")
        elif item.position.epoch != position.epoch:
            yield Violation(Kind.HOLE, item.at, reads.channel, f"{about}: {item.position} follows, without a gap")
        elif item.offset != position.offset + 1:
            kind = Kind.HOLE if item.offset > position.offset else Kind.DUPLICATE
            yield Violation(kind, item.at, reads.channel, f"{about}: {item.offset} follows")
        position = item.position


def _contents(reads: Reads, numbers: dict[tuple[str, Position], int]) -> Iterator[Violation]:
    seen: dict[tuple[int, int | None, str], int] = {}
    may_repeat = False
    for index, item in enumerate(reads.items):
        if isinstance(item, ReadGap):
            may_repeat |= item.after is None or item.until is None or item.after.epoch != item.until.epoch
            continue
        identity = item.number, item.offset, item.timestamp
        before = seen.get(identity)
        if before is None:
            may_repeat = False
        elif not may_repeat or index - before <= PAGE_MAX:
            evidence = f"{reads.client} reads message {item.number} at offset {item.offset} again"
            yield Violation(Kind.DUPLICATE, item.at, reads.channel, evidence)
        seen[identity] = index
        if item.position is not None:
            wanted = numbers.get((reads.channel, item.position), item.number)
            if wanted != item.number:
                evidence = f"{reads.client} reads message {item.number} at {item.position}, which is {wanted}"
                yield Violation(Kind.CONFLICTING, item.at, reads.channel, evidence)


def count_told_missing(reads: Reads) -> int:
    """Offsets within one epoch that a gap has skipped."""
    gaps = [item for item in reads.items if isinstance(item, ReadGap)]
    return sum(
        gap.until.offset - gap.after.offset
        for gap in gaps
        if gap.after is not None and gap.until is not None and gap.after.epoch == gap.until.epoch
    )
