"""What carries a session: one WebSocket class for uvicorn, one for any ASGI server."""
