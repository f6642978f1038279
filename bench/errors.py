"""The one exception of the benchmarks."""


class BenchError(Exception):
    """A run gave no figure. The message is the reason."""
