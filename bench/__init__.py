"""Measurements, each a ratio within one run: `make bench`."""
