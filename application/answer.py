from dataclasses import dataclass, field

from application.events import Chunk, Reasoning, Snapshot
from application.ports import EventWriter, Finish, Piece, ReasoningPiece, TextPiece
from domain.generation import Generation
from domain.message import storable


@dataclass(slots=True)
class Answer:
    """What the model has given so far."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish: Finish | None = None

    def add(self, piece: Piece, generation: Generation, writer: EventWriter) -> None:
        """Keep a piece and show it."""
        match piece:
            case TextPiece(text):
                text = storable(text)
                self.text.append(text)
                writer.write(Chunk(generation.id, text))
            case ReasoningPiece(text):
                text = storable(text)
                self.reasoning.append(text)
                writer.write(Reasoning(generation.id, text))
            case Finish():
                self.finish = piece

    def so_far(self, generation: Generation, *, recovered: bool) -> Snapshot:
        text, reasoning = "".join(self.text), "".join(self.reasoning)
        return Snapshot(generation.id, generation.attempt, text, reasoning, recovered)
