"""A listener: a line in the log `llm_chat.audit` for whatever happens, with ids, not content."""

import logging
from dataclasses import fields

from domain.events import AnswerBegan, DomainEvent
from domain.generation import Failure
from domain.message import Usage

log = logging.getLogger("llm_chat.audit")


def write_audit_line(event: DomainEvent) -> None:
    if isinstance(event, AnswerBegan):  # a measurement; that it began is said by what came before
        return
    told = ((field.name, getattr(event, field.name)) for field in fields(event))
    values = " ".join(f"{name}={_plain(value)}" for name, value in told)
    log.info("%s %s", type(event).__name__, values)


def _plain(value: object) -> str:
    """Nothing that ends the line, or looks like another value in it."""
    text = str(value)
    if isinstance(value, Failure):
        text = value.code
    elif isinstance(value, Usage):
        text = f"{value.prompt_tokens}+{value.completion_tokens}"
    return "".join(c if "!" <= c <= "~" and c != "=" else "?" for c in text)
