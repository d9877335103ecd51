"""One subscriber's way through a session's stream, and all those of a process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from application.catch_up import catch_up, with_progress
from application.events import Entry, Opening, Snapshot, Terminal
from application.ports import EventStream, OpenUnitOfWork, PositionLost, Subscription
from domain.generation import Generation
from domain.identifiers import GenerationId, SessionId, UserId
from domain.position import ORIGIN, Position

MOST_AT_ONCE: Final = 256
"""Entries in a batch."""

MISSED_AT_ONCE: Final = 2
"""Answers read from the database in one step for one who comes back: however many were missed, and
however slowly they are read, a subscriber holds no more of them."""


class Following:
    """One subscriber: a cursor into a session's stream.

    An async iterator of batches of entries, in order, each position once. An empty batch only says
    that the subscriber was woken. It stops when the followed generation has ended, when the
    session is `gone`, or after `end`.
    """

    __slots__ = (
        "_answering", "_believed", "_compared", "_ended", "_look", "_pending", "_stale", "_stream",
        "_subscription", "began", "gone", "only", "position", "session_id",
    )  # fmt: skip

    def __init__(
        self,
        look: "Look",
        stream: EventStream,
        session_id: SessionId,
        only: GenerationId | None,
        view: Subscription,
    ) -> None:
        self.session_id: Final = session_id
        self.only: Final = only
        self.began = self.position = ORIGIN
        self.gone = False
        self._look = look
        self._stream = stream
        self._subscription = view
        self._pending: Sequence[Entry] | None = None
        self._answering: GenerationId | None = None
        self._believed = False
        self._compared = ORIGIN
        self._stale = False
        self._ended = False

    async def begin(self, cursor: Position | None) -> bool:
        """Look where this cursor stands; `began` is then the position before the first batch.

        False if what is to be followed does not exist.
        """
        looked, streamed = await self._read(cursor)
        if looked is None:
            return False
        held = with_progress(streamed, looked.generations)
        if cursor is not None and cursor > _top(looked, held):
            self._believed = self._may_be_ours(cursor, looked, streamed)
            if not self._believed:
                cursor = None  # a foreign one counts as none
                if self.only is None:
                    looked = looked.running_only()
        self.began = self.position = looked.end if cursor is None else cursor
        self._pending = self._bring_up(cursor, looked, held)
        return True

    @property
    def is_over(self) -> bool:
        """There is nothing to show, and nothing will come."""
        return self._ended and not self._pending

    def __aiter__(self) -> "Following":
        return self

    async def __anext__(self) -> Sequence[Entry]:
        pending = self._pending
        if pending is None:
            if self._ended:
                raise StopAsyncIteration
            pending = await self._more()
        self._pending = pending[MOST_AT_ONCE:] or None
        return pending[:MOST_AT_ONCE]

    async def _more(self) -> Sequence[Entry]:
        while not self._stale:
            try:
                entries = await self._subscription.next(self.position)
            except PositionLost as lost:
                shown = await self._catch_up()
                # While the stream is away, what an answer has said up to the floor was perhaps not
                # told: it is when the stream is back, or from the database.
                untold = self._stream.away and self._answering is not None
                if not (untold or self._stale):
                    self.position = max(self.position, lost.floor)
                return shown
            if self._misses_an_end(entries):
                break
            shown = self._show(entries)
            if shown or not entries or self._ended:
                return shown  # else it was all of other generations than the followed one
        return await self._catch_up()

    def wake(self) -> None:
        """Make the iterator give an empty batch, if it has nothing better."""
        self._subscription.wake()

    def end(self) -> None:
        """Make the iterator stop."""
        self._ended = True
        self._subscription.wake()

    def compare(self, reached: Position | None) -> None:
        """Told by the watchdog how far the session is; None if it is gone."""
        if reached is not None:
            doubtful = self._believed and reached.fence == self.position.fence
            if reached <= self.position and not doubtful:
                return
            self._compared = reached
        self._stale = True
        self._subscription.wake()

    async def _catch_up(self) -> Sequence[Entry]:
        """Take from the database what the stream does not tell."""
        self._stale, compared = False, self._compared
        looked, streamed = await self._read(self.position)
        if looked is None:
            self.gone = self._ended = True
            return ()
        held = with_progress(streamed, looked.generations)
        if self._believed and _is_disproved(self.position, looked):
            self._believed = False
            self.position = Position(self.position.fence, -1)  # nothing of it was seen
        shown = self._bring_up(self.position, looked, held)
        if self.only is not None:  # how far others are shows nothing: it is not looked at again
            self.position = max(self.position, compared)
        return shown

    async def _read(self, cursor: Position | None) -> "tuple[Looked | None, Sequence[Entry]]":
        looked = await self._look(self.session_id, self.only, cursor)
        held: Sequence[Entry] = ()
        if cursor is not None:  # mostly it is held, and what was before it is of no use
            held = await self._subscription.held(cursor)
        if not held or held[0].position != cursor:
            held = await self._subscription.held()
        return looked, held

    def _may_be_ours(self, cursor: Position, looked: "Looked", streamed: Sequence[Entry]) -> bool:
        """Whether a cursor above all that is known may be of this session: what it has seen of a
        running answer can be lost. It is believed until that answer ends below it."""
        running = [each for each in looked.generations if not each.ended]
        if not running or running[-1].fence < cursor.fence:
            return False
        told = any(entry.position.fence == cursor.fence for entry in streamed)
        return self._stream.away or not told

    def _bring_up(
        self, cursor: Position | None, looked: "Looked", held: Sequence[Entry]
    ) -> Sequence[Entry]:
        reached = _top(looked, held)
        last = looked.generations[-1] if looked.generations else None
        if last is not None and last.end is not None:
            if self.only is not None:
                self._ended = True
            elif len(looked.generations) == MISSED_AT_ONCE:  # and there may be more of them
                held = [entry for entry in held if entry.position <= last.end]
                reached = last.end
                self._stale = True
        self._answering = last.id if last is not None and not last.ended else None
        shown = self._show(catch_up(cursor, looked.end, held, looked.generations))
        self.position = max(self.position, reached)
        return shown

    def _misses_an_end(self, entries: Sequence[Entry]) -> bool:
        """Whether another answer begins or ends although what was before it was not seen to end,
        nor to go on after it: it may have stepped aside."""
        answering, fence = self._answering, self.position.fence
        goes_on = True
        for entry in entries:
            if entry.position.fence > fence + 1:
                return True  # what happened between was shown elsewhere, if at all
            event = entry.event
            if event.generation_id == answering:
                goes_on = True
            if isinstance(event, Terminal):
                if answering not in (None, event.generation_id):
                    goes_on = False
                else:
                    answering = None
            elif isinstance(event, Opening | Snapshot):
                if answering not in (None, event.generation_id):
                    return True
                answering = event.generation_id
            fence = entry.position.fence
        return not goes_on

    def _show(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        for entry in entries:
            event = entry.event
            if isinstance(event, Opening):
                self._answering = event.generation_id
            elif isinstance(event, Snapshot):  # its opening may be lost
                self._answering = self._answering or event.generation_id
            elif isinstance(event, Terminal):
                if event.generation_id == self._answering:
                    self._answering = None
                self._ended = self._ended or event.generation_id == self.only
        if entries:
            self.position = max(self.position, entries[-1].position)
        if self.only is None:
            return entries
        return [entry for entry in entries if entry.event.generation_id == self.only]


@dataclass(frozen=True, slots=True)
class Looked:
    """What the database says of a followed session: where its last ended answer ended, and the
    generations that a subscriber may have to be shown."""

    end: Position
    generations: Sequence[Generation]

    def running_only(self) -> "Looked":
        return Looked(self.end, [each for each in self.generations if not each.ended])


def _top(looked: Looked, held: Sequence[Entry]) -> Position:
    """The last position that is known of in the session."""
    return max(looked.end, held[-1].position) if held else looked.end


def _is_disproved(cursor: Position, looked: Looked) -> bool:
    """Whether its fence ended below it."""
    ends = [each.end for each in looked.generations if each.end is not None]
    return any(end.fence == cursor.fence and end < cursor for end in ends)


@dataclass(frozen=True, slots=True)
class Look:
    """Read what one user may see of a session; None if it is not there for them."""

    open_unit_of_work: OpenUnitOfWork
    user: UserId

    async def __call__(
        self, session_id: SessionId, only: GenerationId | None, cursor: Position | None
    ) -> Looked | None:
        async with self.open_unit_of_work(read_only=True) as work:
            session = await work.sessions.find(session_id, self.user)
            if session is None:
                return None
            if only is None:
                fence = None if cursor is None else cursor.fence
                since = await work.generations.since(session_id, fence, MISSED_AT_ONCE)
                return Looked(session.end, since)
            generation = await work.generations.find(only, self.user)
            if generation is None:
                return None
            begun = generation.attempt or generation.ended
            return Looked(session.end, [generation] if begun else [])


@dataclass(frozen=True, slots=True)
class Followers:
    """Who follows what in this process."""

    by_session: dict[SessionId, set[Following]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Following]:
        for followings in list(self.by_session.values()):
            yield from list(followings)

    @contextmanager
    def including(self, following: Following) -> Iterator[None]:
        followings = self.by_session.setdefault(following.session_id, set())
        followings.add(following)
        try:
            yield
        finally:
            followings.remove(following)
            if not followings:
                del self.by_session[following.session_id]

    def end(self) -> None:
        """The process stops: every stream ends, to be taken up elsewhere."""
        for following in self:
            following.end()
