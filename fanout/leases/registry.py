"""The leases that this process holds or acquires: by partition and owner, as they are stated to Redis."""

from collections.abc import Callable, Iterator, Mapping

from ...shared.channels import PARTITIONS, Owner
from ...shared.sessions import CloseOrder
from .lease import Lease


class LeaseRegistry:
    """Makes leases, and keeps those that were added."""

    def __init__(self, incarnation: str) -> None:
        self.newest = 0
        """The number of the lease that was made last."""
        self._incarnation = incarnation
        self._parts: list[dict[Owner, dict[str, Lease]]] = [{} for _ in range(PARTITIONS)]

    def new_lease(self, owner: Owner, session: str, info: bytes, on_lost: Callable[[CloseOrder], None]) -> Lease:
        """With a name of its own; it is not added."""
        self.newest += 1
        return Lease(owner, f"{self._incarnation}|{self.newest}|{session}", info, on_lost)

    def add(self, lease: Lease) -> None:
        self._parts[lease.owner.partition].setdefault(lease.owner, {})[lease.name] = lease

    def discard(self, lease: Lease) -> None:
        owners = self._parts[lease.owner.partition]
        if leases := owners.get(lease.owner):
            leases.pop(lease.name, None)
            if not leases:
                del owners[lease.owner]

    def leases_of(self, owner: Owner) -> Mapping[str, Lease]:
        """An owner's leases by name."""
        return self._parts[owner.partition].get(owner, {})

    def owners_in(self, partition: int) -> set[Owner]:
        return set(self._parts[partition])

    def __contains__(self, lease: Lease) -> bool:
        return lease.name in self.leases_of(lease.owner)

    def __iter__(self) -> Iterator[Lease]:
        """Over a copy: a loop may close sessions, which discards their leases."""
        return iter([lease for owners in self._parts for leases in owners.values() for lease in leases.values()])

    def __len__(self) -> int:
        return sum(len(leases) for owners in self._parts for leases in owners.values())
