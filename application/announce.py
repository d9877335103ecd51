import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.events import DomainEvent

log = logging.getLogger(__name__)

Listener = Callable[[DomainEvent], None]
"""Told of every event, in the loop: it must not block. What takes time, it puts aside."""


@dataclass(frozen=True, slots=True)
class AnnounceTo:
    """Tell all listeners. What goes wrong with one troubles neither the teller nor the others."""

    listeners: Sequence[Listener] = ()

    def __call__(self, event: DomainEvent) -> None:
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at %s", type(event).__name__)
