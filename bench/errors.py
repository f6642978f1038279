"""The one exception of the benchmarks."""


class BenchError(Exception):
    """A run that gave no figure, and why."""
