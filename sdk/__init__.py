"""The SDK for back ends: publishing to a cluster, through Redis or over its HTTP API."""
