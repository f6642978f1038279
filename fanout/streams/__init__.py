"""Streams: texts that grow in a channel. What producers write, what nodes read, and who listens."""
