"""What the lines of the log are about: told with each line, whoever writes it.

It belongs to a task, and to the tasks that this one begins. So what is shared, and outlives the
request in which it happens to begin, is begun apart: its lines are about no request.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar

T = TypeVar("T")

Told = str | int | None

_NOTHING: Final[Mapping[str, Told]] = {}
_about: Final[ContextVar[Mapping[str, Told]]] = ContextVar("about", default=_NOTHING)
"""One variable, and a small dictionary that is never changed: there is one for each idle socket."""


def lines_are_about() -> Mapping[str, Told]:
    return _about.get()


def only_about(**told: Told) -> None:
    """From now on, in this task, about this and nothing else. None is left out."""
    _about.set({key: value for key, value in told.items() if value is not None} or _NOTHING)


def also_about(**told: Told) -> None:
    only_about(**{**_about.get(), **told})


def begin_apart(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A task that is about nothing of what the one is about that begins it, and keeps nothing of it
    in memory."""
    return asyncio.create_task(work, context=Context())
