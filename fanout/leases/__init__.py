"""Limits on sessions, held across the cluster by leases."""
