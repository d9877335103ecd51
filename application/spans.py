"""What traces are told, and the tracer that tells nobody."""

from dataclasses import dataclass
from types import TracebackType
from typing import Final

from application.ports import Span, Spans
from domain.identifiers import GenerationId, SessionId

ACCEPT: Final = "accept"
"""From the look at the database to the hint in the queue."""
ANSWER: Final = "answer"
"""From the claim to the stored end, or until it is given back."""
CHAT: Final = "chat"
"""The call of the model, with its retries."""

ATTEMPT: Final = "llm_chat.attempt"
OUTCOME: Final = "llm_chat.outcome"

# Names that others know: https://opentelemetry.io/docs/specs/semconv/gen-ai/
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"


def tell_which(span: Span, session_id: SessionId, generation_id: GenerationId) -> None:
    span.tell("llm_chat.session_id", session_id)
    span.tell("llm_chat.generation_id", generation_id)


@dataclass(frozen=True, slots=True)
class Untraced:
    """Each span of it is itself, so nothing is made."""

    def span(self, name: str, parent: str | None = None) -> "Untraced":  # noqa: ARG002
        return self

    def within(self, parent: str) -> "Untraced":  # noqa: ARG002
        return self

    def traceparent(self) -> str | None:
        return None

    def tell(self, name: str, value: str | int) -> None: ...

    def fail(self, code: str) -> None: ...

    def __enter__(self) -> "Untraced":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


UNTRACED: Final[Spans] = Untraced()
