"""Subscriptions: the link to Redis' pub/sub, and the bytes that travel on its channels."""
