"""The pieces of a local model's answer, given out while its tokens come.

A piece is given out only when what follows can no longer take it back: not the token that came last, which may end
the reply or be half a character, not whitespace at the end, not what may begin a stop string.
It knows an engine's texts, and neither messages nor prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clemcore.backends.local.engine import Engine

# Tokens at the end that an entry's pattern for ends (`eos_to_cull`) may still cut off.
_HELD_BEFORE_AN_END = 8


class Pieces:
    """Gives out the answer of one reply.

    Args:
        engine: has the tokens.
        take: gets each piece.
        answer_start: returns where the answer begins in what was generated so far, or None.
        stops: the stop strings of the reply.
        has_end_pattern: whether the entry names a pattern that is cut off at the end.
        answer_token: under a constraint, whose answers keep every blank: returns the number of the answer's first
            token, or None. It stands in for ``answer_start``.
    """

    def __init__(
        self,
        engine: Engine,
        take: Callable[[str], None],
        answer_start: Callable[[str], int | None],
        *,
        stops: Sequence[str],
        has_end_pattern: bool,
        answer_token: Callable[[], int | None] | None = None,
    ) -> None:
        self._engine = engine
        self._take = take
        self._answer_start = answer_start
        self._stops = stops
        self._held = _HELD_BEFORE_AN_END if has_end_pattern else 1
        self._answer_token = answer_token
        self._given = ""

    def __call__(self, ids: Sequence[int]) -> None:
        """Take all new ids so far, and give out what is certain of the answer."""
        begun = self._begun(ids[: -self._held])
        if begun is None:
            return
        answer = self._certain(begun)
        if not answer.startswith(self._given) or answer == self._given:
            return
        piece = answer[len(self._given) :]
        self._given = answer
        self._take(piece)

    def _begun(self, ids: Sequence[int]) -> str | None:
        """Return the text of the answer in some ids, or None where it has not begun for good."""
        if self._answer_token is None:
            text = self._engine.decode(ids)
            start = self._answer_start(text)
            return None if start is None else text[start:].lstrip()
        first = self._answer_token()
        if first is None:
            return None
        # By its bytes: a tokenizer may drop a blank at the beginning of what it decodes.
        return b"".join(map(self._engine.bytes_of, ids[first:])).decode("utf-8", errors="replace")

    def _certain(self, text: str) -> str:
        """Return a text without an end that may change: half a character, whitespace, what begins a stop string."""
        text = text.rstrip("�").rstrip()
        ends = [
            len(text) - size
            for stop in self._stops
            for size in range(1, min(len(stop), len(text)) + 1)
            if text.endswith(stop[:size])
        ]
        return text[: min(ends)].rstrip() if ends else text
