"""Calls: conversations that are given whole, to be answered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.message import MAX_MESSAGE_CHARACTERS, Role
from domain.prompt import Options, Prompt, PromptMessage


@dataclass(frozen=True, slots=True)
class Call:
    """A prompt that is answered as it is: with no history, persona or window of ours. It has a
    session of its own, which is in no list, takes no other message, and is forgotten after
    `kept_seconds` without anything happening in it.

    `dialect` is that in which it was made, and `notes` are what this wants to know again of it, in
    terms of JSON.
    """

    prompt: Prompt
    dialect: str
    kept_seconds: int
    notes: Mapping[str, Any]


def prompt_of(messages: Sequence[PromptMessage], options: Options) -> Prompt:
    """With what its sender is shown to have asked: the user's last words, of which each subscriber
    gets no more than of any other message."""
    asked = next((each for each in reversed(messages) if each.role is Role.USER), messages[-1])
    return Prompt(tuple(messages), asked.content[:MAX_MESSAGE_CHARACTERS], options)
