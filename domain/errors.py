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
    retry_after: float | None = None
    """Seconds after which it is worth asking again, where that is known."""


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


class ApiConfigNotFound(ChatError):
    """No such model configuration, or another user's."""

    code = "api_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such model configuration.")


class NameTaken(ChatError):
    """The user has a model configuration of that name already."""

    code = "name_taken"

    def __init__(self) -> None:
        super().__init__("You have a model configuration of this name already.")


class KeyUnreadable(ChatError):
    """A stored key can't be opened: what sealed it is gone, or the row was tampered with."""

    code = "api_key_unreadable"

    def __init__(self) -> None:
        super().__init__("The stored API key can't be read any more; set it again.")


class PersonaNotFound(ChatError):
    """No persona of that name is known."""

    code = "persona_not_found"


class FileNotFound(ChatError):
    """No such file, or another user's; or none of the session whose message names it."""

    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such file.")


class FileUnreadable(ChatError):
    """A message names a file of which no text could be read."""

    code = "file_unreadable"


class FileTooLarge(ChatError):
    code = "file_too_large"


class UnsupportedFileType(ChatError):
    """The content is nothing that can be read, or the name says something else."""

    code = "unsupported_file_type"


class TooManyFiles(ChatError):
    """The session has as many as it may have."""

    code = "too_many_files"


class StorageQuotaExceeded(ChatError):
    """All files of the user together would be too large."""

    code = "storage_quota_exceeded"


class StorageFull(ChatError):
    """There is no room for what a file holds. Nothing of it is kept."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("There is no room for files at the moment.")


class StorageUnavailable(ChatError):
    """What files hold can't be reached."""

    code = "storage_unavailable"

    def __init__(self) -> None:
        super().__init__("Files can't be reached at the moment.")


class UsernameTaken(ChatError):
    """The name is another user's, or was one's, or nobody may have it."""

    code = "username_taken"

    def __init__(self) -> None:
        super().__init__("This username is taken.")


class UserNotFound(ChatError):
    """A request names a user who is not the one that its credentials are of."""

    code = "user_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such user for you: name yourself, or leave user_id out.")


class InvalidCredentials(ChatError):
    """No such user, another password, or who can't log in: they are not told apart."""

    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("Username or password is wrong.")


class NotSignedIn(ChatError):
    """The request says nothing of who asks."""

    code = "not_signed_in"

    def __init__(self) -> None:
        super().__init__("Sign in, or send an API token.")


class InvalidToken(ChatError):
    """What was to prove who asks does not, or does not any more."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("The token is not valid, or not any more.")


class ApiTokenNotFound(ChatError):
    """No such API token, or another user's."""

    code = "token_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such API token.")


class TooManyApiTokens(ChatError):
    """The user has as many as one may have."""

    code = "too_many_tokens"

    def __init__(self) -> None:
        super().__init__("You have too many API tokens; delete one first.")


class SessionBusy(ChatError):
    """The session cannot take this now; it can once an answer has ended."""

    code = "session_busy"


class SessionClosed(ChatError):
    """The session was made for a call, which is the only thing it takes."""

    code = "session_closed"

    def __init__(self) -> None:
        super().__init__("This session belongs to a single call: it takes no messages.")


class PreviousCallNotFound(ChatError):
    """The call that another is to go on from does not exist, is another user's, was made in
    another dialect, or was not to be stored."""

    code = "previous_call_not_found"

    def __init__(self) -> None:
        super().__init__("There is nothing stored of this id that could be gone on from.")


class PreviousCallUnanswered(ChatError):
    """The call that another is to go on from has no answer: not yet, or it will have none."""

    code = "previous_call_unanswered"


class PromptTooLarge(ChatError):
    """A call, with all that it goes on from, says more than is kept of one."""

    code = "context_length_exceeded"


class NothingToRegenerate(ChatError):
    """The session has no question whose answer could be given again."""

    code = "nothing_to_regenerate"

    def __init__(self) -> None:
        super().__init__("There is no answer in this session that could be written again.")


class NothingToStop(ChatError):
    """Nothing is being answered in the session."""

    code = "nothing_to_stop"

    def __init__(self) -> None:
        super().__init__("No answer is being written in this session.")


class AnswerPending(ChatError):
    """The answer takes longer than its asker waits. It goes on."""

    code = "answer_pending"

    def __init__(self) -> None:
        super().__init__("The answer is not ready yet. It goes on: ask for it, or follow it.")


class IdempotencyConflict(ChatError):
    """The key was used before, for a different request."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("This idempotency key was used with another request.")


class ModelFailed(ChatError):
    """The model gave no whole answer; the text so far is kept. Each kind below says why."""

    code = "upstream_error"


class ModelTruncated(ModelFailed):
    """The answer broke off before the model said that it was whole."""

    code = "upstream_truncated"


class ModelTimedOut(ModelFailed):
    """No connection, no first byte, or no next piece in time; or too long in all."""

    code = "upstream_timeout"


class ModelUnreachable(ModelFailed):
    """No connection could be made."""

    code = "upstream_unreachable"


class ModelAddressRefused(ModelFailed):
    """The model's server is at an address that users' configurations may not reach."""

    code = "upstream_address_refused"


class ModelKeyRefused(ModelFailed):
    """The model's server does not accept the key."""

    code = "upstream_key_refused"


class ModelRateLimited(ModelFailed):
    """The model's server takes no more requests for now; it may have said for how many seconds."""

    code = "upstream_rate_limited"

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ModelRequestRefused(ModelFailed):
    """The model's server does not accept the request: no such model, too long a prompt, …"""

    code = "upstream_request_refused"


class ModelMalformed(ModelFailed):
    """What came is no answer in the provider's dialect."""

    code = "upstream_malformed"


class ModelOverflowed(ModelFailed):
    """The answer is longer than is kept."""

    code = "upstream_overflow"


class ModelSuspended(ModelFailed):
    """The model's server failed so often of late that it is left alone for a while."""

    code = "upstream_suspended"


class Overloaded(ChatError):
    """More is asked at once than can be done; later it can be."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("Too much is asked at the moment; try again.")


class DatabaseUnavailable(ChatError):
    """The database did not answer. Nothing was accepted."""

    code = "database_unavailable"


class QueueUnavailable(ChatError):
    """The hint could not be given. Nothing is lost: the sweeper finds what waits."""

    code = "queue_unavailable"
