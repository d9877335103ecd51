"""The one stream of events, told in other words."""
