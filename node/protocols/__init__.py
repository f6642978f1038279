"""What a session may do, and how its frames become bytes; without I/O."""
