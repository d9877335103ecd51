"""What a text says, whose encoding nobody has told."""

import codecs
import re
from collections import Counter
from typing import Final

from infrastructure.documents.languages import LANGUAGES, NEVER, Language, costs
from infrastructure.documents.refused import Refused

_MARKS: Final = (  # that of UTF-32 begins with one of UTF-16
    (codecs.BOM_UTF8, "utf_8"),
    (codecs.BOM_UTF32_LE, "utf_32_le"),
    (codecs.BOM_UTF32_BE, "utf_32_be"),
    (codecs.BOM_UTF16_LE, "utf_16_le"),
    (codecs.BOM_UTF16_BE, "utf_16_be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_ESCAPES: Final = (b"\x1b$B", "iso2022_jp"), (b"\x1b$@", "iso2022_jp"), (b"\x1b$)C", "iso2022_kr")
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b\x1a"))
_SAMPLE_BYTES: Final = 16 * 1024
_LINE_BYTES: Final = 4096
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")
_ASCII_COST: Final = 3.5
_PLAUSIBLE: Final = 6.0
"""Nats a byte: texts take 2 to 5, noise takes 7 or more."""
_ALLOWANCE: Final = 12.0
"""For the few bytes of a short text."""
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_SCRIPT_CHANGES: Final = re.compile(r"[A-Za-z](?=[^\W\x00-\x7f])|[^\W\x00-\x7f](?=[A-Za-z])")
_HIGH_BESIDE_HIGH: Final = re.compile(r"[^\x00-\x7f](?=[^\x00-\x7f])")
_LONELY_LETTER: Final = re.compile(
    r"(?<![^\W\d_])[^\W\d_\x00-\x7fàÀáéÉèÈóòåÅí](?![^\W\d_])"  # those left out are words
)
_SIGN_IN_WORD: Final = re.compile(r"(?<=[^\W\d_])[^\w\x00-\x7f’](?=[^\W\d_])")
_WIDE: Final = ("utf_32_le", "utf_32_be", "utf_16_le", "utf_16_be")


def plain_text(content: bytes, enough: int) -> str:
    """About the first `enough` characters. Raises Refused."""
    return _decoded(content)[: 2 * enough].replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes) -> str:
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return _mended(content[len(mark) :], codec)
    if _many_controls(content):
        return _wide(content)
    for escape, codec in _ESCAPES:
        if escape in content and content.isascii():
            return _mended(content, codec)
    try:
        return content.decode("utf_8")
    except UnicodeDecodeError:
        return content.decode(_guess(_sample(content)), "replace")


def _many_controls(content: bytes) -> bool:
    return len(content) - len(content.translate(None, _CONTROLS)) > len(content) // 100


def _mended(content: bytes, codec: str) -> str:
    """For an encoding that is known: a few flaws are no reason to refuse all."""
    text = content.decode(codec, "replace")
    if text.count("\ufffd") > 1 + len(text) // 50:
        raise Refused("encoding")
    return text


def _wide(content: bytes) -> str:
    """UTF-16 or UTF-32 that does not say so: the one of which most is common."""
    common = {chr(code) for code in (9, 10, 13, *range(32, 127))}
    common.update(*(language.common for language in LANGUAGES))
    sample = content[:_SAMPLE_BYTES]
    shares = {}
    for codec in _WIDE:
        counts = Counter(sample.decode(codec, "replace"))
        known = sum(count for character, count in counts.items() if character in common)
        shares[codec] = known / counts.total()
    best = max(_WIDE, key=shares.__getitem__)
    if shares[best] < 0.6:
        raise Refused("encoding")
    return _mended(content, best)


def _sample(content: bytes) -> bytes:
    """What tells most of the encoding. In all that are guessed, the byte of a line's end is
    that and nothing else."""
    if len(content) <= _SAMPLE_BYTES:
        return content
    found, size, at = list[bytes](), 0, 0
    while size < _SAMPLE_BYTES and (high := _BEYOND_ASCII.search(content, at)):
        start = max(at, high.start() - _LINE_BYTES, content.rfind(b"\n", at, high.start()) + 1)
        end = content.find(b"\n", high.start(), high.start() + _LINE_BYTES) + 1
        at = end or high.start() + _LINE_BYTES
        found.append(content[start:at])
        size += at - start
    return b"".join(found)


def _guess(sample: bytes) -> str:
    """The encoding, and language, in which these bytes are the least surprising."""
    nearly = sample.decode("utf_8", "replace")
    if nearly.count("\ufffd") * 20 < sum(character > "\x7f" for character in nearly):
        return "utf_8"
    cost, codec = min(
        (_cost(language, codec, sample), codec)
        for language in LANGUAGES
        for codec in language.codecs
    )
    high = len(_BEYOND_ASCII.findall(sample))
    if cost - _ASCII_COST * (len(sample) - high) > _PLAUSIBLE * high + _ALLOWANCE:
        return _asked_elsewhere(sample)
    return codec


def _asked_elsewhere(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(sample).best()
    if found is None:
        raise Refused("encoding")
    return found.encoding


def _cost(language: Language, codec: str, sample: bytes) -> float:
    text = sample.decode(codec, "replace")
    known = costs(language)
    cost = language.cost_of_codec(codec)
    for character, count in Counter(text).items():
        cost += count * (_ASCII_COST if character < "\x80" else known.get(character, NEVER))
    cost += 4 * sum(map(_is_upside_down, _WORD.findall(text)))
    if language.is_latin:
        odd = len(_LONELY_LETTER.findall(text)) + len(_SIGN_IN_WORD.findall(text))
        return cost + 2 * len(_HIGH_BESIDE_HIGH.findall(text)) + 3 * odd
    return cost + 2 * len(_SCRIPT_CHANGES.findall(text))


def _is_upside_down(word: str) -> bool:
    """A capital after a small letter."""
    return not (word.isascii() or word.isupper()) and word[1:] != word[1:].lower()
