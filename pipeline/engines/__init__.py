"""Many jobs at once: calls of one command, batches, and negatives read a second time."""
