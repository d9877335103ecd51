from contextlib import aclosing

import pytest

from application.ports import ChatModel, Finish, Piece
from domain.message import Role
from domain.prompt import Options, Prompt, PromptMessage
from infrastructure.models.simulated import SimulatedLongModel, SimulatedModel

WHOLE = "".join(f"chunk {number}: Hi" for number in range(1, 6))


async def pieces_of(model: ChatModel, options: Options) -> list[Piece]:
    prompt = Prompt((PromptMessage(Role.USER, "Hi"),), options=options)
    async with aclosing(model.stream(prompt)) as pieces:
        return [piece async for piece in pieces]


def told(pieces: list[Piece]) -> tuple[str, str | None]:
    *texts, finish = pieces
    assert isinstance(finish, Finish)
    said = "".join(piece.text for piece in texts if not isinstance(piece, Finish))
    return said, finish.reason


@pytest.mark.parametrize(
    ("tokens", "said", "reason"),
    [
        (1, WHOLE[:4], "length"),
        (5, WHOLE[:20], "length"),
        (13, WHOLE[:52], "length"),
        (14, WHOLE, "stop"),
        (1_000, WHOLE, "stop"),
    ],
)
async def test_it_says_no_more_than_it_may(tokens: int, said: str, reason: str) -> None:
    for options in (Options(max_tokens=tokens), Options(max_completion_tokens=tokens)):
        pieces = await pieces_of(SimulatedModel(delay=0), options)
        assert told(pieces) == (said, reason)


async def test_no_piece_is_empty_at_the_very_bound() -> None:
    """Four tokens are two chunks of `chunk 1: ` and a question of seven characters."""
    prompt = Prompt((PromptMessage(Role.USER, "1234567"),), options=Options(max_tokens=4))
    async with aclosing(SimulatedModel(delay=0).stream(prompt)) as stream:
        pieces = [piece async for piece in stream]
    assert told(pieces) == ("chunk 1: 1234567", "length")
    assert len(pieces) == 2


async def test_the_long_one_too() -> None:
    said, reason = told(
        await pieces_of(SimulatedLongModel(delay=0, chunks=400), Options(max_tokens=10))
    )
    assert (len(said), reason) == (40, "length")
