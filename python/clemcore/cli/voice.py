"""What ``clem run`` tells a person: warnings on standard error, the plan as a table on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clemcore.cli.terminal import note, table
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.runs.estimate import Estimate
    from clemcore.clemgame.runs.lineups import LineUp

HEADER = ["LINE-UP", "GAME", "EPISODES", "CALLS", "TOKENS IN", "TOKENS OUT", "USD"]


class TerminalVoice:
    """Speaks to the terminal."""

    def say(self, text: str) -> None:
        """Write a message to standard error."""
        note(f"clem: {scrub(text).rstrip()}")

    def show_plan(self, rows: Sequence[tuple[LineUp, str, Estimate]]) -> None:
        """Write the plan as a table, and the sums below it."""
        from clemcore.clemgame.runs.estimate import cells

        table(HEADER, [[line_up.folder.name, game, *cells(each)] for line_up, game, each in rows])
        estimates = [each for _, _, each in rows]
        episodes = sum(each.episodes for each in estimates)
        known = [each for each in estimates if each.seen or not each.episodes]
        text = f"{episodes:,} episodes to play"
        if known:
            costs = [each.usd or 0.0 for each in known]
            unknown = "" if all(each.usd is not None for each in known if each.episodes) else ", as far as known"
            text += f"; about {round(sum(each.calls for each in known)):,} calls and {sum(costs):.4g} USD{unknown}"
        if len(known) < len(estimates):
            games = dict.fromkeys(game for _, game, each in rows if not each.seen and each.episodes)
            text += (
                f"; no completed episode of {', '.join(games)} to estimate from: --pilot N plays N episodes of "
                "each game, which the run keeps"
            )
        note(text)
