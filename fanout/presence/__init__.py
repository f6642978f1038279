"""Who is in a room, across the cluster."""
