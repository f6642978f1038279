"""Answers the surveys of all nodes (`fanout/control/surveys.py`) with the sessions of this node."""

from collections.abc import Callable, Iterable

from ...fanout.control.requests import DeliverReported, Drain, Draining, ListOnline, ReportDelivery, Survey, SurveyBody
from ...shared.clock import rfc3339
from ...shared.online import OnlineUser, OnlineUsers
from ...shared.reports import SocketOutcome
from ..delivery.hub import Hub
from ..delivery.reports import OutcomeCount, SocketReports, write_and_judge
from ..delivery.roster import Member
from .control_handler import ControlHandler, Delivery

ONLINE_MAX = 1000
"""Users that a node lists for one page of `GET /users`."""


class SurveyAnswers:
    """The SurveyHandler of a node. `drain` begins to end it, as SIGTERM does."""

    def __init__(
        self, hub: Hub, control_handler: ControlHandler, reports: SocketReports, drain: Callable[[], None]
    ) -> None:
        self._drain = drain
        self._hub = hub
        self._control_handler = control_handler
        self._reports = reports

    def answer_survey(self, survey: Survey, respond: Callable[[SurveyBody], None]) -> None:
        match survey:
            case ReportDelivery(_, _, address, token):
                self._reports.ask(token, address, respond)
            case DeliverReported(_, _, delivery):
                respond(self._deliver(delivery))
            case ListOnline(_, _, after, limit):
                respond(self._list_online(after, min(limit, ONLINE_MAX)))
            case Drain():
                respond(Draining())
                self._drain()

    def _deliver(self, delivery: Delivery) -> SocketOutcome:
        count = OutcomeCount()
        for encoding, outbox in self._control_handler.find_receivers(delivery):
            verdict = write_and_judge(outbox, outbox.write_direct, encoding.encoded(delivery.encoded))
            count.add(outbox.session_id, verdict)
        return count.outcome()

    def _list_online(self, after: str, limit: int) -> OnlineUsers:
        """The first users behind `after` who have an open session here."""
        users: list[OnlineUser] = []
        while candidates := self._hub.users_after(after, limit + 1):
            for user_id in candidates:
                if user := _describe_user(self._hub.sessions_of(user_id)):
                    if len(users) == limit:
                        return OnlineUsers(tuple(users), more=True)
                    users.append(user)
            after = candidates[-1]
        return OnlineUsers(tuple(users), more=False)


def _describe_user(sessions: Iterable[Member]) -> OnlineUser | None:
    """None: the user has no open session."""
    opened = [session for session in sessions if session.is_open]
    if not opened:
        return None
    first = min(opened, key=lambda session: session.connected_at)
    username = first.session.username
    return OnlineUser(first.user_id, username, rfc3339(first.connected_at), len(opened))
