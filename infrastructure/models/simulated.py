"""Models that need no key: for the first minute, for demonstrations and for load."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from math import inf
from typing import Final

from application.ports import Finish, Piece, TextPiece
from domain.message import Usage
from domain.prompt import Prompt

_CHUNKS: Final = 5
_CHARACTERS_PER_TOKEN: Final = 4  # the usual rule of thumb for English

_SECTION: Final = """\
## Part {part}

An answer comes in pieces, and each piece is **shown as it is made**. What was shown is kept: \
whoever was away comes back to the same text, `character for character`.

1. The question is stored before anybody says that it was accepted.
2. A worker takes it, and its fence tells everybody whose answer counts.
3. The pieces go to all who follow the session.

| who | does |
| --- | --- |
| the database | decides |
| the stream | displays |

```python
def part_{part}(question: str) -> str:
    return f"You asked: {{question!r}}"
```

> If a worker is lost on the way, another one begins again, and the reader sees one answer.

"""


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """Five chunks, `chunk 1: <message>` to `chunk 5: <message>`, each after `delay` seconds."""

    delay: float

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        texts = [f"chunk {number}: {prompt.question}" for number in range(1, _CHUNKS + 1)]
        async for piece in _paced(iter(texts), self.delay, prompt):
            yield piece


@dataclass(frozen=True, slots=True)
class SimulatedLongModel:
    """A Markdown answer of `chunks` words, one every `delay` seconds."""

    delay: float
    chunks: int

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        title = f"# {' '.join(prompt.question.split())[:80]}\n\n"
        texts = chain((title,), _words())
        async for piece in _paced(islice(texts, self.chunks), self.delay, prompt):
            yield piece


async def _paced(texts: Iterator[str], delay: float, prompt: Prompt) -> AsyncGenerator[Piece, None]:
    """Of all options these models obey the bound of tokens."""
    length, reason = 0, "stop"
    most = (prompt.options.most_tokens or inf) * _CHARACTERS_PER_TOKEN
    for text in texts:
        await asyncio.sleep(delay)
        if length + len(text) > most:
            text, reason = text[: int(most) - length], "length"
        length += len(text)
        if text:
            yield TextPiece(text)
        if reason == "length":
            break
    asked = sum(len(message.content) for message in prompt.messages)
    yield Finish(reason, Usage(_tokens(asked), _tokens(length)))


def _words() -> Iterator[str]:
    """Words without end, each with the white space behind it."""
    for part in count(1):
        section = _SECTION.format(part=part)
        start = 0
        for place in range(1, len(section)):
            if section[place - 1].isspace() and not section[place].isspace():
                yield section[start:place]
                start = place
        yield section[start:]


def _tokens(characters: int) -> int:
    return -(-characters // _CHARACTERS_PER_TOKEN)
