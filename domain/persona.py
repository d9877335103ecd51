from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Persona:
    """A way of answering: its `content` is the system prompt."""

    name: str
    content: str
