"""Signal handlers and logging of the process."""
