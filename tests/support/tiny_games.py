"""Tiny games for tests of the engine: their classes stand here, so no folder has to be loaded."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import clemcore.clemgame.engine.engine as engine_module
from clemcore.clemgame import Player
from clemcore.clemgame.engine import Options, Summary, play
from clemcore.clemgame.legacy.master import DialogueGameMaster
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode, PlannedGame
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.store import RunReader, RunStore
from clemcore.model import Model

Turns = list[list[dict[str, Any]]]


class Talker(Player):
    def _custom_response(self, context: dict[str, Any]) -> str:
        return f"{random.choice('abc')} {random.random()} after {len(context['content'])} characters"


class Talk(DialogueGameMaster):
    """Two players talk for some rounds; the game draws random numbers in between."""

    def _on_setup(self, **instance: Any) -> None:
        self.rounds = instance.get("rounds", 3)
        self.players: list[Player] = [Talker(model) for model in self.player_models]
        for player in self.players:
            self.add_player(player)
        self.set_context_for(self.players[0], f"Begin with {random.randrange(1000)}.")

    def _does_game_proceed(self) -> bool:
        return bool(self.current_round < self.rounds)

    def _validate_player_response(self, player: Player, response: str) -> bool:
        self.log_to_self("heard", response)
        return True

    def _on_valid_player_response(self, player: Player, response: str) -> None:
        others = [each for each in self.players if each is not player] or [player]
        self.set_context_for(others[0], f"{response} ({random.gauss(0, 1)})")


class _Benchmark:
    def __init__(self, spec: GameSpec, master: Callable[..., Any]) -> None:
        self._spec = spec
        self._master = master

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        return self._master(self._spec, experiment, player_models)

    def __enter__(self) -> _Benchmark:
        return self

    def __exit__(self, *_: object) -> None:
        pass


# The classes of game masters, by the folder of the run and the name of the game.
_masters: dict[tuple[str, str], Callable[..., Any]] = {}


_loaded_from_folder = engine_module._load


def _load(spec: GameSpec) -> Any:
    master = _masters.get((spec.game_path, spec.game_name))
    return _loaded_from_folder(spec) if master is None else _Benchmark(spec, master)


class Stage:
    """A run folder with one tiny game."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        """Use a folder; without monkeypatch, for a process of its own, games are loaded from here for good."""
        self.folder = folder
        loader: Any = engine_module._load
        if loader is not _load:
            (setattr if monkeypatch is None else monkeypatch.setattr)(engine_module, "_load", _load)

    def game(
        self,
        master: Callable[..., Any] = Talk,
        size: int = 4,
        *,
        name: str = "talk",
        players: int = 2,
        place: int = 0,
        **fields: Any,
    ) -> PlannedGame:
        _masters[str(self.folder), name] = master
        about = {name: fields.pop(name) for name in ("concurrency",) if name in fields}
        spec = GameSpec(game_name=name, game_path=str(self.folder), players=players, **about)
        return PlannedGame(
            spec,
            [
                PlannedEpisode(EpisodeKey(name, "e", i, 1), {"name": "e"}, {"game_id": i, **fields}, place + i)
                for i in range(size)
            ],
        )

    def play(
        self, games: PlannedGame | Sequence[PlannedGame], models: Model | Sequence[Model], **options: Any
    ) -> Summary:
        layout, progress, log = (options.pop(name, None) for name in ("layout", "progress", "log"))
        with RunStore.open(self.folder) as store:
            return play(
                [games] if isinstance(games, PlannedGame) else games,
                [models] if isinstance(models, Model) else models,
                store,
                Options(**options),
                layout=layout,
                progress=progress,
                log=log,
            )

    def reader(self) -> RunReader:
        return RunReader(self.folder)

    def states(self) -> dict[str, str]:
        return {f"{key.game}/{key.game_id}": state.state for key, state in self.reader().states().items()}

    def turns(self) -> list[Turns]:
        """Return the turns of every episode, without times."""
        reader = self.reader()
        found = []
        for key in sorted(reader.states()):
            interactions = json.loads(reader.interactions(key))
            turns = interactions["turns"]
            found.append([[{**event, "timestamp": ""} for event in turn] for turn in turns])
        return found
