"""Attacks on real nodes, and what a bystander notices of them. README.md describes it."""
