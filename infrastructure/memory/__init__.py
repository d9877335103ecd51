"""Queue, event stream, wake-ups and cache within one process."""
