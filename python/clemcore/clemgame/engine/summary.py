"""What a run has come to. It does not know how it is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

# Episodes that are named; of further ones only the number is known, so that a long run needs no more memory.
_MOST_NAMED = 100


@dataclass
class Summary:
    """What a run has come to.

    Attributes:
        counts: episodes of this run by outcome: "played", "error", "limit".
        earlier: planned episodes that an earlier run had completed.
        left: planned episodes that are not completed.
        calls: calls of models.
        failed_calls: those that failed.
        programs: answers of programmatic players.
        input_tokens: tokens of prompts.
        output_tokens: tokens of answers.
        usd: what the calls cost.
        seconds: how long the run took.
        modes: answers of local models by what they depend on and number format; see :class:`Tally`.
        errors: episodes that ended with an error or at a limit, with what ended them; the first hundred.
        kinds: number of errors by type, and of limits by name.
        failed_games: games that could not be loaded, with the error.
        unwritten: episodes that are in the store, but whose files could not be written, with the error; the first
            hundred.
        stopped_by: "budget", "interrupt", "store" or "stuck"; None if everything was played.
        error: what stopped the run, if an error did.
        notes: what else the user should know.
    """

    counts: Counter[str] = field(default_factory=Counter)
    earlier: int = 0
    left: int = 0
    calls: int = 0
    failed_calls: int = 0
    programs: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    modes: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[tuple[EpisodeKey, dict[str, Any]]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    failed_games: dict[str, dict[str, Any]] = field(default_factory=dict)
    unwritten: list[tuple[EpisodeKey, dict[str, Any]]] = field(default_factory=list)
    stopped_by: str | None = None
    error: BaseException | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """The exit status of a command: 0 all played, 1 some failed, 3 no budget left, 130 interrupted."""
        if self.stopped_by == "interrupt":
            return 130
        if self.stopped_by == "budget":
            return 3
        is_good = not (self.left or self.failed_games or self.unwritten or self.stopped_by)
        return 0 if is_good and not (self.counts["error"] or self.counts["limit"]) else 1

    def add_unwritten(self, key: EpisodeKey, error: dict[str, Any]) -> bool:
        """Note an episode whose files could not be written; tell whether it is the first one."""
        if len(self.unwritten) < _MOST_NAMED:
            self.unwritten.append((key, error))
        return len(self.unwritten) == 1

    def add_error(self, key: EpisodeKey, error: dict[str, Any]) -> None:
        """Note an episode that ended with an error or at a limit."""
        self.kinds[str(error.get("limit") or error.get("type"))] += 1
        if len(self.errors) < _MOST_NAMED:
            self.errors.append((key, {name: error[name] for name in ("type", "message", "limit") if name in error}))

    def words_of_modes(self) -> str | None:
        """Return how local models computed their answers, and what follows from it; None without such answers."""
        if not self.modes:
            return None
        counts: Counter[str] = Counter()
        for (mode, _), count in self.modes.items():
            counts[mode] += count
        words = f"answers of local models: {', '.join(f'{counts[mode]} {mode}' for mode in sorted(counts))}"
        formats = sorted({dtype for mode, dtype in self.modes if mode != "exact" and dtype != "float32"})
        if formats:
            words += f"; in {', '.join(formats)}, only exact answers do not depend on concurrency and resume"
        return words
