"""One Redis server: its address, connections to it, pipelines, Sentinel."""
