"""Spot the change: one player sees a series of pictures and names the cell that changed each time.

The rules are in ``resources/rules.template``. In the first round the player names the colour of a cell. This tells
a model that cannot see the pictures from one that sees them and cannot compare them. The episode

* is a success if every answer is right,
* is lost if an answer is wrong (it goes on to the last picture), or after too many violations of the rules,
* is aborted after too many answers that are not in the asked form.

A round gives 1 point, or half a point if only the cell or only the colour is right. The Main Score is the sum in
percent of the possible points.
"""

import random
import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
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

ANSWER = re.compile(r"CELL:[ \t]*([A-Z])([0-9])[ \t]+([a-z]+)\.?", re.IGNORECASE)
COLUMNS = "ABCDEFGH"


def pixels_of(path: str) -> list[bytes]:
    """Return the rows of one of our PNG files: one byte per pixel, the number of its colour."""
    data, rest = b"", Path(path).read_bytes()[8:]
    width = struct.unpack_from(">I", rest, 8)[0]
    while rest:
        length = struct.unpack_from(">I", rest)[0]
        data += rest[8 : 8 + length] if rest[4:8] == b"IDAT" else b""
        rest = rest[length + 12 :]
    plain = zlib.decompress(data)
    return [plain[start + 1 : start + 1 + width] for start in range(0, len(plain), width + 1)]


class Observer(Player):
    """Compares pictures. The mock reads the pixels, and sometimes makes a mistake."""

    def __init__(self, model: Model, size: int, colours: list[str]):
        super().__init__(model, game_role="Observer")
        self.size = size
        self.colours = colours
        self.seen: dict[str, str] = {}

    def _custom_response(self, context: dict[str, Any]) -> str:
        board = self._look(context["image"][0])
        asked = re.search(r"colour of cell (\w\d)", context["content"])
        cells = [asked[1]] if asked else [cell for cell in board if board[cell] != self.seen.get(cell)]
        cell, luck = (cells or ["A1"])[0], random.random()
        if luck < 0.05:
            return "They look the same to me."
        if luck < 0.1:
            return f"CELL: {cell} purple"
        self.seen = board
        return f"CELL: {cell if luck > 0.2 else random.choice(list(board))} {board[cell]}"

    def _look(self, path: str) -> dict[str, str]:
        rows = pixels_of(path)
        step = len(rows) // self.size
        return {
            f"{COLUMNS[x]}{y + 1}": self.colours[rows[y * step + step // 2][x * step + step // 2]]
            for x in range(self.size)
            for y in range(self.size)
        }


@dataclass
class SpotState(GameState):
    """What has happened in an episode so far."""

    rounds: list[dict[str, str]]
    answers: list[tuple[str, str]] = field(default_factory=list)
    parse_errors: int = 0
    violations: int = 0
    asks_again: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def points(self) -> list[float]:
        """The points of each answer: half for the cell, half for the colour."""
        return [
            ((cell == right["cell"]) + (colour == right["colour"])) / 2
            for (cell, colour), right in zip(self.answers, self.rounds, strict=False)
        ]


class SpotTheChange(DialogueGameMaster):
    """Shows one picture after the other and notes the answers."""

    state: SpotState

    def _on_setup(self, **instance: Any) -> None:
        self.state = SpotState(instance["rounds"])
        size, colours = self.experiment["size"], self.experiment["colours"]
        rules = Template(self.experiment["rules"].strip()).substitute(
            size=size,
            columns=f"A to {COLUMNS[size - 1]}",
            rows=f"1 to {size}",
            colours=", ".join(colours),
        )
        self.player = Observer(self.player_models[0], size, colours)
        self.add_player(self.player, initial_prompt=rules)

    def _on_before_game(self) -> None:
        self._show(f"This is picture 1. What is the colour of cell {self.state.rounds[0]['cell']}?")

    def _show(self, text: str) -> None:
        """Show the picture of the round."""
        picture = self.state.rounds[len(self.state.answers)]["picture"]
        self.set_context_for(self.player, text, image=[str(Path(self.game_spec.game_path, picture))])

    def _parse_response(self, player: Player, response: str) -> str:
        self.state.asks_again = False
        found = ANSWER.fullmatch(response.strip())
        if not found:
            raise ParseError("Your answer was not one line of the form CELL: <cell> <colour>.", response)
        return f"{found[1].upper()}{found[2]} {found[3].lower()}"

    def _advance_game(self, player: Player, parsed_response: str) -> None:
        cell, colour = parsed_response.split()
        size, state = self.experiment["size"], self.state
        if cell[0] not in COLUMNS[:size] or not 1 <= int(cell[1]) <= size:
            raise RuleViolationError(f'The board has no cell "{cell}".', parsed_response)
        if colour not in self.experiment["colours"]:
            raise RuleViolationError(f'"{colour}" is not one of the colours.', parsed_response)
        state.answers.append((cell, colour))
        is_right = state.points[-1] == 1
        self.log_to_self("right" if is_right else "wrong", parsed_response)
        if len(state.answers) < len(state.rounds):
            number = len(state.answers) + 1
            self._show(f"{'Right.' if is_right else 'Wrong.'} This is picture {number}. Which cell has changed?")
        elif sum(state.points) == len(state.rounds):
            state.succeed()
        else:
            state.failed()

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
        asked = self.context_for_player[self.player.name]["content"].rpartition("Try again.\n")[2]
        self._show(f"{error.reason} Try again.\n{asked}")

    def _should_pass_turn(self) -> bool:
        return not self.state.asks_again

    def _start_next_round(self) -> bool:
        # A round is one picture, however often the player was asked about it.
        return not self.state.asks_again

    def _on_after_game(self) -> None:
        self.log_key("points", self.state.points)
        self.log_key("parse_errors", self.state.parse_errors)
        self.log_key("violations", self.state.violations)
        self.log_key(METRIC_ABORTED, int(self.state.outcome == Outcome.ABORTED))
        self.log_key(METRIC_LOSE, int(self.state.outcome == Outcome.FAILURE))
        self.log_key(METRIC_SUCCESS, int(self.state.outcome == Outcome.SUCCESS))


class SpotTheChangeScorer(GameScorer):
    """The share of points, for seeing one picture (round 1) and for comparing two (all others)."""

    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        types = [event["action"]["type"] for event in round_events]
        self.log_round_score(round_idx, "Right", types.count("right"))
        self.log_round_score(round_idx, "Rule Violations", types.count("rule violation"))

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        points, number = interactions["points"], len(self.game_instance["rounds"])
        is_aborted = interactions[METRIC_ABORTED]
        scores = {
            "Seeing": 100 * sum(points[:1]),
            "Comparing": 100 * sum(points[1:]) / (number - 1),
            BENCH_SCORE: 100 * sum(points) / number,
        }
        self.log_episode_score("Rule Violations", interactions["violations"])
        for name, score in scores.items():
            self.log_episode_score(name, float("nan") if is_aborted else round(score, 2))


class SpotTheChangeBenchmark(GameBenchmark):
    """Makes the master and the scorer."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return SpotTheChange(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return SpotTheChangeScorer(self.game_name, experiment, game_instance)
