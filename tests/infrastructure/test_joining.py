from hypothesis import given
from hypothesis import strategies as st

from application.events import Chunk, Reasoning
from infrastructure.joining import KEPT_APART, Piece, join
from tests.builders import GENERATION

pieces = st.lists(
    st.one_of(
        st.builds(Chunk, st.just(GENERATION), st.text()),
        st.builds(Reasoning, st.just(GENERATION), st.text()),
    ),
    max_size=40,
)


def texts(of: list[Piece]) -> list[tuple[type[Piece], str]]:
    """Text by kind, as a reader who joins everything would have it."""
    read: list[tuple[type[Piece], str]] = []
    for piece in of:
        if read and read[-1][0] is type(piece):
            read[-1] = (type(piece), read[-1][1] + piece.text)
        else:
            read.append((type(piece), piece.text))
    return read


@given(pieces)
def test_joining_changes_no_text_and_mixes_no_kinds(pending: list[Piece]) -> None:
    joined = list(join(pending))
    assert texts(joined) == texts(pending)
    if len(pending) <= KEPT_APART:
        assert joined == pending
    else:
        assert len(joined) == len(texts(pending))
