"""The HTTP API, and health."""
