"""Tokens, users and agents that all nodes refuse: kept in Redis, and known to each node."""
