"""What a client or a back end may ask of the cluster."""
