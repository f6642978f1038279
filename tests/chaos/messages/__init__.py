"""Messages under faults, checked from the wire alone: is one missing without a `resync`, repeated, or out of order?

`python -m tests.chaos messages --seed 7` runs it. `verify.py` says what is checked, and why that is fair.
"""
