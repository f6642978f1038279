"""Benchmarks of Tannoy and its rivals: each answers one question, `README.md` has the figures."""
