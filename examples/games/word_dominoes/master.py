"""Word dominoes: one player lays words in a row, each beginning with the letter that the last one ends with.

The rules are in ``resources/rules.template``. The episode

* is a success if the row is as long as it can be,
* is lost if no stone fits before that, or after too many violations of the rules,
* is aborted after too many answers that are not in the asked form.

The Main Score is the length of the row in percent of the longest possible row.
"""

import random
import re
from dataclasses import dataclass, field
from string import Template
from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import (
    DialogueGameMaster,
    GameBenchmark,
    GameError,
    GameMaster,
    GameScorer,
    GameState,
    ParseError,
    Player,
    RuleViolationError,
)
from clemcore.clemgame.master import Outcome
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS

ANSWER = re.compile(r"LAY:[ \t]*([a-z]+)", re.IGNORECASE)


class Layer(Player):
    """Lays the stones. The mock reads its message, lays a random fitting stone, and sometimes makes a mistake."""

    def _custom_response(self, context: dict[str, Any]) -> str:
        shown = dict(re.findall(r"^(Next letter|Stones): (.+)$", context["content"], re.MULTILINE))
        stones = shown["Stones"].split(", ")
        luck = random.random()
        if luck < 0.05:
            return "I do not know."
        fitting = [word for word in stones if word[0] == shown["Next letter"]]
        return f"LAY: {random.choice(stones if luck < 0.15 else fitting)}"


@dataclass
class DominoesState(GameState):
    """What has happened in an episode so far."""

    row: list[str]
    stones: list[str]
    longest: int
    parse_errors: int = 0
    violations: int = 0
    asks_again: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def letter(self) -> str:
        """The letter that the next stone must begin with."""
        return self.row[-1][-1]

    @property
    def fitting(self) -> list[str]:
        """The stones that could be laid now."""
        return [word for word in self.stones if word[0] == self.letter]

    @property
    def laid(self) -> int:
        """How many stones have been laid; the first word of the row came with the game."""
        return len(self.row) - 1


class WordDominoes(DialogueGameMaster):
    """Shows the row and the stones, lays the stone that the player names, and ends the game when none fits."""

    state: DominoesState

    def _on_setup(self, **instance: Any) -> None:
        self.state = DominoesState([instance["start"]], list(instance["stones"]), instance["longest"])
        self.turn_template = Template(self.load_template("resources/turn").strip())
        self.player = Layer(self.player_models[0], game_role="Layer")
        self.add_player(self.player, initial_prompt=self.experiment["rules"].strip())

    def _on_before_game(self) -> None:
        self._ask()

    def _ask(self, remark: str = "") -> None:
        """Show the player how the game stands."""
        shown = self.turn_template.substitute(
            row=" ".join(self.state.row), letter=self.state.letter, stones=", ".join(self.state.stones)
        )
        self.set_context_for(self.player, f"{remark}\n{shown}".strip())

    def _parse_response(self, player: Player, response: str) -> str:
        self.state.asks_again = False
        found = ANSWER.fullmatch(response.strip())
        if not found:
            raise ParseError("Your answer was not one line of the form LAY: <stone>.", response)
        return found[1].lower()

    def _advance_game(self, player: Player, parsed_response: str) -> None:
        word, state = parsed_response, self.state
        if word not in state.stones:
            raise RuleViolationError(f'"{word}" is not one of your stones.', word)
        if word not in state.fitting:
            raise RuleViolationError(f'"{word}" does not begin with "{state.letter}".', word)
        state.stones.remove(word)
        state.row.append(word)
        self.log_to_self("laid", word)
        if state.laid == state.longest:
            state.succeed()
        elif not state.fitting:
            self.log_to_self("dead end", f'no stone begins with "{state.letter}"')
            state.failed()
        else:
            self._ask()

    def _on_parse_error(self, error: ParseError) -> None:
        self.log_to_self("parse error", error.reason)
        self.state.parse_errors += 1
        if self.state.parse_errors > self.experiment["max_parse_errors"]:
            self.state.abort()
        else:
            self._ask_again(error)

    def _on_game_error(self, error: GameError) -> None:
        self.log_to_self("rule violation", error.reason)
        self.state.violations += 1
        if self.state.violations > self.experiment["max_violations"]:
            self.state.failed()
        else:
            self._ask_again(error)

    def _ask_again(self, error: ParseError | GameError) -> None:
        self.state.asks_again = True
        self._ask(f"{error.reason} Try again.")

    def _should_pass_turn(self) -> bool:
        return not self.state.asks_again

    def _start_next_round(self) -> bool:
        # A round is one stone, however often the player was asked for it.
        return not self.state.asks_again

    def _on_after_game(self) -> None:
        self.log_key("laid", self.state.laid)
        self.log_key("parse_errors", self.state.parse_errors)
        self.log_key("violations", self.state.violations)
        self.log_key(METRIC_ABORTED, int(self.state.outcome == Outcome.ABORTED))
        self.log_key(METRIC_LOSE, int(self.state.outcome == Outcome.FAILURE))
        self.log_key(METRIC_SUCCESS, int(self.state.outcome == Outcome.SUCCESS))


class WordDominoesScorer(GameScorer):
    """The row's length in percent of the longest possible row, and how that compares with random play."""

    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        types = [event["action"]["type"] for event in round_events]
        self.log_round_score(round_idx, "Laid", types.count("laid"))
        self.log_round_score(round_idx, "Rule Violations", types.count("rule violation"))

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        percent = 100 * interactions["laid"] / self.game_instance["longest"]
        above = percent - self.game_instance["random_play"]
        is_aborted = interactions[METRIC_ABORTED]
        self.log_episode_score("Laid", interactions["laid"])
        self.log_episode_score("Rule Violations", interactions["violations"])
        self.log_episode_score("Above Random Play", float("nan") if is_aborted else round(above, 2))
        self.log_episode_score(BENCH_SCORE, float("nan") if is_aborted else round(percent, 2))


class WordDominoesBenchmark(GameBenchmark):
    """Makes the master and the scorer."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return WordDominoes(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return WordDominoesScorer(self.game_name, experiment, game_instance)
