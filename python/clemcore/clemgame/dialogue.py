"""The one loop of all games in which players speak in turns.

It knows players, contexts, turns and rounds. What becomes of a response in the middle of a step is up to the game's
contract.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from clemcore.clemgame.contracts import Contract
from clemcore.clemgame.game_master import GameMaster
from clemcore.clemgame.player import Player

__all__ = ["Dialogue"]

_logger = logging.getLogger(__name__)

# Scores that games up to 3.4 compute for trainers, and their names in the facts about a step.
_RESPONSE_SCORES = {"compute_response_score": "response_score", "get_response_feedback": "response_feedback"}
_TURN_SCORES = {"compute_turn_score": "turn_score", "get_turn_feedback": "turn_feedback"}
_EPISODE_SCORES = {"compute_episode_score": "episode_score"}


class Dialogue(GameMaster):
    """Leads a dialogue of players who speak in turns. The classes that games derive from are its subclasses."""

    _contract: Contract

    def __init__(self, game_spec: Any, experiment: Any, player_models: Any, state: Any = None) -> None:
        super().__init__(game_spec, experiment, player_models, state)
        self.players_by_names: dict[str, Player] = {}
        self.context_for_player: dict[str, dict[str, Any]] = {}
        self.initial_prompt_for_player: dict[str, dict[str, Any]] = {}
        self._current_round = self._contract.round_before
        self._has_set_round = False
        self._current_player_idx: int = 0
        self._is_running = False
        self.info: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def current_round(self) -> int:
        """The number of the current round, from 0."""
        return self._current_round

    @current_round.setter
    def current_round(self, number: int) -> None:
        self._current_round = number
        self._has_set_round = True

    @property
    def current_player_idx(self) -> int:
        """The index of the current player (the name of 2.x)."""
        return self._current_player_idx

    @current_player_idx.setter
    def current_player_idx(self, index: int) -> None:
        self._current_player_idx = index

    def get_current_player(self) -> Player:
        """Return the player whose turn it is (the name of 2.x)."""
        player: Player = self.current_player
        return player

    # -- players and what they hear ----------------------------------------------------------------------------
    def get_players(self) -> list[Player]:
        """Return the players in the order in which they were added."""
        return list(self.players_by_names.values())

    def add_player(
        self,
        player: Player,
        initial_prompt: str | dict[str, Any] | None = None,
        initial_context: str | dict[str, Any] | None = None,
    ) -> None:
        """Add a player; players speak in the order in which they were added.

        Args:
            player: the player. It is named "Player 1", "Player 2" and so on.
            initial_prompt: a text, or a message, that is put before the first context of the player.
            initial_context: a text, or a message, that is the first context of the player.
        """
        player.name = f"Player {len(self.players_by_names) + 1}"
        self.players_by_names[player.name] = player
        player.register(self._player_events)
        if initial_prompt is not None:
            content, extras = _content_of(initial_prompt, "initial_prompt")
            if isinstance(initial_prompt, dict) and initial_prompt.get("role") != "user":
                raise AssertionError("initial_prompt must have the role 'user'")
            self.set_initial_prompt_for(player, content, **extras)
        if initial_context is not None:
            content, extras = _content_of(initial_context, "initial_context")
            self.set_context_for(player, content, **extras)

    def set_initial_prompt_for(self, player: Player, content: str, **extras: Any) -> None:
        """Put a text before the next context of a player; only before the game begins.

        Args:
            player: the player.
            content: the text.
            extras: further keys of the message, such as ``image``.
        """
        if self._is_running:
            raise RuntimeError("initial_prompt cannot be set while the game is running: set it in _on_setup")
        if player is None:
            raise ValueError("set_initial_prompt_for needs a player, not None")
        self.initial_prompt_for_player[player.name] = {**extras, "role": "user", "content": content}

    def set_context_for(self, player: Player, content: str, **extras: Any) -> None:
        """Set what a player is to answer in its next turn.

        Args:
            player: the player.
            content: the text.
            extras: further keys of the message, such as ``image``.
        """
        if player is None:
            raise ValueError("set_context_for needs a player, not None")
        self.context_for_player[player.name] = {**extras, "role": "user", "content": content}

    def get_context_for(self, player: Player) -> dict[str, Any] | None:
        """Return what a player is to answer, or None. An initial prompt is put before it."""
        if player is None or player.name not in self.context_for_player:
            return None
        context = self.context_for_player[player.name]
        for key in ("role", "content"):
            if key not in context:
                raise ValueError(f"the context of {player.name} must have a '{key}' entry")
        if context["role"] != "user":
            raise ValueError(f"the context of {player.name} must have the role 'user', not {context['role']!r}")
        prompt = self.initial_prompt_for_player.get(player.name)
        if prompt is None:
            return context
        return {**prompt, **context, "content": "\n\n".join([prompt["content"], context["content"]])}

    # -- the loop ----------------------------------------------------------------------------------------------
    def setup(self, **kwargs: Any) -> None:
        """Prepare to play an instance.

        Args:
            kwargs: the fields of the instance.
        """
        self._on_setup(**kwargs)
        players = self.get_players()
        if not players:
            raise RuntimeError(f"{type(self).__name__}._on_setup added no players: call add_player(player) in it")
        self._current_player = players[self._current_player_idx]
        self._framework_state.game_id = kwargs.get("game_id")

    def before_game(self) -> None:
        """Begin the game and its first round."""
        was_set_up, self._has_set_round = self._has_set_round, False
        self._on_before_game()
        self._is_running = True
        self._has_begun = True
        # Since 3.5, the number is counted up before the first round, so games set it to one less in their setup.
        # Older legacy games leave it at 0, or set the number of the first round in _on_before_game.
        if self._contract.round_before < 0 or (was_set_up and not self._has_set_round):
            self.current_round += 1
        self._framework_state.current_turn = 0
        self._on_before_round()
        self.flush_events()

    def step(self, response: str) -> tuple[bool, dict[str, Any]]:
        """Go on with a response of the current player.

        Args:
            response: the text.

        Returns:
            Whether the game is over, and facts about this step.
        """
        player = self.current_player
        context = self.get_context_for(player)
        self.log_gm_to_player(context, player)  # type: ignore[arg-type]
        self.log_player_to_gm(response, player)
        contract = self._contract
        if contract.counts_requests:
            self.count_request()
        self.initial_prompt_for_player.pop(player.name, None)
        self._score(_RESPONSE_SCORES, response, context)
        contract.apply(self, player, response)
        self._score(_TURN_SCORES)

        is_passed = self._should_pass_turn()
        if is_passed:
            self._current_player = self._next_player()
        if (is_passed or not self._ends_rounds_only_when_passed()) and self._start_next_round():
            self._on_after_round()
            self.current_round += 1  # before _does_game_proceed, which may count rounds
        done = not self._does_game_proceed()
        if done:
            self._on_after_game()
            self.log_game_end(auto_count_logging=contract.counts_requests)
            self._score(_EPISODE_SCORES)
        else:
            if self._start_next_round():
                self.log_next_round()
                self._on_before_round()
            self._framework_state.current_turn = (self._framework_state.current_turn or 0) + 1
        self.flush_events()
        info, self.info = self.info, {}
        return done, deepcopy(info) if info else info

    def _ends_rounds_only_when_passed(self) -> bool:
        """Tell whether a round ends only after a turn was passed, as it was for games made by name and path."""
        return self._was_made_by_path

    def _score(self, hooks: Mapping[str, str], *args: Any) -> None:
        for hook, name in hooks.items():
            if not hasattr(self, hook):
                continue
            try:
                self.info[name] = getattr(self, hook)(*args)
            except Exception:  # 3.7.2 did not call these hooks, so games may have let them go stale
                _logger.warning("%s.%s failed; there is no '%s'", type(self).__name__, hook, name, exc_info=True)

    # -- what a game may define --------------------------------------------------------------------------------
    def _on_setup(self, **kwargs: Any) -> None:
        """Prepare the instance, and add the players.

        Args:
            kwargs: the fields of the instance.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _on_setup()")

    def _should_pass_turn(self) -> bool:
        """Tell whether the next player speaks now; False gives the same player another turn."""
        return True

    def _next_player(self) -> Player:
        """Return who speaks next; by default the players in order."""
        players = self.get_players()
        self._current_player_idx = (self._current_player_idx + 1) % len(players)
        return players[self._current_player_idx]

    def _start_next_round(self) -> bool:
        """Tell whether a new round begins; by default when it is the first player's turn."""
        return self._current_player_idx == 0

    def _on_before_round(self) -> None:
        """Do something before each round."""

    def _on_after_round(self) -> None:
        """Do something after each round."""

    def _on_before_game(self) -> None:
        """Do something before the first round."""

    def _on_after_game(self) -> None:
        """Do something after the last turn, such as logging results."""


def _content_of(message: Any, name: str) -> tuple[str, dict[str, Any]]:
    if isinstance(message, str):
        return message, {}
    if not isinstance(message, dict):
        what = type(message).__name__
        raise AssertionError(f"{name} must be a text or a message (dict), not {what}")  # noqa: TRY004 - as in 3.7.2
    if "content" not in message:
        raise AssertionError(f"{name} must have a 'content' entry")
    return message["content"], {key: value for key, value in message.items() if key not in ("role", "content")}
