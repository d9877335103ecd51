"""However a text is cut into events, and whenever a reader leaves: with the last number that it saw
it is told exactly the rest, by whoever knows the text."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from application.browse import Shown
from application.catch_up import catch_up, terminal_event
from application.events import Chunk, Entry, Reasoning, Reset, Snapshot, Start, StreamEvent
from application.following import Following
from domain.call import Call
from domain.errors import DatabaseUnavailable, GenerationNotFound
from domain.generation import Failure, Generation, GenerationStatus
from domain.position import ORIGIN, Position
from domain.prompt import Options
from interface.dialects.response_body import ResponseBody
from interface.dialects.response_numbers import MOST, After, Before, Closing, Place, place_of
from interface.dialects.response_telling import TellResponse
from interface.dialects.told import RESERVED, Mark, Told
from interface.wire.request_bodies import parse_body
from tests.builders import GENERATION, NOON, a_generation

Json = dict[str, Any]
Find = Callable[[], Awaitable[Shown]]

TERMINAL: Final = {"response.completed", "response.incomplete", "response.failed", "error"}
STOPPED, FAILED = GenerationStatus.STOPPED, GenerationStatus.FAILED


def a_response(*, background: bool = False) -> Call:
    said = {"input": "why?", "background": background}
    return parse_body(ResponseBody, json.dumps(said).encode()).call


@dataclass
class Followed:
    """As much of a `Following` as is read."""

    batches: Sequence[Sequence[Entry]]
    gone: bool = False

    async def __aiter__(self) -> AsyncIterator[Sequence[Entry]]:
        for batch in self.batches:
            yield batch


def told(call: Call, kept: Generation, place: Place, followed: Followed, find: Find) -> list[Json]:
    """The events that a reader is told."""

    async def tell() -> bytes:
        telling = TellResponse(call, kept, place, find, "request-1")
        return b"".join([piece async for piece in telling(cast(Following, followed))])

    lines = asyncio.run(tell()).decode().split("\n")
    blocks = "\n".join(line for line in lines if line != ":").split("\n\n")
    return [parsed(block) for block in blocks if block]


def read(
    call: Call, kept: Generation, place: Place, batches: Sequence[Sequence[Entry]]
) -> list[Json]:
    async def find() -> Shown:
        return Shown(kept, kept.text, kept.end)

    return told(call, kept, place, Followed(batches), find)


def parsed(block: str) -> Json:
    kind, data = block.split("\n")
    said: Json = json.loads(data.removeprefix("data: "))
    assert kind == f"event: {said['type']}"
    return said


def text_of(events: Sequence[Json]) -> str:
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


# Worlds: a kept answer, and the ways in which readers may hear of it.


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def attempt(draw: st.DrawFn, number: int, text: str) -> list[StreamEvent]:
    """One worker's, from its opening on."""
    opening: StreamEvent = Start(GENERATION, 1, "scripted", "why?")
    if number > 1:
        opening = Reset(GENERATION, number, "scripted", "why?", "worker_lost")
    events, said = [opening], ""
    for piece in pieces_of(draw, text):
        said += piece
        match draw(st.integers(0, 5)):
            case 0:
                events.append(Snapshot(GENERATION, number, said))
            case 1:
                events += [Reasoning(GENERATION, "hm"), Chunk(GENERATION, piece)]
            case _:
                events.append(Chunk(GENERATION, piece))
    return events


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


@st.composite
def ways(draw: st.DrawFn, kept: Generation, before: st.SearchStrategy[str]) -> list[list[Entry]]:
    """In batches; from what is held of it, or from the database."""
    assert kept.end is not None
    if draw(st.booleans()):
        entries = catch_up(ORIGIN, kept.end, [], [kept])
    else:
        lost = draw(st.lists(before, max_size=2))
        events: list[StreamEvent] = []
        for number, text in enumerate([*lost, kept.text], 1):
            events += attempt(draw, number, text)
        events.append(terminal_event(kept))
        entries = [Entry(Position(1, seq), event) for seq, event in enumerate(events)]
    sizes = draw(st.lists(st.integers(0, 3), max_size=8))
    batches = []
    for size in sizes:
        batches.append(entries[:size])
        entries = entries[size:]
    return [*batches, entries]


@st.composite
def kept_answers(draw: st.DrawFn) -> Generation:
    status = draw(st.sampled_from([GenerationStatus.COMPLETED, STOPPED, FAILED]))
    kept = a_generation(status=status, last_seq=40, text=draw(TEXTS))
    failure = Failure("upstream_error", "It broke.") if status is FAILED else None
    reason = draw(st.sampled_from(["stop", "length", "content_filter", None]))
    return replace(kept, failure=failure, finish_reason=reason, ended_at=NOON)


def rising(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(numbers))


def numbers_of(events: Sequence[Json]) -> list[int]:
    return [event["sequence_number"] for event in events]


@given(st.data(), kept_answers(), st.booleans())
def test_with_any_number_exactly_the_rest_is_told(
    data: st.DataObject, kept: Generation, background: bool
) -> None:
    call = a_response(background=background)
    # Workers that were lost had said the same.
    same = st.integers(0, len(kept.text)).map(lambda length: kept.text[:length])
    whole = read(call, kept, Before.NOTHING, data.draw(ways(kept, same)))
    assert rising(numbers_of(whole))
    assert text_of(whole) == kept.text
    cut = data.draw(st.integers(0, len(whole) - 1))
    seen = whole[: cut + 1]
    place = place_of(seen[-1]["sequence_number"])
    both = seen + read(call, kept, place, data.draw(ways(kept, same)))
    assert rising(numbers_of(both))
    assert text_of(both) == kept.text

    def others(events: list[Json]) -> list[Json]:
        return [each for each in events if each["type"] != "response.output_text.delta"]

    assert others(both) == others(whole)


@given(st.data(), kept_answers())
def test_whatever_lost_workers_had_said_nobody_is_told_another_text(
    data: st.DataObject, kept: Generation
) -> None:
    """Who can't be told the kept text hears so, or how it failed."""
    call = a_response()
    other = st.integers(1, 5).map(lambda length: "?" * length)
    likely = other | TEXTS | st.just(kept.text + "more") | st.just(kept.text[:-1])
    seen: list[Json] = []
    place: Place = Before.NOTHING
    while not (seen and seen[-1]["type"] in TERMINAL):
        heard = read(call, kept, place, data.draw(ways(kept, likely)))
        assert heard, "nobody waits for what does not come"
        seen += heard[: data.draw(st.integers(1, len(heard)))]
        place = place_of(seen[-1]["sequence_number"])
    assert rising(numbers_of(seen))
    kinds = [each["type"] for each in seen]
    assert sum(kind in TERMINAL for kind in kinds) == 1
    if "response.output_text.done" in kinds or kinds[-1] in (
        "response.completed",
        "response.incomplete",
    ):
        assert text_of(seen) == kept.text
    if kinds[-1] == "error":
        assert seen[-1]["code"] == "answer_restarted"
    assert read(call, kept, place, data.draw(ways(kept, likely))) == []


@given(TEXTS, TEXTS)
def test_who_was_told_another_text_than_the_kept_one_hears_so(other: str, text: str) -> None:
    assume(not text.startswith(other))
    heard = Told()
    heard.hear(Chunk(GENERATION, other))
    kept = a_generation(status=GenerationStatus.COMPLETED, last_seq=2, text=text)
    batches = [catch_up(ORIGIN, Position(1, 2), [], [kept])]
    (error,) = read(a_response(), kept, place_of(heard.mark.number), batches)
    assert error["code"] == "answer_restarted"
    assert error["sequence_number"] > heard.mark.number


# Numbers


@given(TEXTS.filter(bool))
def test_the_number_of_a_mark_is_that_mark(text: str) -> None:
    heard = Told()
    heard.hear(Chunk(GENERATION, text))
    assert place_of(heard.mark.number) == heard.mark
    assert Mark.parse(str(heard.mark)) == heard.mark


def test_a_digest_leaves_room_for_other_numbers() -> None:
    class Zero:
        def update(self, _: bytes) -> None: ...

        def digest(self) -> bytes:
            return bytes(3)

    heard = Told(_hash=cast(Any, Zero()))
    heard.hear(Chunk(GENERATION, "a"))
    assert heard.mark.number == 1 << 24 | RESERVED
    assert place_of(heard.mark.number) == heard.mark


@given(st.integers(0, MOST))
def test_any_number_is_a_place(number: int) -> None:
    place = place_of(number)
    if isinstance(place, Before):
        assert place is Before(min(number, Before.PART_ADDED))
    else:
        assert place.number == number


@given(st.integers(0, 2**29 - 2), st.sampled_from(After))
def test_what_comes_after_a_text_is_above_each_mark_of_it(characters: int, after: After) -> None:
    number = Closing(characters, after).number
    assert Mark(characters, "ffffff").number < number <= MOST
    assert place_of(number) == Closing(characters, after)


# Answers that are not there


async def nobody() -> Shown:
    raise GenerationNotFound


def of_deleted(events: Sequence[StreamEvent], *, gone: bool = False) -> list[Json]:
    entries = [Entry(Position(1, seq), event) for seq, event in enumerate(events)]
    followed = Followed([entries], gone)
    return told(a_response(), a_generation(), Before.NOTHING, followed, nobody)


START = Start(GENERATION, 1, "scripted", "why?")


def test_who_follows_what_is_deleted_is_told_so() -> None:
    events = of_deleted([START, Chunk(GENERATION, "so")], gone=True)
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "generation_not_found")
    assert rising(numbers_of(events))


def test_what_is_deleted_as_it_ends_is_told_as_well() -> None:
    ended = terminal_event(a_generation(status=GenerationStatus.COMPLETED, last_seq=2))
    events = of_deleted([START, Chunk(GENERATION, "so"), ended])
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "generation_not_found")


def test_while_the_database_is_away_the_end_is_not_told_and_the_client_comes_back() -> None:
    async def away() -> Shown:
        raise DatabaseUnavailable

    kept = a_generation(status=GenerationStatus.COMPLETED, last_seq=2, text="so")
    followed = Followed([catch_up(ORIGIN, Position(1, 2), [], [kept])])
    with pytest.raises(DatabaseUnavailable):
        told(a_response(), kept, Before.NOTHING, followed, away)


def test_options_of_a_response_stand_in_its_events() -> None:
    call = replace(
        a_response(), prompt=replace(a_response().prompt, options=Options(temperature=0.5))
    )
    kept = a_generation(status=GenerationStatus.COMPLETED, last_seq=2, text="so")
    batches = [catch_up(ORIGIN, Position(1, 2), [], [kept])]
    events = read(call, kept, Before.NOTHING, batches)
    assert [e["response"]["temperature"] for e in events if "response" in e] == [0.5, 0.5, 0.5]
