"""A node in an application that is tested with Starlette's TestClient, as its users do."""

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from tannoy import Identity

from tests.support.hosted import PatientTannoy, settings_for
from tests.support.valkey import Valkey


@pytest.mark.filterwarnings("ignore::starlette.exceptions.StarletteDeprecationWarning")
def test_a_test_client_talks_to_the_node_and_leaves_no_session_behind(valkey: Valkey) -> None:
    from starlette.testclient import TestClient  # which warns

    async def authenticate(request: HTTPConnection) -> Identity:
        return Identity("ada")

    rt = PatientTannoy(settings_for(valkey.url), authenticate=authenticate)
    app = Starlette(routes=[Mount("/rt", rt)], lifespan=rt.lifespan)
    with TestClient(app) as client:
        with client.websocket_connect("/rt/ws/chat/tested") as socket:
            assert socket.receive_json()["user_id"] == "ada"
            socket.send_json({"type": "message", "content": "hi"})
            assert socket.receive_json()["content"] == "hi"

        assert rt.node.statistics().hub.sessions == 0
