"""What is refused because too much is asked. Later it may not be: each says when to come again."""

from dataclasses import dataclass, replace
from typing import Final

from domain.errors import ChatError
from domain.meter import Spent

_SOON_SECONDS: Final = 5.0
"""An answer takes about so long: then one less may wait."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many within so many seconds, of what is called by this name."""

    name: str
    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands: how many more there may be now, and after how many seconds there may be
    one more than that."""

    allowed: bool
    remaining: int
    reset_seconds: float

    def behind(self, others: int) -> "Standing":
        """If so many others are counted before."""
        remaining = max(0, self.remaining - others)
        return replace(self, allowed=self.allowed and remaining > 0, remaining=remaining)


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


@dataclass(frozen=True, slots=True)
class Unanswered:
    """How many generations wait or are being answered: of one user, and how many wait in all."""

    of_user: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Room:
    """For how much there is room; 0 is no limit. Those that are accepted in the same moment do not
    see each other, so it may be passed by as many as are accepted at once."""

    answers_per_user: int = 0
    waiting: int = 0
    tokens_per_day: int = 0
    """Of the server's own models, which it pays for."""

    @property
    def is_endless(self) -> bool:
        """For answers; it may be that tokens are counted all the same."""
        return not (self.answers_per_user or self.waiting)

    def refuse_beyond(self, found: Unanswered) -> None:
        """Raises TooManyAnswers, QueueFull."""
        if self.answers_per_user and found.of_user >= self.answers_per_user:
            raise TooManyAnswers(
                f"{self.answers_per_user} of your answers are being written or waited for;"
                " wait for one, or stop it.",
                _SOON_SECONDS,
            )
        if self.waiting and found.waiting >= self.waiting:
            raise QueueFull("Too many messages wait to be answered; try again.", _SOON_SECONDS)

    def refuse_spent(self, spent: Spent) -> None:
        """Raises TokenBudgetSpent."""
        if self.tokens_per_day and spent.tokens >= self.tokens_per_day:
            raise TokenBudgetSpent(
                f"Your answers took {self.tokens_per_day} tokens today, which is all one may have;"
                " the next day begins at midnight UTC. Models of your own still answer.",
                spent.seconds_left,
            )


NO_LIMIT: Final = Room()
