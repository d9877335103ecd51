from secrets import token_hex

from domain.identifiers import GenerationId, SessionId


class RandomIds:
    """Unguessable: 128 random bits each."""

    def session(self) -> SessionId:
        return SessionId(f"session_{token_hex(16)}")

    def generation(self) -> GenerationId:
        return GenerationId(f"gen_{token_hex(16)}")
