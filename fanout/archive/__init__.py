"""The archive: messages of rooms and agents in a database, where they outlive Redis."""
