"""What happens is told to listeners, once it is so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from application.accepting import Wished
from application.announce import AnnounceTo
from application.claim_generation import ClaimGeneration
from application.claims import Interruption
from application.end_generation import EndGeneration
from application.ports import Finish, ReasoningPiece, TextPiece
from application.stop_generation import StopGeneration
from application.submit_message import Submission, SubmitMessage
from domain.errors import DatabaseUnavailable, ModelFailed, SessionBusy, SessionNotFound
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
from domain.generation import Failure, GenerationStatus
from domain.identifiers import GenerationId, SessionId
from domain.message import Usage
from tests.application.conftest import WINDOW, Chat
from tests.builders import SESSION, USER
from tests.fakes import FakeDatabase, FakeUnitOfWork, says

GONE = SessionDeleted(USER, SESSION)


def test_every_listener_is_told_in_turn() -> None:
    told: list[tuple[str, DomainEvent]] = []
    announce = AnnounceTo([lambda e: told.append(("one", e)), lambda e: told.append(("two", e))])
    announce(GONE)
    assert told == [("one", GONE), ("two", GONE)]
    AnnounceTo()(GONE)


def test_a_listener_that_fails_troubles_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told: list[DomainEvent] = []

    def fail(_: DomainEvent) -> None:
        raise ZeroDivisionError

    AnnounceTo([fail, told.append, fail])(GONE)
    assert told == [GONE]
    assert [record.getMessage() for record in caplog.records] == [
        "a listener failed at SessionDeleted"
    ] * 2
    assert "ZeroDivisionError" in caplog.text


async def test_a_listener_that_fails_does_not_fail_what_has_happened(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: DomainEvent) -> None:
        raise ZeroDivisionError

    announce = AnnounceTo([fail])
    submit = SubmitMessage(chat.database, chat.queue, chat.store_generation, chat.ids, announce)
    accepted = await submit(chat.user, chat.session_id, Submission("why?"))
    end = EndGeneration(chat.database, chat.stream, chat.queue, announce)
    stop = StopGeneration(chat.database, end, chat.wake_ups)
    assert (await stop(chat.user, accepted.generation_id)).ended
    await replace(chat.delete, announce=announce)(chat.user, chat.session_id)
    assert caplog.text.count("a listener failed") == 3


async def test_a_message_and_its_answer_are_announced_in_order(chat: Chat) -> None:
    submission = Submission("why?", request_id="request-1")
    accepted = await chat.submit(chat.user, chat.session_id, submission)
    which = (chat.user, chat.session_id, accepted.generation_id)
    await chat.answer(await chat.take())
    began = chat.happened.pop(2)
    assert isinstance(began, AnswerBegan)
    assert began == AnswerBegan(*which, began.seconds)
    assert chat.happened == [
        MessageAccepted(*which[:2], accepted.message_id, which[2], "request-1"),
        GenerationStarted(*which, 1),
        GenerationCompleted(*which, Usage(1, 2)),
    ]


async def test_a_question_that_is_asked_again_is_announced_as_such(chat: Chat) -> None:
    await chat.ask_and_answer()
    chat.happened.clear()
    accepted = await chat.regenerate(chat.user, chat.session_id, Wished(request_id="request-9"))
    assert chat.happened == [
        RegenerationAccepted(
            chat.user,
            chat.session_id,
            accepted.message_id,
            accepted.generation_id,
            "request-9",
        )
    ]


async def test_an_answer_begins_with_what_can_be_read_counted_from_its_acceptance(
    chat: Chat,
) -> None:
    """Once for each attempt; an answer without text never does."""
    accepted = await chat.ask()
    row = chat.database.state.rows[accepted.generation_id]
    row.generation = replace(
        row.generation, created_at=row.generation.created_at - timedelta(minutes=9)
    )
    chat.scripted(says(ReasoningPiece("Hm."), TextPiece("So."), Finish("stop")))
    await chat.answer(await chat.take())
    chat.scripted(says(Finish("stop")))
    await chat.ask_and_answer()
    (began,) = [event for event in chat.happened if isinstance(event, AnswerBegan)]
    assert began.generation_id == accepted.generation_id
    assert 9 * 60 <= began.seconds < 10 * 60
    assert chat.claims.pieces == 2


async def test_who_has_lost_an_answer_or_gives_it_back_says_so(chat: Chat) -> None:
    chat.lease_seconds = 0
    accepted = await chat.ask()
    which = (chat.user, chat.session_id, accepted.generation_id)
    lost = await chat.claim(accepted.generation_id)
    held = await chat.claim(accepted.generation_id)
    assert lost is not None
    assert held is not None
    held.claim.interrupt(Interruption.RELEASE)
    chat.happened.clear()
    await chat.answer(lost)
    await chat.answer(held)
    assert [event for event in chat.happened if not isinstance(event, AnswerBegan)] == [
        GenerationFenced(*which),
        GenerationReleased(*which),
    ]


async def test_a_failure_is_announced_with_its_reason(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.scripted(says(TextPiece("so far"), then=ModelFailed("no")))
    generation_id = await chat.ask_and_answer()
    assert chat.happened[-1] == GenerationFailed(
        chat.user, chat.session_id, generation_id, Failure("upstream_error", "no")
    )
    assert "upstream_error" in caplog.text


async def test_each_attempt_is_announced_and_a_claim_that_is_refused_is_not(chat: Chat) -> None:
    chat.lease_seconds = 0
    accepted = await chat.ask()
    for _ in range(4):
        await chat.claim(accepted.generation_id)
    await chat.claim(GenerationId("unknown"))
    started = [event for event in chat.happened if isinstance(event, GenerationStarted)]
    assert [event.attempt for event in started] == [1, 2, 3]
    await chat.sweep(9)
    assert isinstance(chat.happened[-1], GenerationFailed)
    assert len(chat.happened) == 5


async def test_a_repeat_is_no_second_message(chat: Chat) -> None:
    for _ in range(3):
        await chat.ask(key="key")
    assert len(chat.happened) == 1


async def test_whoever_is_told_finds_it_in_the_database(chat: Chat) -> None:
    """Also if the listener looks in the very moment in which it is told."""
    told: list[str] = []

    def look(event: DomainEvent) -> None:
        state = chat.database.state
        told.append(type(event).__name__)
        if isinstance(event, SessionDeleted):
            assert event.session_id in state.gone
            return
        status = state.rows[event.generation_id].generation.status
        assert (
            status
            is {
                MessageAccepted: GenerationStatus.QUEUED,
                GenerationStarted: GenerationStatus.RUNNING,
                AnswerBegan: GenerationStatus.RUNNING,
                GenerationCompleted: GenerationStatus.COMPLETED,
                GenerationStopped: GenerationStatus.STOPPED,
            }[type(event)]
        )

    class Tell:
        """As `AnnounceTo`, but what fails in the listener fails the test."""

        def __call__(self, event: DomainEvent) -> None:
            look(event)

    tell = Tell()
    submit = SubmitMessage(chat.database, chat.queue, chat.store_generation, chat.ids, tell)
    claim = ClaimGeneration(
        chat.database, chat.choose_model, chat.personas, WINDOW, 60, tell, chat.recollect
    )
    end = EndGeneration(chat.database, chat.stream, chat.queue, tell)
    stop = StopGeneration(chat.database, end, chat.wake_ups)
    first = await submit(chat.user, chat.session_id, Submission("why?"))
    second = await submit(chat.user, chat.session_id, Submission("how?"))
    claimed = await claim(first.generation_id)
    assert claimed is not None
    answer = chat.answer
    await type(answer)(chat.database, chat.stream, chat.claims, end, chat.queue, chat.recollect)(
        claimed
    )
    await stop(chat.user, second.generation_id)
    await replace(chat.delete, announce=tell)(chat.user, chat.session_id)
    assert told == [
        "MessageAccepted",
        "MessageAccepted",
        "GenerationStarted",
        "AnswerBegan",
        "GenerationCompleted",
        "GenerationStopped",
        "SessionDeleted",
    ]


@dataclass
class NeverCommits:
    """A database that is gone in the moment of the commit."""

    database: FakeDatabase

    @asynccontextmanager
    async def __call__(self, *, read_only: bool = False) -> AsyncIterator[FakeUnitOfWork]:
        async with self.database(read_only=read_only) as work:
            yield _NoCommit(work)


class _NoCommit(FakeUnitOfWork):
    def __init__(self, work: FakeUnitOfWork) -> None:
        self.__dict__.update(vars(work))

    async def commit(self) -> None:
        raise DatabaseUnavailable("gone")


async def test_what_is_rolled_back_is_not_announced(chat: Chat) -> None:
    accepted = await chat.ask()
    state = chat.database.state
    chat.happened.clear()
    chat.queue.requests.clear()
    gone = NeverCommits(chat.database)
    end = EndGeneration(gone, chat.stream, chat.queue, chat.announce)
    with pytest.raises(DatabaseUnavailable):
        await SubmitMessage(gone, chat.queue, chat.store_generation, chat.ids, chat.announce)(
            chat.user, chat.session_id, Submission("why?")
        )
    with pytest.raises(DatabaseUnavailable):
        await ClaimGeneration(
            gone, chat.choose_model, chat.personas, WINDOW, 60, chat.announce, chat.recollect
        )(accepted.generation_id)
    with pytest.raises(DatabaseUnavailable):
        await StopGeneration(gone, end, chat.wake_ups)(chat.user, accepted.generation_id)
    with pytest.raises(DatabaseUnavailable):
        await replace(chat.delete, open_unit_of_work=gone)(chat.user, chat.session_id)
    with pytest.raises(SessionNotFound):
        await chat.delete(chat.user, SessionId("unknown"))
    with pytest.raises(SessionBusy):
        await chat.regenerate(chat.user, chat.session_id, Wished())
    assert chat.database.state is state
    assert chat.happened == []
    assert chat.queue.requests == []
    assert await chat.held() == []
