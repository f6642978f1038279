"""The attacks, a file for each kind. CASES lists all of them, by their faults."""

from tests.attack.case import Case
from tests.attack.cases import authors, bodies, frames, heads, reads

CASES: tuple[Case, ...] = (*reads.CASES, *heads.CASES, *frames.CASES, *bodies.CASES, *authors.CASES)
