"""Queue and event stream of several processes, over Redis."""
