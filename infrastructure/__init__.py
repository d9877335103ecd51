"""Adapters: each keeps a promise of `application/ports.py` with one technology."""
