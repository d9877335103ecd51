"""The models that can answer. A new provider is one file here and one line in `registry.py`."""
