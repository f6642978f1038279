"""Streams under faults: every tab's text is byte for byte the producer's, or ends as lost; nothing comes twice."""
