"""The connection that a client gets: decided again where something may have changed since the handshake."""

from tannoy.node.admission.handshake import Admission, Admitted, AwaitsToken, Handshake
from tannoy.node.admission.resources import Resources
from tannoy.node.auth.claims import ExpectedClaims
from tannoy.node.auth.keys import from_secret
from tannoy.node.auth.verifier import SingleKey, TokenVerifier
from tannoy.node.composition import create_connect_rates
from tannoy.node.connections.clients import Clients
from tannoy.node.connections.connection import Connection
from tannoy.node.connections.rejected import RejectedConnection
from tannoy.node.lifecycle.sampler import ResourceSample
from tannoy.shared.codes import CLOSE_RULES, CloseCode
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time
from tests.support.forged_tokens import SECRET
from tests.support.handshakes import HOST, KEYSPACE
from tests.support.recording_transport import RecordingTransport
from tests.support.unit_node import UnitNode


def clients_of(node: UnitNode, admission: Admission, resources: Resources) -> Clients:
    settings = load_settings()
    rates = create_connect_rates(settings, node.clock)
    return Clients(settings, admission, node.context, node.clock, lambda: False, resources, rates)


@on_manual_time
async def test_a_client_that_was_revoked_after_its_handshake_gets_no_session() -> None:
    node, revoked = UnitNode(), set[str]()
    admission = Admission(KEYSPACE, (), is_revoked=lambda session: session.user_id in revoked)
    clients = clients_of(node, admission, Resources())
    decision = clients.admit(Handshake("/ws", "user_id=ada", {"host": HOST}))
    assert isinstance(decision, Admitted)
    assert isinstance(clients.connect(RecordingTransport(), decision), Connection)
    revoked.add("ada")
    transport = RecordingTransport()
    connection = clients.connect(transport, decision)
    connection.on_opened()
    assert isinstance(connection, RejectedConnection)
    assert transport.closed_with == (CloseCode.BAD_TOKEN, "bad token")
    assert b'"code":"bad_token"' in b"".join(transport.writes)
    assert node.hub.statistics().sessions == 0


@on_manual_time
async def test_a_client_whose_token_comes_when_the_node_is_overloaded_is_told_to_come_back() -> None:
    node, resources, transport = UnitNode(), Resources(memory_max_mb=500), RecordingTransport()
    verifier = TokenVerifier(SingleKey(from_secret(SECRET)), ExpectedClaims(), node.clock, lambda claims: False)
    admission = Admission(KEYSPACE, (), verifier=verifier)
    clients = clients_of(node, admission, resources)
    decision = clients.admit(Handshake("/ws", "", {"host": HOST}))
    assert isinstance(decision, AwaitsToken)
    connection = clients.connect(transport, decision)
    connection.on_opened()
    resources.observe(ResourceSample(memory_mb=501, cpu_percent=0, loop_lag_ms=0, files_percent=0))

    connection.on_message(b'{"type":"auth","token":"of.no.matter"}', False)

    assert transport.closed_with == (CloseCode.TRY_AGAIN_LATER, CLOSE_RULES[CloseCode.TRY_AGAIN_LATER].reason)
    assert b'"retry_after":5' in b"".join(transport.writes)
    assert (clients.refusals.statistics()["memory"], clients.refusals.statistics()["sessions"]) == (1, 0)
