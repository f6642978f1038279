"""Requests and notices between nodes."""
