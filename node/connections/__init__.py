"""One client's connection: its commands, its joins, its leases, its end."""
