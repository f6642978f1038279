"""Whether a handshake becomes a session."""
