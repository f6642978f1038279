"""Pure vocabulary: no Redis, no Starlette, no tasks."""
