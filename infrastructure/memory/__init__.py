"""Queue and event stream within one process."""
