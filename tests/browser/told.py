"""Answers of a model whose words are the test's."""

import asyncio

from tests.upstream import Call


class Told:
    """An answer that grows while the test looks on. Who asks again hears it from its beginning."""

    def __init__(self, *chunks: str) -> None:
        self.chunks = list(chunks)
        self.calls: list[Call] = []
        self._ended = False
        self._news = asyncio.Event()

    @property
    def text(self) -> str:
        """So far."""
        return "".join(self.chunks)

    def say(self, chunk: str) -> None:
        self.chunks.append(chunk)
        self._tell()

    def end(self, chunk: str = "") -> None:
        if chunk:
            self.chunks.append(chunk)
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def __call__(self, call: Call) -> None:
        self.calls.append(call)
        await call.begin()
        told = 0
        while True:
            news = self._news
            while told < len(self.chunks):
                await call.chunk(self.chunks[told])
                told += 1
            if self._ended:
                break
            await news.wait()
        await call.finish()
        await call.usage(12, 34)
        await call.done()


def whole(text: str) -> Told:
    """One that is over as soon as it is asked for."""
    made = Told(text)
    made.end()
    return made


async def refuses(call: Call) -> None:
    """The failure that people see most often."""
    await call.reply(401, {"error": {"message": "Incorrect API key provided"}})


def sentences(number: int, first: int = 1) -> str:
    """Plain text, each word of which tells its place."""
    return "".join(f"This is sentence {n} of many. " for n in range(first, first + number))


def paragraphs(number: int, first: int = 1) -> str:
    """More than a screen, if they are many."""
    return "".join(f"Paragraph {n} of a long answer.\n\n" for n in range(first, first + number))
