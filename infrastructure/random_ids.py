from secrets import token_hex, token_urlsafe

from domain.api_token import API_TOKEN_PREFIX
from domain.identifiers import FileKey, GenerationId, SessionId, SignInId
from domain.secret import Secret


class RandomIds:
    """Unguessable: at least 128 random bits each."""

    def session(self) -> SessionId:
        return SessionId(f"session_{token_hex(16)}")

    def generation(self) -> GenerationId:
        return GenerationId(f"gen_{token_hex(16)}")

    def sign_in(self) -> SignInId:
        return SignInId(f"signin_{token_hex(16)}")

    def file(self) -> FileKey:
        return FileKey(f"file_{token_hex(16)}")

    def api_token(self) -> Secret:
        return Secret(f"{API_TOKEN_PREFIX}{token_urlsafe(32)}")

    def ticket(self) -> Secret:
        return Secret(token_urlsafe(32))
