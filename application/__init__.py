"""What people and workers do with a chat: use cases, and the ports they need."""
