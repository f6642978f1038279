"""From the bus to the sockets of this node."""
