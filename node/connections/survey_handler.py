"""Answers the surveys of all nodes (`fanout/control/surveys.py`) with the sessions of this node."""

from collections.abc import Callable

from ...fanout.control.requests import DeliverReported, ReportDelivery, Survey
from ...shared.reports import SocketOutcome
from ..delivery.reports import OutcomeCount, SocketReports, write_and_judge
from .control_handler import ControlHandler, Delivery


class SurveyAnswers:
    """The SurveyHandler of a node."""

    def __init__(self, control_handler: ControlHandler, reports: SocketReports) -> None:
        self._control_handler = control_handler
        self._reports = reports

    def answer_survey(self, survey: Survey, respond: Callable[[SocketOutcome], None]) -> None:
        match survey:
            case ReportDelivery(_, _, address, token):
                self._reports.ask(token, address, respond)
            case DeliverReported(_, _, delivery):
                respond(self._deliver(delivery))

    def _deliver(self, delivery: Delivery) -> SocketOutcome:
        count = OutcomeCount()
        for encoding, outbox in self._control_handler.find_receivers(delivery):
            verdict = write_and_judge(outbox, outbox.write_direct, encoding.encoded(delivery.encoded))
            count.add(outbox.session_id, verdict)
        return count.outcome()
