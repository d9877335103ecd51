from dataclasses import dataclass

from domain.identifiers import ApiId, SessionId, UserId


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

    def conversation(self, session_id: SessionId) -> str:
        return f"{self.prefix}:{{{session_id}}}:conversation"

    def config(self, api_id: ApiId) -> str:
        return f"{self.prefix}:config:{api_id}"

    def seats(self, user: UserId) -> str:
        return f"{self.prefix}:seats:{user}"

    @property
    def rates(self) -> str:
        """Before the keys of counters."""
        return f"{self.prefix}:rates"

    @property
    def wake_ups(self) -> bytes:
        return f"{self.prefix}:wake-ups".encode()
