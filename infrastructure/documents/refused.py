"""A document whose text can't be had."""


class Refused(Exception):
    """`word` is all that leaves the process: its reader makes a sentence of it."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word
