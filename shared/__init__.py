"""Names, channels, frames, settings and errors that all layers use: no Redis, no Starlette, no tasks."""
