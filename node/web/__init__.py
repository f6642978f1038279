"""The HTTP API, health checks and the chat page."""
