"""uvicorn with the fast transport, and the supervisor of several nodes."""
