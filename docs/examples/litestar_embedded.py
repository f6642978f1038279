"""A Litestar application with a node inside: `uvicorn litestar_embedded:app`."""

from litestar import Litestar, asgi, post
from litestar.types import Receive, Scope, Send
from tannoy import Tannoy

rt = Tannoy()


@asgi("/rt", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    await rt(scope, receive, send)  # type: ignore[arg-type]  # Litestar has types of its own for the same things


@post("/orders/{order:int}/paid")
async def paid(order: int) -> None:
    await rt.publish.to_room("orders", {"order": order, "state": "paid"}, key=f"order-{order}-paid")


app = Litestar([mounted, paid], lifespan=[rt.lifespan])
