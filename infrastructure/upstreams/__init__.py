"""The way to models' servers: connections, limits, and when to leave a server alone."""
