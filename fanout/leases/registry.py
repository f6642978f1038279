"""Which leases this process holds or wants: by partition and owner, as they are stated to Redis."""

from collections.abc import Iterator, Mapping

from ...shared.channels import PARTITIONS, Owner
from .lease import Lease


class LeaseRegistry:
    def __init__(self) -> None:
        self._parts: list[dict[Owner, dict[str, Lease]]] = [{} for _ in range(PARTITIONS)]

    def add(self, lease: Lease) -> None:
        self._parts[lease.owner.partition].setdefault(lease.owner, {})[lease.name] = lease

    def discard(self, lease: Lease) -> None:
        owners = self._parts[lease.owner.partition]
        if leases := owners.get(lease.owner):
            leases.pop(lease.name, None)
            if not leases:
                del owners[lease.owner]

    def of(self, owner: Owner) -> Mapping[str, Lease]:
        """An owner's leases by name."""
        return self._parts[owner.partition].get(owner, {})

    def owners_in(self, partition: int) -> set[Owner]:
        return set(self._parts[partition])

    def __contains__(self, lease: Lease) -> bool:
        return lease.name in self.of(lease.owner)

    def __iter__(self) -> Iterator[Lease]:
        """A copy: whoever walks it may close what it meets."""
        return iter([lease for owners in self._parts for leases in owners.values() for lease in leases.values()])

    def __len__(self) -> int:
        return sum(len(leases) for owners in self._parts for leases in owners.values())
