"""Game masters: who leads an episode of a game, and how an episode is played with one.

It does not know turns: a game master decides itself what a step is (see ``dialogue`` for those that need not).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from clemcore import backends
from clemcore.clemgame.events import GameEventLogger, GameEventSource
from clemcore.clemgame.exchanges import GOT, SENT, PlayerEvents
from clemcore.clemgame.player import Player
from clemcore.clemgame.reading.game_files import WORDS
from clemcore.clemgame.resources import GameResourceLocator
from clemcore.clemgame.state import BASE_FIELDS, GameState

__all__ = ["GameMaster", "begin_game", "end_game", "listen_to_players", "play_game", "play_step"]

_SHARED = ("player_models", "game_spec", "game_resources")  # a copy of a game master keeps these


class GameMaster(GameEventSource):
    """Leads one episode of a game.

    A subclass defines ``setup``, ``before_game``, ``step``, ``get_players`` and ``get_context_for``. Subclass
    ``DialogueGameMaster`` instead if players speak in turns: it defines all of them.
    """

    def __init__(self, game_spec: Any, experiment: Any, player_models: Any, state: Any = None) -> None:
        """Prepare to lead an episode.

        Args:
            game_spec: the specification of the game.
            experiment: the experiment, without its instances.
            player_models: a model for each player, or one model that plays all of them.
            state: the state of the game, if it is not a plain ``GameState``.
        """
        super().__init__()
        # Until 2.4: name, path, experiment, player_models.
        self._was_made_by_path = isinstance(game_spec, str)
        if self._was_made_by_path:
            game_spec, experiment, player_models, state = (
                _spec_by_path(game_spec, experiment, state),
                player_models,
                state,
                None,
            )
        self.game_spec = game_spec
        self.game_name: Any = game_spec.game_name
        self.experiment = experiment
        self._given_experiment: dict[str, Any] = experiment  # the game may replace its own
        self.player_models: list[backends.Model] = _models_for_players(game_spec, player_models)
        self.game_resources = GameResourceLocator(game_spec.game_name, game_spec.game_path)
        self._current_player: Any = None
        self._framework_state = GameState() if state is None else state
        self._state: Any = self._framework_state
        self._framework_state.game_name = game_spec.game_name
        self._framework_state.experiment_name = experiment.get("name")
        self._player_events = PlayerEvents(self)
        self._has_begun = False
        self._has_ended = False

    def __deepcopy__(self, memo: dict[int, Any]) -> GameMaster:
        """Copy the game master with its players, but keep the models."""
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.__dict__.update(
            {key: value if key in _SHARED else deepcopy(value, memo) for key, value in self.__dict__.items()}
        )
        # Whoever copies an episode gives each player of the copy another view of its model.
        copy.player_models = [memo.get(id(model), model) for model in self.player_models]
        listen_to_players(copy)
        return copy

    # -- state -------------------------------------------------------------------------------------------------
    @property
    def state(self) -> Any:
        """The state of the game: a ``GameState``, or whatever the game has set instead."""
        return self._state

    @state.setter
    def state(self, new_state: Any) -> None:
        """Set the state; a new ``GameState`` takes over what the old one knows and it does not."""
        if isinstance(new_state, GameState) or all(hasattr(new_state, field) for field in BASE_FIELDS):
            known = self._framework_state
            for field in BASE_FIELDS:
                if getattr(new_state, field, None) is None:
                    setattr(new_state, field, getattr(known, field))
            self._framework_state = new_state
        self._state = new_state

    def _does_game_proceed(self) -> bool:
        """Tell whether the game goes on; by default until its state has an outcome."""
        return not self._framework_state.outcome.is_terminal

    # -- players -----------------------------------------------------------------------------------------------
    @property
    def current_player(self) -> Any:
        """The player whose turn it is."""
        return self._current_player

    @current_player.setter
    def current_player(self, player: Any) -> None:
        self._current_player = player

    @property
    def game_recorder(self) -> Any:
        """What games for 2.x log to, and give to their players; it leads to the loggers of this game master."""
        return self._player_events

    @game_recorder.setter
    def game_recorder(self, recorder: GameEventLogger) -> None:
        self.register(recorder)

    # -- files of the game -------------------------------------------------------------------------------------
    def load_json(self, file_path: str | Path) -> Any:
        """Load a JSON file of the game."""
        return self.game_resources.load_json(file_path)

    def load_template(self, file_path: str | Path) -> str:
        """Load a template of the game."""
        return self.game_resources.load_template(file_path)

    # -- events ------------------------------------------------------------------------------------------------
    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Log that somebody does something."""
        self._player_events.claim(from_, to, action)
        super().log_event(from_, to, action, call)

    def log_event_of_player(
        self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None
    ) -> None:
        """Log what a player did outside of its turn."""
        # Later on, whoever records calls listens to the players themselves.
        is_first_to_hear = self._early is not None and not self._loggers
        super().log_event(from_, to, action, call if is_first_to_hear else None)

    def flush_events(self) -> None:
        """Log what players did outside of their turns, as far as this is still open."""
        self._player_events.release()

    def log_next_round(self) -> None:
        """Begin a new round."""
        self._player_events.release()
        super().log_next_round()

    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """End the game."""
        self._player_events.release()
        self._has_ended = True
        super().log_game_end(auto_count_logging)

    def log_gm_to_player(self, context: dict[str, Any], player: Player) -> None:
        """Log a context that was given to a player."""
        action = {"type": SENT, "content": context["content"], "label": "context"}
        if "image" in context:
            action["image"] = context["image"]
        self.log_event("GM", player.name, action)

    def log_player_to_gm(self, response: str, player: Player) -> None:
        """Log a response of a player."""
        self.log_event(player.name, "GM", {"type": GOT, "content": response, "label": "response"})

    def log_to_self(self, type_: str, value: Any) -> None:
        """Log a note of the game master.

        Args:
            type_: the kind of the note, such as "invalid format".
            value: its content.
        """
        self.log_event("GM", "GM", {"type": type_, "content": value})

    def log_players(self, players_dic: dict[str, Any]) -> None:
        """Log who plays, as games for 2.0 to 2.4 do: descriptions by name."""
        known = [str(player.name) for player in self.get_players()]
        for described, description in players_dic.items():
            name = described.replace("_", " ")
            # Whoever records the episode logs the players that it knows, such as "Player 1 (Solver)".
            if name != "GM" and not any(each == name or each.startswith(f"{name} ") for each in known):
                self.log_player(name, str(description), _model_in(str(description), self))

    # -- what a game defines -----------------------------------------------------------------------------------
    def setup(self, **kwargs: Any) -> None:
        """Prepare to play an instance.

        Args:
            kwargs: the fields of the instance.
        """
        raise NotImplementedError(f"{type(self).__name__} must define setup()")

    def before_game(self) -> None:
        """Do what remains to be done after the setup, when recorders listen already."""

    def step(self, response: str) -> tuple[bool, dict[str, Any]]:
        """Go on with a response of the current player.

        Args:
            response: the text.

        Returns:
            Whether the game is over, and facts about this step.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(), or its own play()")

    def get_players(self) -> list[Player]:
        """Return the players in order."""
        return list(self._player_events.players)

    def get_context_for(self, player: Player) -> Any:
        """Return what a player is to answer, or None."""
        raise NotImplementedError(f"{type(self).__name__} must define get_context_for(), or its own play()")

    def play(self) -> None:
        """Ask the current player and go on with its response, until the game is over."""
        play_steps(self)

    def store_records(self, results_root: str, dialogue_pair_desc: str, game_record_dir: str) -> None:
        """Do nothing: whoever plays the episode stores its records (games for 2.x may call this)."""


def listen_to_players(master: GameMaster) -> None:
    """Let a game master's loggers hear what its players do outside of their turns."""
    events = master._player_events
    for player in master.get_players():
        loggers = getattr(player, "_loggers", None)
        if isinstance(loggers, list) and not any(each is events for each in loggers):
            player.register(events)


Step = Callable[[GameMaster, Player, dict[str, Any], str, bool, dict[str, Any]], None]


def play_game(master: GameMaster, after_step: Step | None = None) -> None:
    """Play an episode to its end, after ``setup`` and after recorders were registered.

    Args:
        master: the game master.
        after_step: called after each step with the game master, the player, its context, its response, whether the
            game is over, and facts about the step. Games with their own ``play`` have no steps.
    """
    try:
        begin_game(master)
        if type(master).play is not GameMaster.play:
            master.play()
        else:
            play_steps(master, after_step)
        end_game(master)
    finally:
        master.flush_events()  # also what led to an error


def begin_game(master: GameMaster) -> None:
    """Do what comes before the first step."""
    listen_to_players(master)
    if not master._has_begun:
        master.before_game()
        master._has_begun = True
    master.flush_events()


def end_game(master: GameMaster) -> None:
    """Do what comes after the last step."""
    if not master._has_ended:
        master.log_game_end(auto_count_logging=False)
    master.flush_events()


def play_steps(master: GameMaster, after_step: Step | None = None) -> None:
    """Ask the current player and go on with its response, until the game is over."""
    if not master._has_begun:
        master.before_game()
        master._has_begun = True
    done = False
    while not done:
        step = play_step(master)
        done = step.done
        if after_step is not None:
            after_step(master, *step)


class Played(NamedTuple):
    """A step that was played: who answered what to which context, whether the game is over, and facts about it."""

    player: Player
    context: dict[str, Any]
    response: str
    done: bool
    info: dict[str, Any]


def play_step(master: GameMaster) -> Played:
    """Ask the current player, and go on with its response."""
    player = master.current_player
    context = master.get_context_for(player)
    if context is None:
        raise RuntimeError(
            f"{type(master).__name__} has no context for {getattr(player, 'name', player)}: "
            "call set_context_for(player, text) before the player's turn"
        )
    response = player(context)
    done, info = master.step(response)
    return Played(player, context, response, done, info)


# -- forms of 2.x --------------------------------------------------------------------------------------------------
def _models_for_players(game_spec: Any, models: Any) -> list[backends.Model]:
    players = game_spec.players if isinstance(game_spec.players, int) else game_spec.player_count
    if len(models) == 1 and players > 1:
        return [models[0]] * players
    if len(models) != players:
        raise ValueError(
            f"{game_spec.game_name} requires {players} players, but {len(models)} models were given: "
            f"{[model.name for model in models]}"
        )
    return list(models)


def _spec_by_path(name: str, path: Any, models: Any) -> Any:
    """Return what is known of a game that is given by name and path: how many play is in its ``clemgame.json``."""
    players = len(models)
    try:
        entries = json.loads((Path(path) / "clemgame.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        entries = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict) and entry.get("game_name") == name:
            given = entry.get("players", players)
            players = given if isinstance(given, int) else WORDS.get(str(given).lower(), players)
    # Games of then count their models themselves, so more of them than players are as good as any.
    return SimpleNamespace(game_name=name, game_path=path, players=players if len(models) == 1 else len(models))


def _model_in(description: str, master: GameMaster) -> str:
    """Return the name of the model that a description of a player mentions."""
    names = [model.name for model in master.player_models if model.name in description]
    return max(names, key=len, default="programmatic")
