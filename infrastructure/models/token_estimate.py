"""How many tokens a text has, roughly: for fitting a prompt into a window, without a network."""

from typing import Final

_ASCII_PER_TOKEN: Final = 4
_BYTES_PER_TOKEN: Final = 3
_PER_MESSAGE: Final = 4  # what roles and separators cost


def estimate_tokens(text: str) -> int:
    """Four ASCII characters a token, and three bytes of UTF-8 a token for all else.

    The usual rule for English, and about one token a character for Chinese: today's tokenizers
    make fewer of most texts, so a prompt that fits by this count fits.
    """
    if text.isascii():
        return _PER_MESSAGE + -(-len(text) // _ASCII_PER_TOKEN)
    ascii_characters = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "replace")) - ascii_characters
    return (
        _PER_MESSAGE
        + -(-ascii_characters // _ASCII_PER_TOKEN)
        + -(-other_bytes // _BYTES_PER_TOKEN)
    )
