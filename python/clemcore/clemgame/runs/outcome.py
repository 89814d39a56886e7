"""What a command says at its end about each run: what was played, what went wrong, and what to do.

It does not know how episodes are played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.engine.progress import calls_in_words

if TYPE_CHECKING:
    from clemcore.clemgame.engine import Summary
    from clemcore.clemgame.plan import EpisodeKey
    from clemcore.clemgame.runs.preparing import PlannedRun
    from clemcore.clemgame.store import EpisodeState

PLAYED, ENDED_BADLY, REFUSED, OUT_OF_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130
# Errors that are shown one by one.
_SHOWN = 5
_LONGEST = 300


def status_of(summary: Summary, run: PlannedRun, states: dict[EpisodeKey, EpisodeState]) -> int:
    """Return the exit status that a run would have alone."""
    by_reason = {"budget": OUT_OF_BUDGET, "interrupt": INTERRUPTED}
    if summary.stopped_by is not None:
        return by_reason.get(summary.stopped_by, ENDED_BADLY)
    if summary.failed_games or summary.unwritten:
        return ENDED_BADLY
    planned = (states.get(key) for game in run.games for key in game.episode_keys())
    return PLAYED if all(state is not None and state.state == "played" for state in planned) else ENDED_BADLY


def lines_of(
    run: PlannedRun, summary: Summary, states: Mapping[EpisodeKey, EpisodeState] | None = None
) -> Iterator[str]:
    """Give the lines of the summary: what was played, what went wrong, and what to do.

    Args:
        run: what was planned.
        summary: what was played.
        states: the states of all episodes at the end, where they are known.
    """
    counts = {"played": "played", "error": "ended by an error", "limit": "ended by a limit"}
    parts = [f"{summary.counts[name]} {words}" for name, words in counts.items() if summary.counts[name]]
    if summary.earlier:
        parts.append(f"{summary.earlier} completed before")
    earlier = _failed_before(run, summary, states or {})
    parts += [f"{count} {counts[state]} before" for state, count in earlier.items() if count]
    if summary.left:
        parts.append(f"{summary.left} left")
    usd = f", {summary.usd:.4g} USD" if summary.usd else ""
    episodes = ", ".join(parts)
    if not summary.left and not summary.counts.total():
        episodes = f"nothing to play ({episodes})" if episodes else "nothing to play"
    yield f"{run.folder}: {episodes}; {calls_in_words(summary.calls, summary.programs)}{usd}"
    modes = summary.words_of_modes()
    if modes is not None:
        yield modes
    yield from summary.notes
    for name, error in summary.failed_games.items():
        message, trace = str(error["message"]), str(error.get("traceback", "")).rstrip()
        shown = message if "Traceback" in message or not trace else f"{message}\n{trace}"
        yield f"game '{name}' cannot be played: {error['type']}: {shown}"
    for key, error in summary.errors[:_SHOWN]:
        yield f"{key}: {one_line(error)}"
    if len(summary.errors) > _SHOWN:
        yield f"and {sum(summary.kinds.values()) - _SHOWN} more: 'clem status {run.folder}' shows the newest"
    if summary.counts["error"]:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in summary.kinds.most_common(_SHOWN))
        yield f"the same command with --retry-errors plays failed episodes again; errors were: {kinds}"
    elif earlier["error"]:
        yield "--retry-errors plays the episodes again that ended by an error before"
    if earlier["limit"]:
        yield "an episode that ended by a limit is played again when the limit is higher, such as with --max-calls"
    for key, error in summary.unwritten[:1]:
        yield (
            f"the files of {len(summary.unwritten)} episodes could not be written, first {key}: "
            f"{one_line(error)}; the store has them: 'clem export' writes the files again"
        )
    if summary.stopped_by is not None:
        yield _why_stopped(run, summary)


def _failed_before(
    run: PlannedRun, summary: Summary, states: Mapping[EpisodeKey, EpisodeState]
) -> Mapping[str, int]:
    """Count the planned episodes that an earlier command left with an error or at a limit."""
    found = Counter(
        state.state for game in run.games for key in game.episode_keys() if (state := states.get(key)) is not None
    )
    return {name: max(found[name] - summary.counts[name], 0) for name in ("error", "limit")}


def one_line(error: Mapping[str, Any]) -> str:
    r"""Return type and message of an error in one line that is not too long.

    Examples:
        >>> one_line({"type": "LookupError", "message": "no corpus\n  Searched in: …"})
        'LookupError: no corpus Searched in: …'
    """
    text = " ".join(f"{error.get('type')}: {error.get('message')}".split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _why_stopped(run: PlannedRun, summary: Summary) -> str:
    reasons = {
        "budget": "the budget does not allow a further call",
        "interrupt": "interrupted",
        "store": "the store cannot be written",
        "stuck": "game code could not be interrupted",
    }
    why = reasons.get(str(summary.stopped_by), str(summary.stopped_by))
    detail = "" if summary.error is None or summary.stopped_by == "interrupt" else f": {summary.error}"
    return f"{run.folder}: stopped: {why}{detail}. Every answered call is safe; the same command continues"
