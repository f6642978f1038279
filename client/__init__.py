"""A client of a running cluster. It uses the public protocols only and imports no code of the server."""
