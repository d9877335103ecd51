"""JSON as clients see it: the only place of field names."""
