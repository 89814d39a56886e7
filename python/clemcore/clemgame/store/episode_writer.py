"""Writing one attempt at an episode: each call before its player sees the answer, and the end at once.

It knows in which order frames are written. It does not know the file they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.calls.encoding import to_json
from clemcore.clemgame.store.contents import ENDED, StoredCall
from clemcore.clemgame.store.episode_log import EpisodeLog
from clemcore.clemgame.store.frames import Pieces, Stream, call_frame, differs_frame, events_frame
from clemcore.clemgame.store.pieces import Cutter
from clemcore.clemgame.store.record_cursor import RecordCursor
from clemcore.secrets import scrub_json

# The most bytes of records that an episode keeps in memory. If it has more, all are read from the store on use.
MOST_RECORDS = 65_536


@dataclass(frozen=True)
class Shared:
    """What an episode has shared with those that begin like it.

    Attributes:
        frames: the frames of its calls.
        turns: the pieces of its interactions, in order.
        calls: the pieces of its frames.
        cutter: cuts the records of later calls.
    """

    frames: Sequence[bytes]
    turns: Pieces
    calls: Pieces
    cutter: Cutter


class EpisodeWriter:
    """Writes one attempt at an episode. Only one thread at a time may use it.

    Attributes:
        attempt: the number of this attempt, from 1.
        earlier: the calls of earlier attempts that still count, by number. Long records are left out (b""):
            :meth:`whole` reads them.
    """

    def __init__(
        self,
        log: EpisodeLog,
        number_of: Callable[[bytes], int],
        episode: tuple[int, str],
        attempt: int,
        stream: Stream,
        *,
        facts: Callable[[], dict[str, Any]],
    ) -> None:
        """Begin an attempt.

        Args:
            log: what episodes have written.
            number_of: keeps a piece that episodes share, and returns its number.
            episode: the number of the episode, and the name of its game.
            attempt: the number of this attempt.
            stream: what earlier attempts wrote.
            facts: returns what is noted with every episode that ends now.
        """
        self.attempt = attempt
        self.earlier: Sequence[StoredCall] = _without_long_records(stream.ordered())
        self._cursor: RecordCursor | None = None
        self._log = log
        self._number_of = number_of
        self._episode = episode
        self._facts = facts
        self._frames: list[bytes] = []
        self._events: list[bytes] = []
        self._waiting: list[bytes] = []
        self._turns: Pieces = ()
        self._calls: Pieces = ()
        self._counting = {call.number: call for call in self.earlier}
        self._is_torn = False
        self._follow(stream)

    def _follow(self, stream: Stream) -> None:
        """Continue behind what is in the file."""
        self._frames = stream.frames
        self._cutter = Cutter(self._number_of)
        for call, record in zip(stream.made, stream.records, strict=True):
            self._cutter.add(call.player, record)

    def share(self, turns: bytes) -> Shared:
        """Keep everything so far as pieces that another episode can begin with, and return them.

        Args:
            turns: the interactions so far, as they stand in those at the end.
        """
        if self._is_torn:
            self._mend()
        self._turns = self._grown(self._turns, scrub_json(turns))
        self._calls = self._grown(self._calls, b"".join(self._frames))
        return Shared([*self._frames], self._turns, self._calls, self._cutter.copied())

    def _grown(self, pieces: Pieces, content: bytes) -> Pieces:
        known = b"".join(piece for _, piece in pieces)
        fresh = content[len(known) :] if content.startswith(known) else b""
        return [*pieces, (self._number_of(fresh), fresh)] if fresh else pieces

    def begin_with(self, shared: Shared, facts: dict[str, Any]) -> None:
        """Begin with what another episode has shared.

        Args:
            shared: what it has shared.
            facts: noted about this episode while it is live; its end must note them again.

        Raises:
            StoreError: it could not be written.
        """
        self._turns, self._calls, self._cutter = shared.turns, shared.calls, shared.cutter.copied()
        self._frames = [*shared.frames]
        self._log.note(self._episode[0], to_json({**self._facts(), **facts}))
        self._log.append(self._episode[0], self._frames, shared.calls)

    def whole(self, call: StoredCall) -> StoredCall:
        """Return a call of an earlier attempt with its record.

        Raises:
            StoreError: it cannot be read.
        """
        if call.record:
            return call
        if self._cursor is None:
            self._cursor = self._log.cursor([*self._frames])
        return self._cursor.call_of(call.number)

    def read_back(self, numbers: Iterable[int]) -> Iterator[StoredCall]:
        """Give calls of this episode, as they were written.

        Args:
            numbers: the numbers of the calls.

        Raises:
            StoreError: they cannot be read.
        """
        if self._is_torn:
            self._mend()
        cursor = self._log.cursor(self._frames)
        return (cursor.call_of(number) for number in numbers)

    def _mend(self) -> None:
        """Find out whether a call is in the file whose write was interrupted: later ones may refer to it."""
        stream = self._log.stream(self._episode[0])
        if len(stream.frames) > len(self._frames):
            self._waiting.clear()
            self._events.clear()
        self._follow(stream)
        self._is_torn = False

    def event(self, event: bytes) -> None:
        """Take the JSON of one logged event; it is written with the next call."""
        self._events.append(scrub_json(event))

    def call(self, call: StoredCall) -> None:
        """Write a call, and the events before it; they are in the file when this returns.

        A call of an earlier attempt that still counts is in the file already. Another call of the same number takes
        its place, and the earlier calls behind it no longer count.

        Raises:
            StoreError: it could not be written; then nothing more is.
        """
        known = self._counting.pop(call.number, None) if self._counting else None
        if known is not None:
            if self.whole(known).record == call.record:
                return
            self.differs_from(call.number)
        if call.attempt != self.attempt:
            call = call._replace(attempt=self.attempt)
        if self._is_torn:
            self._mend()
        self._is_torn = True
        frames = [*self._waiting, call_frame(call, self._cutter)]
        self._log.append(self._episode[0], [events_frame(self._events), *frames] if self._events else frames)
        self._frames += frames
        self._waiting.clear()
        self._events.clear()
        self._is_torn = False

    def differs_from(self, number: int) -> None:
        """Let earlier calls from a number on no longer count; they stay in the file as superseded."""
        self._counting = {known: call for known, call in self._counting.items() if known < number}
        self._waiting.append(differs_frame(number))

    def finish(
        self,
        state: str,
        interactions: bytes,
        *,
        error: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """End the attempt, in one transaction.

        Args:
            state: "played", "error" or "limit".
            interactions: the episode's interactions as JSON, as far as it came.
            error: type, message, traceback, and the name and value of a limit.
            facts: what else is known of this attempt.

        Raises:
            StoreError: it could not be written.
        """
        if state not in ENDED:
            raise ValueError(f"an episode ends as {', '.join(sorted(ENDED))}, not as {state!r}")
        if self._is_torn:
            self._mend()
        interactions = scrub_json(interactions)
        calls = b"".join([*self._frames, *self._waiting])
        noted = {**self._facts(), **(facts or {})}
        self._log.finish(
            self._episode,
            state,
            (len(interactions), interactions + calls),
            None if error is None else to_json(error),
            to_json(noted) if noted else None,
            shared=(self._turns, self._calls),
        )


def _without_long_records(calls: Sequence[StoredCall]) -> Sequence[StoredCall]:
    if sum(len(call.record) for call in calls) <= MOST_RECORDS:
        return calls
    return [call._replace(record=b"") for call in calls]
