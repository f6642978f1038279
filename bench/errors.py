"""The one exception of the benchmarks."""


class BenchError(Exception):
    """A run gave no figure. The message is the reason."""


class NotInstalled(BenchError):
    """A server to compare with is not on this machine. The message says how it gets there."""
