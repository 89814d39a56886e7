"""Adds the scores of episodes to an evaluation, each episode once, and notes those that cannot be used.

It reads the files of scores that are not known. It does not know where they were looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from clemcore.clemgame.results.known_scores import KnownEpisodes, KnownScores
from clemcore.clemgame.results.score_files import SCORED, UNSCORED, EpisodeScores, ScoreNames

if TYPE_CHECKING:
    from clemcore._core import Evaluation

# Episodes that are handed to the core at once.
_AT_ONCE = 500
# Game, line-up, experiment, and the folder of the epoch or "".
_Cell: TypeAlias = "tuple[str, str, str, str]"


@dataclass(frozen=True)
class Problem:
    """An episode that does not count as it is.

    Attributes:
        place: the file.
        text: what is wrong with it.
        is_played: whether its game computes the metric "Played".
    """

    place: Path
    text: str
    is_played: bool = False


class Adding:
    """Adds episodes to an evaluation, in the order in which they come.

    An episode whose scores cannot be used is noted as one without scores, or it would be missing in the counts, and
    the clemscore would be that of the others.

    Args:
        evaluation: takes them.
        known: the scores that were read before.
        model: only line-ups with this text in their name; None for all.
        game: only this game; None for all.

    Attributes:
        count: how many episodes were added.
        problems: the episodes that do not count.
        without: names of episodes that have no scores, and what became of each.
    """

    def __init__(
        self, evaluation: Evaluation, known: KnownScores, *, model: str | None = None, game: str | None = None
    ) -> None:
        self._evaluation = evaluation
        self._known = known
        self._model, self._game = model, game
        self._seen = _Seen(known)
        # Of the two, one is empty: scores are added in the order in which they come.
        self._read: list[tuple[EpisodeScores, bytes]] = []
        self._recalled: list[int] = []
        self.count = 0
        self.problems: list[Problem] = []
        self.without: list[tuple[ScoreNames, str]] = []

    def add(self, found: Iterable[EpisodeScores | KnownEpisodes]) -> None:
        """Add all episodes that have scores, and note the others."""
        for each in found:
            if isinstance(each, KnownEpisodes):
                self._add_known(each)
            elif each.outcome != SCORED:
                self.without.append((each.names, each.outcome))
            elif self._is_wanted(each.names):
                self._add_file(each)
        self._flush()

    def _is_wanted(self, names: ScoreNames) -> bool:
        return (self._model is None or self._model in names.model) and self._game in (None, names.game)

    def _add_known(self, episodes: KnownEpisodes) -> None:
        first = ScoreNames._make(self._known.names_of(episodes.first))
        if not self._is_wanted(first):
            return
        if not self._seen.take(first, episodes):
            for number in episodes.numbers:
                self._add_file(_known_one(self._known, number), number)
            return
        self._note_known(episodes.numbers)

    def _note_known(self, numbers: Iterable[int]) -> None:
        if self._read:
            self._flush()
        self._recalled += numbers

    def _add_file(self, scores: EpisodeScores, number: int | None = None) -> None:
        """Add the scores of a file, which are known if they have a number."""
        first = self._seen.first(scores)
        if number is not None and first is scores:
            self._note_known([number])
            return
        try:
            data = scores.read()
            if first is not scores:
                self.problems.append(Problem(scores.place, _repeated(first, data)))
                return
        except OSError as fault:
            self.problems.append(Problem(scores.place, f"cannot be read: {fault.strerror}"))
            if first is scores:
                self.without.append((scores.names, UNSCORED))
            return
        if self._recalled:
            self._flush()
        self._read.append((scores, data))
        if len(self._read) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._evaluation.add_recalled(self._recalled)
        refused = self._evaluation.add([(scores.names, data) for scores, data in self._read])
        for at, is_played, text in refused:
            scores, _ = self._read[at]
            self.problems.append(Problem(scores.place, text, is_played))
            self.without.append((scores.names, UNSCORED))
        unusable = {at for at, _, _ in refused}
        self._known.added += self._recalled
        self._known.added += [scores for at, (scores, _) in enumerate(self._read) if at not in unusable]
        self.count += len(self._recalled) + len(self._read) - len(refused)
        self._recalled.clear()
        self._read.clear()


class _Seen:
    """The episodes that came, to find two folders of one episode.

    Known episodes of a folder differ from each other, so they are looked at one by one only if another folder has
    episodes of the same game, line-up and experiment.
    """

    def __init__(self, known: KnownScores) -> None:
        self._known = known
        self._episodes: dict[_Cell, dict[ScoreNames, EpisodeScores]] = {}
        self._together: dict[_Cell, KnownEpisodes] = {}

    def take(self, names: ScoreNames, episodes: KnownEpisodes) -> bool:
        """Take known episodes of one folder if they are the first ones of their cell; tell whether they are."""
        cell = _cell_of(names)
        if cell in self._episodes or cell in self._together:
            return False
        self._together[cell] = episodes
        return True

    def first(self, scores: EpisodeScores) -> EpisodeScores:
        """Return the first folder of an episode: this one, or an earlier one."""
        cell = _cell_of(scores.names)
        of_cell = self._episodes.get(cell)
        if of_cell is None:
            of_cell = self._episodes[cell] = {}
            together = self._together.pop(cell, None)
            for number in together.numbers if together is not None else ():
                known = _known_one(self._known, number)
                of_cell[known.names.scope()] = known
        return of_cell.setdefault(scores.names.scope(), scores)


def _known_one(known: KnownScores, number: int) -> EpisodeScores:
    return EpisodeScores(ScoreNames._make(known.names_of(number)), known.path_of(number))


def _cell_of(names: ScoreNames) -> _Cell:
    game, model, experiment, episode = names
    return game, model, experiment, episode.rpartition("/")[0]


def _repeated(first: EpisodeScores, data: bytes) -> str:
    how = "repeats" if first.read() == data else "contradicts"
    return f"{how} {first.place}, which counts: both have the same line-up, game, experiment and instance"
