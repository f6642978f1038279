"""Real nodes under random faults, watched from the wire alone: is a limit ever exceeded, is anybody forgotten?

`python -m tests.chaos --seed 7 --connects 20000` runs it. `verify.py` says what is checked, and why that is fair.
"""
