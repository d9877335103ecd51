"""The ways in: HTTP, SSE, WebSocket, and the worker that takes requests from the queue."""
