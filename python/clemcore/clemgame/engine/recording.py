"""The interactions of a live episode, and each of their events as JSON. It does not know how they are stored."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from clemcore.calls.encoding import JsonText, dumped, object_of, to_json
from clemcore.clemgame.recorder import GameInteractionsRecorder
from clemcore.secrets import scrub_json


class EpisodeRecorder(GameInteractionsRecorder):
    """Keeps the interactions of an episode; each event is encoded once.

    Args:
        identity: game, experiment and instance.
        folder_name: the run's folder, as it stands in records.
        infos: the models, as they stand in records.
        on_encoded: called with each event as JSON, with the secrets that it may hold.
    """

    def __init__(
        self,
        identity: tuple[str, str, int],
        folder_name: str,
        infos: Any,
        on_encoded: Callable[[bytes], None],
    ) -> None:
        """Begin with no events."""
        super().__init__(*identity, folder_name, infos, on_event=self._encode)
        self._on_encoded = on_encoded
        self._rounds: list[list[bytes]] = [[]]

    @property
    def round(self) -> int:
        """The current round, from 0."""
        return self._current_round

    def _encode(self, event: dict[str, Any]) -> None:
        text = dumped(event)  # whoever keeps it takes out secrets
        rounds = self._rounds
        while len(rounds) <= self._current_round:
            rounds.append([])
        rounds[-1].append(text)
        self._on_encoded(text)

    def _turns(self) -> bytes | None:
        """Return the events as JSON, or None if a game has changed them itself."""
        turns = self.interactions["turns"]
        rounds = [*self._rounds, *([] for _ in range(len(turns) - len(self._rounds)))]
        if [len(turn) for turn in turns] != [len(events) for events in rounds]:
            return None
        return b"[%s]" % b", ".join(b"[%s]" % b", ".join(events) for events in rounds)

    def turns_so_far(self) -> bytes:
        """Return the events as they stand in the interactions at the end; empty if that is not known."""
        return (self._turns() or b"")[: -len(b"]]")]

    def copied_with(self, on_encoded: Callable[[bytes], None], memo: dict[int, Any]) -> EpisodeRecorder:
        """Return a copy whose later events go to somebody else.

        Args:
            on_encoded: gets each later event as JSON.
            memo: what is copied with it (see ``copy.deepcopy``).
        """
        memo[id(self._on_encoded)] = on_encoded
        return copy.deepcopy(self, memo)

    def to_json(self) -> bytes:
        """Return the interactions so far as JSON."""
        text = self._turns()
        if text is None or not all(type(name) is str for name in self.interactions):
            return to_json(self.interactions)
        fields = {
            name: JsonText(text if name == "turns" else dumped(value)) for name, value in self.interactions.items()
        }
        return scrub_json(object_of(fields))
