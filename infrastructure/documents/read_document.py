"""Reads the text of a document in a process of its own, which may die of it.

    python -I read_document.py text|pdf|docx <seconds of CPU>

takes the document from stdin and writes its text to stdout, in UTF-8; or ends with REFUSED after
the word for why.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_TEXT_CHARACTERS: Final = 1_000_000
REFUSED: Final = 65
_MEMORY_BYTES: Final = 768 * 1024 * 1024
_NICENESS: Final = 10


def _limit_this_process(cpu_seconds: int) -> None:
    with suppress(OSError):
        os.nice(_NICENESS)  # streams go first
    with suppress(OSError):  # if memory runs out, this process is the one to go
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        import resource
    except ImportError:
        return
    for name, most in (
        ("RLIMIT_AS", _MEMORY_BYTES),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", 32),
        ("RLIMIT_NPROC", 0),
    ):
        with suppress(AttributeError, OSError, ValueError):  # not on every platform
            limit = getattr(resource, name)
            resource.setrlimit(limit, (most, most + 1 if name == "RLIMIT_CPU" else most))


def _reader(kind: str) -> Callable[[bytes, int], str]:
    """Loads only what this kind needs, and under the limits."""
    if kind == "pdf":
        from infrastructure.documents.pdf_text import pdf_text

        return pdf_text
    if kind == "docx":
        from infrastructure.documents.docx_text import docx_text

        return docx_text
    from infrastructure.documents.plain_text import plain_text

    return plain_text


def main(kind: str, cpu_seconds: int) -> int:
    _limit_this_process(cpu_seconds)
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # -I leaves it out
    from infrastructure.documents.refused import Refused

    output = sys.stdout.buffer
    try:
        text = _reader(kind)(sys.stdin.buffer.read(), MAX_TEXT_CHARACTERS)
        output.write(text[:MAX_TEXT_CHARACTERS].encode("utf-8", "surrogatepass"))
        return 0
    except Refused as refused:
        word = refused.word
    except MemoryError:
        word = "too_large"
    except Exception:  # whatever a library makes of what it can't read
        word = "damaged"
    output.write(word.encode("ascii"))
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
