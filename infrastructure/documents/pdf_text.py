from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import LimitReachedError

from infrastructure.documents.refused import Refused


def pdf_text(content: bytes, enough: int) -> str:
    """Page by page, until it is `enough` characters. Raises Refused, and whatever pypdf does."""
    reader = PdfReader(BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("encrypted")
    pages, length, flawed = list[str](), 0, False
    try:
        for page in reader.pages:
            try:
                text = page.extract_text().strip()
            except (LimitReachedError, MemoryError):
                raise
            except Exception:  # one page that can't be read is no reason to lose all others
                text, flawed = "", True
            pages.append(text)
            length += len(text)
            if length >= enough:
                break
    except LimitReachedError:
        raise Refused("too_large") from None
    if not length:
        raise Refused("damaged" if flawed else "no_text")
    return "\n\n".join(pages)
