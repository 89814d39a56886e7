"""The line-up: a witness describes a person in few words, and a detective finds this person among suspects.

The rules are in ``resources/witness.template`` and ``resources/detective.template``. The episode

* is a success if the detective arrests the right suspect,
* is lost after a wrong arrest, or after too many violations of the rules by either player,
* is aborted after too many answers of either player that are not in the asked form.

The Main Score of a success falls with each round: with 5 rounds it is 100, 80, 60, 40 or 20. A lost episode has 0.
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

STATEMENT = re.compile(r"SAY:[ \t]*(\S[^\n]*)")
DECISION = re.compile(r"(ASK|ARREST):[ \t]*(\S[^\n]*)")
FEATURE = re.compile(r"(\w+): (\w+)")

Suspect = dict[str, str]


def describe(suspect: Suspect) -> str:
    """Return the features of a suspect as text: ``hair: red, coat: blue``."""
    return ", ".join(f"{feature}: {value}" for feature, value in suspect.items())


class Witness(Player):
    """Describes the person. The mock answers the question, else it names a feature that it has not named yet."""

    def __init__(self, model: Model):
        super().__init__(model, game_role="Witness")
        self.untold: Suspect = {}

    def _custom_response(self, context: dict[str, Any]) -> str:
        content, _, question = context["content"].partition("The detective asks:")
        if "You saw this person:" in content:
            self.untold = dict(FEATURE.findall(content))
        luck = random.random()
        if luck < 0.05:
            return "It was dark."
        asked = [feature for feature in self.untold if feature in question]
        feature = asked[0] if asked else random.choice(list(self.untold))
        statement = f"{feature}: {self.untold[feature]}"
        if luck < 0.1:
            return f"SAY: I think that it was this one, but I am really not sure about it: {statement}"
        del self.untold[feature]
        return f"SAY: {statement}"


class Detective(Player):
    """Finds the person. The mock drops all suspects that do not fit, and asks for the feature that tells most."""

    def __init__(self, model: Model):
        super().__init__(model, game_role="Detective")
        self.suspects: dict[str, Suspect] = {}

    def _custom_response(self, context: dict[str, Any]) -> str:
        content = context["content"]
        if not self.suspects:
            lines = re.findall(r"^(\w+) \((.+)\)$", content, re.MULTILINE)
            self.suspects = {name: dict(FEATURE.findall(features)) for name, features in lines}
        said = content.rpartition("The witness says:")[2]
        for feature, value in FEATURE.findall(said):
            fits = {name: one for name, one in self.suspects.items() if one.get(feature) == value}
            self.suspects = fits or self.suspects
        luck = random.random()
        if luck < 0.05:
            return "Let me think."
        if luck < 0.08:
            return "ARREST: Moriarty"
        if len(self.suspects) == 1 or "the last round. The witness says" in content:
            return f"ARREST: {random.choice(list(self.suspects))}"
        return f"ASK: What about the {self._feature_that_tells_most()}?"

    def _feature_that_tells_most(self) -> str:
        suspects = list(self.suspects.values())
        return max(suspects[0], key=lambda feature: len({suspect[feature] for suspect in suspects}))


@dataclass
class LineupState(GameState):
    """What has happened in an episode so far."""

    suspects: dict[str, Suspect]
    guilty: str
    round: int = 1
    arrested: str | None = None
    parse_errors: int = 0
    violations: int = 0
    asks_again: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        super().__init__()


class Lineup(DialogueGameMaster):
    """Passes statements to the detective and questions to the witness, and judges the arrest."""

    state: LineupState

    def _on_setup(self, **instance: Any) -> None:
        suspects, guilty = instance["suspects"], instance["guilty"]
        self.state = LineupState(suspects, guilty)
        self.witness = Witness(self.player_models[0])
        self.detective = Detective(self.player_models[1])
        witness_prompt = Template(self.experiment["witness_prompt"].strip()).substitute(
            person=describe(suspects[guilty]),
            number=len(suspects),
            words=self.experiment["statement_words"],
        )
        detective_prompt = Template(self.experiment["detective_prompt"].strip()).substitute(
            suspects="\n".join(f"{name} ({describe(suspect)})" for name, suspect in suspects.items()),
            number=len(suspects),
            rounds=self.experiment["rounds"],
            question_words=self.experiment["question_words"],
        )
        self.add_player(self.witness, initial_prompt=witness_prompt)
        self.add_player(self.detective, initial_prompt=detective_prompt)

    def _on_before_game(self) -> None:
        self.set_context_for(self.witness, "Make your first statement.")

    def _parse_response(self, player: Player, response: str) -> str:
        self.state.asks_again = False
        if player is self.witness:
            found = STATEMENT.fullmatch(response.strip())
            if not found:
                raise ParseError("Your answer was not one line of the form SAY: <statement>.", response)
            return found[1].strip()
        if not DECISION.fullmatch(response.strip()):
            raise ParseError(
                "Your answer was not one line of the form ASK: <question> or ARREST: <name>.", response
            )
        return response.strip()

    def _advance_game(self, player: Player, parsed_response: str) -> None:
        if player is self.witness:
            self._pass_statement(parsed_response)
            return
        decision, _, words = parsed_response.partition(":")
        if decision == "ASK":
            self._pass_question(words.strip())
        else:
            self._arrest(words.strip().rstrip("."))

    def _pass_statement(self, statement: str) -> None:
        """Pass the statement of the witness to the detective."""
        self._check_length(statement, self.experiment["statement_words"])
        self.log_to_self("statement", statement)
        left = self.experiment["rounds"] - self.state.round
        number = f"Round {self.state.round}" if left else f"Round {self.state.round}, the last round"
        self.set_context_for(self.detective, f"{number}. The witness says: {statement}")

    def _pass_question(self, question: str) -> None:
        """Pass the question of the detective to the witness, in the next round."""
        self._check_length(question, self.experiment["question_words"])
        if self.state.round == self.experiment["rounds"]:
            raise RuleViolationError("This is the last round: you must arrest a suspect.", question)
        self.state.round += 1
        self.set_context_for(self.witness, f"The detective asks: {question}")

    def _arrest(self, name: str) -> None:
        """End the game, if the suspect exists."""
        if name not in self.state.suspects:
            raise RuleViolationError(f'"{name}" is not one of the suspects.', name)
        self.state.arrested = name
        self.log_to_self("arrest", name)
        if name == self.state.guilty:
            self.state.succeed()
        else:
            self.state.failed()

    @staticmethod
    def _check_length(text: str, most: int) -> None:
        number = len(text.split())
        if number > most:
            raise RuleViolationError(f"Your text had {number} words, but at most {most} are allowed.", text)

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
        """Ask the same player for another answer, in the same round."""
        self.state.asks_again = True
        shown = self.context_for_player[self.current_player.name]["content"].rpartition("Try again.\n")[2]
        self.set_context_for(self.current_player, f"{error.reason} Try again.\n{shown}")

    def _should_pass_turn(self) -> bool:
        return not self.state.asks_again

    def _start_next_round(self) -> bool:
        return not self.state.asks_again and super()._start_next_round()

    def _on_after_game(self) -> None:
        self.log_key("rounds", self.state.round)
        self.log_key("arrested", self.state.arrested)
        self.log_key("parse_errors", self.state.parse_errors)
        self.log_key("violations", self.state.violations)
        self.log_key(METRIC_ABORTED, int(self.state.outcome == Outcome.ABORTED))
        self.log_key(METRIC_LOSE, int(self.state.outcome == Outcome.FAILURE))
        self.log_key(METRIC_SUCCESS, int(self.state.outcome == Outcome.SUCCESS))


class LineupScorer(GameScorer):
    """How early the right suspect was arrested, and how many words it took."""

    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        types = [event["action"]["type"] for event in round_events]
        self.log_round_score(round_idx, "Words", _words_of_witness(round_events))
        self.log_round_score(round_idx, "Rule Violations", types.count("rule violation"))

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        rounds = self.experiment["rounds"]
        score = 100 * (1 + rounds - interactions["rounds"]) / rounds if interactions[METRIC_SUCCESS] else 0.0
        self.log_episode_score("Rounds", interactions["rounds"])
        self.log_episode_score("Words", sum(map(_words_of_witness, interactions["turns"])))
        self.log_episode_score("Rule Violations", interactions["violations"])
        self.log_episode_score(BENCH_SCORE, float("nan") if interactions[METRIC_ABORTED] else round(score, 2))


def _words_of_witness(events: list[dict[str, Any]]) -> int:
    """Count the words of the statements, without the ones that the game refused."""
    said = [event["action"]["content"] for event in events if event["action"]["type"] == "statement"]
    return sum(len(statement.split()) for statement in said)


class LineupBenchmark(GameBenchmark):
    """Makes the master and the scorer."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Lineup(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return LineupScorer(self.game_name, experiment, game_instance)
