"""Redis Cluster: its topology, and links and pipelines to all of its masters."""
