"""Messages under faults, watched from the wire alone: is one ever missing without a word, twice, or out of order?

`python -m tests.chaos messages --seed 7` runs it. `verify.py` says what is checked, and why that is fair.
"""
