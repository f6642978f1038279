"""How long a node waits for Redis and for other nodes before it answers `unavailable`."""

from dataclasses import dataclass

from .control.control import RESPONSE_SECONDS
from .control.surveys import REPORT_SECONDS
from .pubsub.subscriptions import ACKNOWLEDGE_TIMEOUT
from .redis.in_flight import COMMAND_TIMEOUT


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. docs/protocol.md promises clients an answer within 0.5 s while Redis is away."""

    command: float = COMMAND_TIMEOUT
    """For the answer of Redis to one command."""
    response: float = RESPONSE_SECONDS
    """For the responses of all nodes to a request of this one."""
    report: float = REPORT_SECONDS
    """For all nodes to say what became of a message."""
    subscribe: float = ACKNOWLEDGE_TIMEOUT
    """For the acknowledgement of a subscription."""
    start: float = 5.0
    """For each step of a node's start."""


DEFAULT_TIMEOUTS = Timeouts()
"""What every node uses outside of tests."""
