"""What the application that a node runs in decides, by functions of its own: who a client is, and what it may do."""
