"""A FastAPI application that publishes: `uvicorn fastapi_publish:app`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from tannoy import AsyncPublisher, PublishUnavailable

publisher = AsyncPublisher()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with publisher:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{order}/shipped")
async def ship(order: str) -> dict[str, int]:
    """Whoever repeats the request, because no answer came, tells the customer once: the key is the order."""
    try:
        position = await publisher.to_room(f"order-{order}", {"status": "shipped"}, key=f"shipped-{order}")
    except PublishUnavailable as error:
        raise HTTPException(503, str(error)) from error
    return {"offset": position.offset if position else 0}
