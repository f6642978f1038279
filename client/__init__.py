"""A client of a running cluster. It knows the client protocol, and no code of the server."""
