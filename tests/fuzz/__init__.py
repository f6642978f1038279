"""A fuzzer of everything that parses what strangers send. `python -m tests.fuzz --help`."""
