"""The client protocol, version 1: commands in, frames out, and their wire formats."""
