"""The Control of the node `me`, over a publisher and a link that the test controls."""

from tannoy.fanout.control.codec import pack_message, unpack_message
from tannoy.fanout.control.control import Control
from tannoy.fanout.control.requests import Announcement, ControlMessage, Notice, Request, Response
from tannoy.fanout.control.sealing import ControlSealer
from tannoy.shared.channels import Owner, OwnerKind
from tannoy.shared.keyspace import Keyspace
from tannoy.shared.sessions import SessionInfo

from tests.support.clock import manual_clock
from tests.support.scripted_redis import ScriptedPublisher

KEYSPACE = Keyspace("tannoy")
OWNER = Owner(OwnerKind.AGENT, "42")
SECRET = b"cluster"


class ScriptedControl:
    """Answers requests of other nodes with `sessions` and `listed`.

    Records their `requests` and `notices`, and all that is `announced`.
    """

    def __init__(self, *, sessions: int = 0, listed: tuple[SessionInfo, ...] = ()) -> None:
        self.requests: list[Request] = []
        self.notices: list[Notice] = []
        self.announced: list[Announcement] = []
        self.publisher = ScriptedPublisher(KEYSPACE)
        self.other = ControlSealer(SECRET, manual_clock())
        """Seals as another node does."""
        self._answer = sessions, listed
        self.is_listening = True
        self.control = Control(
            KEYSPACE,
            self.publisher,
            incarnation="me",
            secret=SECRET,
            clock=manual_clock(),
            answer_request=self._answer_request,
            is_listening=lambda: self.is_listening,
        )
        self.control.attach(self)
        self.control.attach_announced(self.announced.append)

    def handle_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def _answer_request(self, request: Request) -> tuple[int, tuple[SessionInfo, ...]]:
        self.requests.append(request)
        return self._answer

    def confirm_received_by(self, nodes: int) -> None:
        """Redis confirms the last publish, which so many nodes have received."""
        self.publisher.confirmations[-1].set_result(nodes)

    def respond(self, request: int, sessions: int, *listed: SessionInfo) -> None:
        """A node responds to a request of this one."""
        self.receive(Response(request, sessions, listed))

    def receive(self, message: ControlMessage, channel: bytes = KEYSPACE.control) -> None:
        """Another node has published this."""
        self.control.handle_message(channel, self.other.seal(channel, pack_message(message)))

    def sent(self) -> list[tuple[bytes, ControlMessage]]:
        """(channel, message) of each publish of this node."""
        opener = ControlSealer(SECRET, manual_clock())
        return [(channel, unpack_message(opener.open(channel, payload))) for channel, payload, _ in self.publisher.sent]
