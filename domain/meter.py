"""What answers take of the tokens that a user may have in a day."""

from dataclasses import dataclass

from domain.attachment import CountTokens
from domain.message import Usage
from domain.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of a user's answers today, which is a day of UTC, and how long that goes on."""

    tokens: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Meter:
    """`count` is for answers of which the model does not say what they took, such as those that
    were stopped: roughly, then. None: nothing is counted at all."""

    count: CountTokens | None = None

    def read(self, prompt: Prompt, said: str, usage: Usage | None) -> int:
        if self.count is None:
            return 0
        if usage is not None:
            return usage.total_tokens
        return sum(self.count(each.content) for each in prompt.messages) + self.count(said)
