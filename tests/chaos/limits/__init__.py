"""Limits and presence under faults, checked from the wire alone: is a limit exceeded, is a session forgotten?

`python -m tests.chaos limits --seed 7` runs it. `verify.py` says what is checked, and why that is fair.
"""
