"""The fault checker: real nodes under faults, judged by what clients see on the wire. README.md describes it."""
