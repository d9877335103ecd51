"""A line of the log is one line, whatever it tells, and JSON that anybody can read (T57)."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec
import pytest

from application.log_context import only_about
from infrastructure.logs import Lines

LIMIT = 64 * 1024
"""Bytes of a line that `asyncio.StreamReader.readline` takes."""

HOSTILE = {
    "control characters": "".join(map(chr, range(32))) + "\x7f\x85\x9b31m",
    "a line that is not ours": 'x\n{"timestamp": "2030", "level": "info", "event": "forged"}\r\n',
    "other ends of lines": "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i",
    "NUL": "a\0b",
    "lone surrogates": "\ud800 \udfff \udc80 \ude00\ud83d",
    "emoji": "👩‍🚀" * 300,
    "a megabyte": "x" * 1_000_000,
    "a megabyte of what takes twelve characters": "😀" * 1_000_000,
    "a megabyte of controls": "\x1b" * 1_000_000,
    "a megabyte of lines": "line\n" * 200_000,
    "quotes": '"\'\\\\"}{' * 50,
    "a format": "%s %d %(x)s {} {0} %",
    "turned around": "\u202eevil\u2066",
}


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("nobody may\nread this")


class Long:
    def __repr__(self) -> str:
        return "a\n" * 1_000_000


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def circle() -> list[Any]:
    made: list[Any] = []
    made.append({"again": made})
    return made


HOSTILE_OBJECTS = {
    "unspeakable": Unspeakable(),
    "long": Long(),
    "bytes": bytes(range(256)),
    "a circle": circle(),
    "a wide tree": {f"k{n}\n": [{"x": "\u2028" * 5_000}] * 100 for n in range(100)},
    "no numbers of JSON": [float("nan"), float("inf"), -float("inf")],
    "an integer that is not written": 10**5_000,
    "keys that are no texts": {1: 2, None: 3, ("a",): 4, "\0\n": 5},
    "a class": Unspeakable,
    "a set": {1, "a\nb"},
    "a stream": io.BytesIO(b"x"),
}


@dataclass
class Log:
    """A logger, and what became of its lines."""

    logger: logging.Logger
    written: io.StringIO

    def lines(self) -> list[str]:
        return self.written.getvalue().splitlines(keepends=True)

    def line(self) -> str:
        """The only one, by any reader's reckoning."""
        text = self.written.getvalue()
        assert text.endswith("\n")
        assert len(text.splitlines()) == text.count("\n") == 1, text[:2_000]
        assert len(text.encode()) < LIMIT
        return text

    def told(self) -> dict[str, Any]:
        line = self.line()
        assert line.isascii()
        told: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
        assert msgspec.json.decode(line) == told  # who is strict can read it, too
        return told


def opened(lines: Lines) -> Log:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(lines)
    logger = logging.Logger("llm_chat.test")
    logger.addHandler(handler)
    return Log(logger, written)


@pytest.fixture
def log() -> Log:
    return opened(Lines(as_json=True))


@pytest.fixture
def console() -> Log:
    """For people, but not on a terminal."""
    return opened(Lines(as_json=False))


@pytest.fixture(autouse=True)
def no_complaints(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """What logging can't write, it complains of at length, on stderr."""
    yield
    assert capfd.readouterr().err == ""


def about(log: Callable[[], None], **told: Any) -> None:
    def both() -> None:
        only_about(**told)
        log()

    Context().run(both)


def failure(
    error: BaseException,
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    try:
        raise error
    except BaseException:
        made = sys.exc_info()
    assert made[0] is not None
    assert made[1] is not None
    return made


def test_a_line_has_its_time_level_logger_and_event_and_what_it_is_about(log: Log) -> None:
    before = datetime.now(UTC)
    about(
        lambda: log.logger.warning("%s is %d", "it", 7, extra={"status": 200, "milliseconds": 1.5}),
        request_id="request-0001",
        user_id=3,
        session_id=None,
    )
    told = log.told()
    assert told.pop("timestamp").endswith("Z")
    assert list(told.items()) == [
        ("level", "warning"),
        ("logger", "llm_chat.test"),
        ("event", "it is 7"),
        ("request_id", "request-0001"),
        ("user_id", 3),
        ("status", 200),
        ("milliseconds", 1.5),
    ]
    written = datetime.fromisoformat(json.loads(log.line())["timestamp"])
    assert abs((written - before).total_seconds()) < 3_600
    assert written.utcoffset() == UTC.utcoffset(None)


def test_what_is_told_of_a_task_that_is_gone_is_not_about_who_runs_by_then(log: Log) -> None:
    log.logger.name = "asyncio"
    about(lambda: log.logger.error("Task exception was never retrieved"), request_id="request-01")
    assert "request_id" not in log.told()


def test_a_traceback_is_a_text_in_its_line(log: Log) -> None:
    try:
        try:
            raise ValueError("the cause\nof two lines")
        except ValueError as error:
            raise RuntimeError("the fault") from error
    except RuntimeError:
        log.logger.exception("it failed")
    told = log.told()
    assert told["event"] == "it failed"
    assert told["exception"].startswith("Traceback (most recent call last):\n  File ")
    assert "ValueError: the cause\nof two lines" in told["exception"]
    assert told["exception"].endswith("RuntimeError: the fault")


def test_a_long_traceback_keeps_its_beginning_and_its_end(log: Log) -> None:
    def deeper(depth: int) -> None:
        namespace: dict[str, Any] = {"deeper": deeper}
        if depth == 0:
            raise ValueError("the end of it " + "字" * 1_000_000)
        exec(f"def step_{depth}(): deeper({depth - 1})\nstep_{depth}()", namespace)

    try:
        deeper(100)
    except ValueError:
        log.logger.exception("it failed")
    told = log.told()
    assert told["exception"].startswith("Traceback (most recent call last):")
    assert "ValueError: the end of it 字" in told["exception"]


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("console_too", [False, True], ids=["json", "console"])
def test_no_text_ends_a_line_wherever_it_stands(
    log: Log, console: Log, kind: str, console_too: bool
) -> None:
    text = HOSTILE[kind]
    writers: list[Callable[[Log], None]] = [
        lambda log: log.logger.info(text),
        lambda log: log.logger.info("%s", text),
        lambda log: log.logger.info("%r and %s", text, [text]),
        lambda log: log.logger.info("an event", extra={"path": text, "other": text}),
        lambda log: log.logger.info("an event", extra={"nested": {text[:100]: [text, (text,)]}}),
        lambda log: log.logger.info("an event", extra={text[:5_000]: text}),
        lambda log: log.logger.info("an event", extra={f"k{n}": text for n in range(300)}),
        lambda log: log.logger.info("an event", exc_info=failure(ValueError(text))),
        lambda log: log.logger.info(
            "an event", exc_info=failure(ExceptionGroup(text[:99], [ValueError(text)] * 9))
        ),
        lambda log: log.logger.info("an event", exc_info=failure(KeyError(text, {text: text}))),
        lambda log: about(lambda: log.logger.info("an event"), request_id=text, user_id=text),
        lambda log: log.logger.handle(
            logging.LogRecord(text, logging.INFO, text, 1, text, (), None, text, text)
        ),
    ]
    for write in writers:
        to = opened(Lines(as_json=not console_too))
        write(to)
        if console_too:
            line = to.line().rstrip("\n")
            assert not [c for c in line if c < " " or "\x7f" <= c <= "\x9f"]
            assert not set(line) & set("\u2028\u2029\u202e\u2066")
        else:
            assert {"timestamp", "level", "logger", "event"} <= to.told().keys()


@pytest.mark.parametrize("kind", HOSTILE_OBJECTS)
def test_no_object_ends_a_line_or_fails(log: Log, console: Log, kind: str) -> None:
    thing = HOSTILE_OBJECTS[kind]
    for to in (log, console):
        to.logger.info("an event", extra={"status": 200, "thing": thing, "things": [thing]})
    told = log.told()
    assert (told["status"], "thing" in told, "not_told" in told) == (200, True, False)
    assert "not_told" not in console.line()


def test_what_can_not_be_told_is_told_as_far_as_it_can(log: Log) -> None:
    log.logger.info("%d of %d", "one")
    told = log.told()
    assert (told["event"], told["not_told"]) == ("%d of %d", "TypeError")


@pytest.mark.parametrize("thing", [Unspeakable(), 10**5_000], ids=["object", "integer"])
def test_an_argument_that_can_not_be_shown_costs_no_more_than_itself(
    log: Log, thing: object
) -> None:
    log.logger.error("it is %s", thing, exc_info=failure(ValueError("why")))
    told = log.told()
    assert told["event"] == "it is %s"
    assert told["exception"].endswith("ValueError: why")


@pytest.mark.parametrize("message", [Unspeakable(), None, {"a": 1}, b"bytes\n", 5])
def test_a_message_may_be_anything(log: Log, message: object) -> None:
    log.logger.info(message)
    assert log.told()["level"] == "info"


def test_an_exception_that_can_not_be_shown_is_named(log: Log) -> None:
    log.logger.info("an event", exc_info=failure(Broken()))
    assert "Broken" in log.told()["exception"]


def test_what_is_given_along_changes_nothing_of_ours(log: Log) -> None:
    given = {"event": "forged", "level": "forged", "timestamp": "forged", "exception": "forged"}
    log.logger.info("an event", extra={**given, "_record": "forged", "logger": "forged"})
    assert "forged" not in json.dumps({**log.told(), "_record": ""})
    assert log.told()["event"] == "an event"


def test_a_value_is_cut_and_says_so(log: Log) -> None:
    log.logger.info("y" * 5_000, extra={"path": "x" * 3_000})
    told = log.told()
    assert told["path"] == "x" * 2_000 + "…"
    assert told["event"] == "y" * 4_000 + "…"


@pytest.mark.parametrize(
    "key",
    [
        *("authorization", "Authorization", "password", "new_password", "token", "access_token"),
        *("refreshToken", "api_key", "apikey", "X-API-Key", "secret", "SECRET_KEY", "cookie"),
        *("set-cookie", "ticket", "encryption_keys", "credentials", "passphrase"),
    ],
)
def test_what_has_the_name_of_a_secret_is_not_told(log: Log, key: str) -> None:
    values = ["hunter2", b"hunter2", {"is": "hunter2"}, ["hunter2"], ("hunter2",)]
    log.logger.info("an event", extra={key: values[0], "deep": {"er": [{key: values}]}})
    told = log.told()
    assert "hunter2" not in json.dumps(told)
    assert told["deep"] == {"er": [{key: "[redacted]"}]}


def test_a_count_of_tokens_is_no_secret(log: Log) -> None:
    log.logger.info("an event", extra={"prompt_tokens": 12, "completion_tokens": 3})
    assert (log.told()["prompt_tokens"], log.told()["completion_tokens"]) == (12, 3)


def test_no_secret_of_a_text_is_told_wherever_it_stands(log: Log) -> None:
    key = "sk-5e7d1c0a9b8f7e6d"
    about(
        lambda: log.logger.info(
            "asked with %s",
            key,
            extra={"path": f"/x/{key}", "many": [{"a": f"Bearer {key}"}], key[:40]: 1},
            exc_info=failure(ValueError(f"no {key}\nnor https://ada:{key}@host/")),
            stack_info=True,
        ),
        request_id=key,
    )
    line = log.line().replace(f'"{key}": 1', "")  # nobody names a value by a secret
    assert key[3:] not in line
    assert "5e7d" not in line


def test_a_terminal_shows_a_traceback_over_lines_but_no_event() -> None:
    shown = opened(Lines(as_json=False, terminal=True))
    shown.logger.info("an\x1b[2J\nevent", exc_info=failure(ValueError("of\x1b[2J\ntwo lines")))
    first, *rest = shown.written.getvalue().split("\n")
    assert r"an\x1b[2J\nevent" in first
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-3:] == [r"ValueError: of\x1b[2J", "two lines", ""]
    assert "\x1b[2J" not in shown.written.getvalue()


def test_for_people_there_are_colours_on_a_terminal_only(console: Log) -> None:
    shown = opened(Lines(as_json=False, terminal=True))
    given = {"method": "GET", "path": "/x", "status": 200}

    def write() -> None:
        for each in (shown, console):
            each.logger.info("GET '/x' 200", extra=given)

    about(write, request_id="request-0001")
    assert "\x1b[" in shown.written.getvalue()
    line = console.line()
    assert "\x1b" not in line
    assert "GET '/x' 200" in line
    assert "request_id=request-0001" in line
    assert "method" not in line  # it is said already
