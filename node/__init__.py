"""All that holds a socket: carriers, connections, sessions, the hub, the HTTP API, the command line."""
