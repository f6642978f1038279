"""What a process of ours depends on outside of it: Redis, the database, the targets of hooks; each under one roof."""
