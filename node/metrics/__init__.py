"""The metrics of a node, in the formats of Prometheus. Read from the node's statistics when they are asked for."""
