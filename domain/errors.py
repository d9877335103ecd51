"""What can be wrong, named for it. Each carries a stable `code` that clients may rely on."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with an input: a JSON pointer to the place, and a sentence."""

    pointer: str
    message: str


class ChatError(Exception):
    """A refusal or failure that a client is told about. `str(error)` is a sentence for people."""

    code: ClassVar[str] = "internal_error"
    flaws: tuple[Flaw, ...] = ()


class InvalidInput(ChatError):
    """The request is understood but breaks a rule; `flaws` say where."""

    code = "invalid_request"

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__("; ".join(flaw.message for flaw in flaws))
        self.flaws = flaws


class SessionNotFound(ChatError):
    """No such session, or another user's: the two are not told apart."""

    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such session.")


class GenerationNotFound(ChatError):
    """No such generation, or another user's."""

    code = "generation_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such generation.")


class ModelNotFound(ChatError):
    """No model of that name can be used here."""

    code = "model_not_found"


class PersonaNotFound(ChatError):
    """No persona of that name is known."""

    code = "persona_not_found"


class FileNotFound(ChatError):
    """A message names a file that does not exist."""

    code = "file_not_found"


class SessionBusy(ChatError):
    """The session cannot take this now; it can once an answer has ended."""

    code = "session_busy"


class IdempotencyConflict(ChatError):
    """The key was used before, for a different request."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("This idempotency key was used with another request.")


class ModelFailed(ChatError):
    """The model gave no whole answer. `code` says why; the text so far is kept."""

    code = "upstream_error"


class DatabaseUnavailable(ChatError):
    """The database did not answer. Nothing was accepted."""

    code = "database_unavailable"


class QueueUnavailable(ChatError):
    """The hint could not be given. Nothing is lost: the sweeper finds what waits."""

    code = "queue_unavailable"
