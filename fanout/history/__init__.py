"""History and recovery: publishing, reading, and the cursors that find holes."""
