"""Signals and logs of the process."""
