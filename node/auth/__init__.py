"""The identity of clients, and authorization of the HTTP API."""
