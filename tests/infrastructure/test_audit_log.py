import logging

import pytest

from domain.events import (
    AnswerBegan,
    DomainEvent,
    GenerationCompleted,
    GenerationFailed,
    GenerationFenced,
    GenerationReleased,
    GenerationStarted,
    GenerationStopped,
    MessageAccepted,
    RegenerationAccepted,
    SessionDeleted,
)
from domain.generation import Failure
from domain.identifiers import GenerationId, MessageId, SessionId, UserId
from domain.message import Usage
from infrastructure.audit_log import write_audit_line

WHICH = (UserId(7), SessionId("session_1"), GenerationId("gen_1"))
SAID = "user=7 session_id=session_1"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            MessageAccepted(*WHICH[:2], MessageId(3), WHICH[2], "request-1"),
            f"MessageAccepted {SAID} message_id=3 generation_id=gen_1 request_id=request-1",
        ),
        (
            MessageAccepted(*WHICH[:2], MessageId(3), WHICH[2], None),
            f"MessageAccepted {SAID} message_id=3 generation_id=gen_1 request_id=None",
        ),
        (GenerationStarted(*WHICH, 2), f"GenerationStarted {SAID} generation_id=gen_1 attempt=2"),
        (
            RegenerationAccepted(*WHICH[:2], MessageId(3), WHICH[2], None),
            f"RegenerationAccepted {SAID} message_id=3 generation_id=gen_1 request_id=None",
        ),
        (GenerationFenced(*WHICH), f"GenerationFenced {SAID} generation_id=gen_1"),
        (GenerationReleased(*WHICH), f"GenerationReleased {SAID} generation_id=gen_1"),
        (
            GenerationCompleted(*WHICH, Usage(36, 25)),
            f"GenerationCompleted {SAID} generation_id=gen_1 usage=36+25",
        ),
        (
            GenerationCompleted(*WHICH, None),
            f"GenerationCompleted {SAID} generation_id=gen_1 usage=None",
        ),
        (GenerationStopped(*WHICH), f"GenerationStopped {SAID} generation_id=gen_1"),
        (
            GenerationFailed(*WHICH, Failure("upstream_error", "it said: my secret")),
            f"GenerationFailed {SAID} generation_id=gen_1 failure=upstream_error",
        ),
        (SessionDeleted(*WHICH[:2]), f"SessionDeleted {SAID}"),
    ],
)
def test_whatever_happens_is_one_line_of_ids(
    event: DomainEvent, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "llm_chat.audit"):
        write_audit_line(event)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("llm_chat.audit", logging.INFO)
    assert record.getMessage() == line


def test_what_only_measures_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "llm_chat.audit"):
        write_audit_line(AnswerBegan(*WHICH, 0.2))
    assert not caplog.records


@pytest.mark.parametrize("text", ["a\nINFO forged", "a b=c", "a\x1b[2K", "a\u2028b", "é"])
def test_no_value_can_break_the_line_or_pass_for_another_one(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that get here by the doors are clean; the log does not rely on it."""
    with caplog.at_level(logging.INFO, "llm_chat.audit"):
        write_audit_line(MessageAccepted(*WHICH[:2], MessageId(3), WHICH[2], text))
        write_audit_line(GenerationFailed(*WHICH, Failure(text, "")))
    for record, name in zip(caplog.records, ("request_id", "failure"), strict=True):
        line = record.getMessage()
        assert line.isascii()
        assert line.isprintable()
        assert text not in line
        assert line.count("=") == line.count(" ")
        assert line.split(" ")[-1].startswith(f"{name}=")
