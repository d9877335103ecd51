"""How lines are written into the log: JSON, or for people. Each is one line, whatever it tells, is
shorter than 64 KiB (many who read logs take no more), and holds no secret."""

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from structlog.dev import ConsoleRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from application.log_context import lines_are_about
from infrastructure.redaction import CUT, REDACTED, is_secret, shown

QUIET: Final = (
    "aiohttp",
    "alembic",
    "asyncio",
    "httpx2",
    "openai",
    "urllib3",
    "uvicorn",
    "uvicorn.error",
    "websockets",
)
MOST_OF_A_LINE: Final = 60_000
MOST_OF_AN_EVENT: Final = 4_000
MOST_OF_A_VALUE: Final = 2_000
MOST_OF_A_TRACEBACK: Final = 12_000
"""Characters."""

_MOST_VALUES: Final = 40
"""Of one line, and of a list or a dictionary in it."""
_DEPTH: Final = 4
_MOST_IN_ALL: Final = 120
_KEY_CHARACTERS: Final = 60
_SHORTER: Final = (1_000, 100)
"""Of each value of a line that is too long; what is not ASCII takes up to twelve characters. Forty
values of a hundred fit in any case."""
_LARGEST: Final = 2**63
_UTF_8: Final = 4
"""Bytes of a character, at most."""

_LONE: Final = re.compile("[\ud800-\udfff]")
_UNSHOWN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
"""What ends a line, moves a terminal's cursor, or turns the order of what stands around it."""
_NO_KEY: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OURS: Final = ("timestamp", "level", "logger", "event", "exception", "stack")
_CLEAN: Final = frozenset(
    {"timestamp", "level", "logger", "exception", "stack", "_record", "_from_structlog"}
)
_STANDARD: Final = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
    "websocket",
    *_OURS,
}
"""What a record has besides what its writer gave; some of it is uvicorn's or websockets's."""

_AT_ANY_TIME: Final = "asyncio"
"""It tells of a task when its memory is freed: whatever runs just then, it is not about that."""
_SAID: Final = frozenset({"method", "path", "status", "milliseconds"})
"""For people the event says so already."""


def set_up_logging(level: str, *, as_json: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(as_json=as_json, terminal=sys.stderr.isatty()))
    logging.basicConfig(level=level, handlers=[handler])
    logging.captureWarnings(True)  # Python would write them over two lines
    # Their lines at lower levels hold query strings or prompts, or say nothing to an operator.
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # what anybody can make it say


class Lines(ProcessorFormatter):
    """To a terminal, lines for people have colours, and tracebacks as Python writes them."""

    def __init__(self, *, as_json: bool, terminal: bool = False) -> None:
        last: Sequence[Processor] = (_json_line,)
        if not as_json:
            columns = ConsoleRenderer(colors=terminal, pad_event_to=0, sort_keys=False)
            last = (_printable if terminal else _printable_in_one_line, columns)
        super().__init__(
            foreign_pre_chain=(_in_order, _clean),
            processors=(ProcessorFormatter.remove_processors_meta, *last),
        )
        self._most: Final = None if as_json or terminal else MOST_OF_A_LINE // _UTF_8

    def format(self, record: logging.LogRecord) -> str:
        try:
            line = super().format(record)
        except Exception as error:  # logging would print it, and all that it was given
            line = super().format(_what_can_be_told(record, error))
        return line if self._most is None else line[: self._most]


def _what_can_be_told(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """Of one whose arguments don't fit, or can't be shown."""
    meant = record.msg if type(record.msg) is str else type(record.msg).__name__
    told = logging.LogRecord(record.name, record.levelno, "", 0, "%s", (meant,), None)
    told.created, told.exc_info = record.created, record.exc_info
    told.__dict__["not_told"] = type(error).__name__
    return told


def _in_order(_: WrappedLogger, __: str, told: EventDict) -> EventDict:
    record: logging.LogRecord = told["_record"]
    given = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    ordered: EventDict = {
        "timestamp": _time(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": told["event"],
        **(lines_are_about() if record.name != _AT_ANY_TIME else {}),
        **dict(islice(given.items(), _MOST_VALUES)),
        "_record": record,
        "_from_structlog": False,
    }
    if record.exc_info and record.exc_info[0] is not None:
        ordered["exception"] = _traceback(record.exc_info)
    if record.stack_info:
        ordered["stack"] = _joined(record.stack_info.splitlines(keepends=True))
    return ordered


def _time(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _traceback(info: Any) -> str:
    try:
        lines = traceback.format_exception(*info)
    except Exception as error:  # for its own methods take part
        lines = [f"Traceback of {info[0].__name__} can't be shown: {type(error).__name__}"]
    return _joined(lines)


def _joined(lines: Sequence[str]) -> str:
    """Each without its secrets; the first and the last ones, if not all can be told."""
    told = [shown(line.rstrip("\n"), MOST_OF_A_VALUE) for line in lines]
    if sum(map(len, told)) > MOST_OF_A_TRACEBACK:
        first, last = list(_as_many(told, 3_000)), list(_as_many(told[::-1], 8_000))[::-1]
        told = [*first, CUT, *last]
    return "\n".join(told)


def _as_many(lines: Sequence[str], most: int) -> Iterator[str]:
    for line in lines:
        most -= len(line)
        if most < 0:
            return
        yield line


def _clean(_: WrappedLogger, __: str, told: EventDict) -> EventDict:
    clean: EventDict = {}
    room = iter(range(_MOST_IN_ALL))
    for key, value in told.items():
        if key in _CLEAN:
            clean[key] = value
        elif key == "event":
            clean[key] = shown(value, MOST_OF_AN_EVENT)
        else:
            key = _key(key)
            clean[key] = _value(key, value, _DEPTH, room)
    return clean


def _key(key: object) -> str:
    return _NO_KEY.sub("_", str(key)[:_KEY_CHARACTERS])


def _value(key: str, value: object, depth: int, room: Iterator[int]) -> Any:
    """As JSON can have it, without what is secret, and only as long as there is room."""
    if next(room, None) is None:
        return CUT
    if value is None or isinstance(value, bool):
        return value
    number = isinstance(value, int | float)
    if is_secret(key) and not (number and "token" in key.lower()):  # those are counted
        return REDACTED
    if isinstance(value, str):
        return shown(value, MOST_OF_A_VALUE)
    if number:
        return _number(value)
    if isinstance(value, Mapping) and depth:
        items = islice(value.items(), _MOST_VALUES)
        return {(key := _key(name)): _value(key, each, depth - 1, room) for name, each in items}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_value(key, each, depth - 1, room) for each in islice(value, _MOST_VALUES)]
    return shown(_described(value), MOST_OF_A_VALUE)


def _number(value: Any) -> Any:
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST else f"an integer of {value.bit_length()} bits"
    return float(value) if math.isfinite(value) else repr(float(value))


def _described(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _json_line(_: WrappedLogger, __: str, told: EventDict) -> str:
    """JSON in ASCII, so that nothing in it ends a line, for any reader of lines."""
    line = _encode(told)
    for most in _SHORTER:
        if len(line) <= MOST_OF_A_LINE:
            break
        told = {key: _shorter(value, most) for key, value in told.items()}
        line = _encode(told)
    return line


def _encode(told: EventDict) -> str:
    line = json.dumps(told, allow_nan=False)
    # Half a character of UTF-16 can be written in JSON, and many can't read it.
    return json.dumps(_whole(told), allow_nan=False) if "\\ud" in line else line


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


def _shorter(value: Any, most: int) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, str) and len(value) > most:
        return f"{value[: most // 2]}{CUT}{value[-most // 2 :]}"
    return value


def _printable(_: WrappedLogger, __: str, told: EventDict) -> EventDict:
    return {
        key: _escaped(value, key in ("exception", "stack"))
        for key, value in told.items()
        if key not in _SAID
    }


def _printable_in_one_line(_: WrappedLogger, __: str, told: EventDict) -> EventDict:
    # Under these names the renderer would write them over several lines.
    named = {"exception": "traceback", "stack": "called_by"}
    return {
        named.get(key, key): _escaped(value, False)
        for key, value in told.items()
        if key not in _SAID
    }


def _escaped(value: Any, lines: bool) -> Any:
    if isinstance(value, str):
        return _UNSHOWN.sub(lambda found: _escape(found[0], lines), _LONE.sub("\ufffd", value))
    return value


def _escape(character: str, lines: bool) -> str:
    if lines and character == "\n":
        return character
    return character.encode("unicode_escape").decode()
