"""What every kind of run needs: the cluster, its faults, the connections, the history of events."""
