"""What a node tells the other nodes, and through `GET /nodes` everyone, about itself."""

from dataclasses import asdict, dataclass

from .errors import MalformedBytes


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One entry of `nodes` in `docs/protocol.md §6`. `incarnation` names the process, `node` is for people."""

    node: str
    incarnation: str
    sessions: int
    channels: int
    load: float
    """The share of one core that the process used since it was last described."""
    version: str
    draining: bool
    ready: bool
    started_at: str
    """RFC 3339."""

    def as_object(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def parse(cls, value: object) -> "NodeInfo":
        """Raises MalformedBytes."""
        match value:
            case {
                "node": str(node),
                "incarnation": str(incarnation),
                "sessions": int(sessions),
                "channels": int(channels),
                "load": float() | int() as load,
                "version": str(version),
                "draining": bool(draining),
                "ready": bool(ready),
                "started_at": str(started_at),
            }:
                return cls(node, incarnation, sessions, channels, load, version, draining, ready, started_at)
            case _:
                raise MalformedBytes(f"not the description of a node: {value!r:.80}")
