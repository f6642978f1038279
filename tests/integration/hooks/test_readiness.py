"""When an application with a node inside says that it is not ready, beside what makes a node so."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from tannoy.sdk.node_requests import NodeRequests

from tests.support.hosted import PatientTannoy, served, settings_for
from tests.support.valkey import Valkey
from tests.support.waiting import eventually


async def test_a_publisher_of_which_a_part_has_failed_ends_the_readiness_and_not_the_sessions(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(requests: NodeRequests) -> None:
        raise RuntimeError("a fault of ours")

    async def is_not_ready() -> bool:
        return rt.not_ready_reason == "the publisher of the application has failed"

    monkeypatch.setattr(NodeRequests, "run", fail)
    rt = PatientTannoy(settings_for(valkey.url))
    app = Starlette(routes=[Mount("/rt", rt)], lifespan=rt.lifespan)
    async with served(app, mount="/rt", is_fast=True) as server:
        client = await server.connect("/ws/chat/lobby")
        assert rt.not_ready_reason is None
        sending = asyncio.create_task(rt.publish.to_user("ada", 1))
        await eventually(is_not_ready, what="the application is not ready")
        sending.cancel()

        assert (await server.http.get("/health/ready")).status_code == 503
        await client.ok("message", content="still here")
