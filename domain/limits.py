"""What is refused because too much is asked. Later it may not be: each says when to come again."""

from domain.errors import ChatError


class TooMuch(ChatError):
    """Come back after `retry_after` seconds; until then there is no use in it."""

    def __init__(self, sentence: str, retry_after: float) -> None:
        super().__init__(sentence)
        self.retry_after = max(1.0, retry_after)


class RateLimited(TooMuch):
    """Too many requests, or too many wrong guesses, within a time."""

    code = "rate_limited"


class TooManyStreams(TooMuch):
    """The user follows as many streams as one may at a time."""

    code = "too_many_streams"


class TooManyAnswers(TooMuch):
    """As many answers are being written for the user, or wait for it, as one may have."""

    code = "too_many_answers"


class TokenBudgetSpent(TooMuch):
    """The user's answers took as many tokens as one may have in a day."""

    code = "token_budget_spent"


class QueueFull(TooMuch):
    """More waits to be answered than this server takes on, whoever asks."""

    code = "queue_full"
