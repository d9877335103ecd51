from dataclasses import dataclass

from domain.identifiers import SessionId


@dataclass(frozen=True, slots=True)
class Keys:
    """What things are called in Redis. All of a session is at one place of a cluster: its id is
    their hash tag."""

    prefix: str = "llmchat"

    def events(self, session_id: SessionId) -> str:
        return f"{self.prefix}:{{{session_id}}}:events"

    def marks(self, session_id: SessionId) -> str:
        return f"{self.prefix}:{{{session_id}}}:marks"

    def channel(self, session_id: SessionId) -> bytes:
        return f"{self.prefix}:{{{session_id}}}".encode()

    @property
    def wake_ups(self) -> bytes:
        return f"{self.prefix}:wake-ups".encode()
