"""The connection that a client gets: decided again where something may have changed since the handshake."""

from tannoy.node.admission.handshake import Admission, Admitted, Handshake
from tannoy.node.connections.clients import Clients
from tannoy.node.connections.connection import Connection
from tannoy.node.connections.rejected import RejectedConnection
from tannoy.shared.codes import CloseCode
from tannoy.shared.settings import load_settings

from tests.support.clock import on_manual_time
from tests.support.handshakes import HOST, KEYSPACE
from tests.support.recording_transport import RecordingTransport
from tests.support.unit_node import UnitNode


@on_manual_time
async def test_a_client_that_was_revoked_after_its_handshake_gets_no_session() -> None:
    node, revoked = UnitNode(), set[str]()
    admission = Admission(KEYSPACE, (), is_revoked=lambda session: session.user_id in revoked)
    clients = Clients(load_settings(), admission, node.context, node.clock, lambda: False)
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
