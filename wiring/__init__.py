"""Which use case stands behind which door, whatever the technology."""
