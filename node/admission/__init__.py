"""Whether an opening handshake is admitted as a session."""
