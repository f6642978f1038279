"""The attacks, a file for each kind. CASES lists all of them."""

from itertools import chain

from tests.attack.case import Case
from tests.attack.cases import (
    authors,
    bodies,
    forgeries,
    frames,
    heads,
    odd_values,
    orders,
    reads,
    requests,
    rooms,
    silence,
    storms,
)

KINDS = (reads, heads, frames, bodies, forgeries, odd_values, orders, rooms, authors, requests, silence, storms)
CASES: tuple[Case, ...] = tuple(chain.from_iterable(kind.CASES for kind in KINDS))
