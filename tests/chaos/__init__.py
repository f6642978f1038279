"""Real nodes under random faults, watched from the wire alone.

`python -m tests.chaos limits`: is a limit ever exceeded, is anybody forgotten? `python -m tests.chaos messages`: is one
ever missing without a word? `verify.py` and `messages/verify.py` say what is checked, and why that is fair.
"""
