"""What is known about one game before its code is imported: the entry of a ``clemgame.json``.

It does not know where games are looked up, nor whether an entry's files exist, except for ``master.py``.
"""

from __future__ import annotations

import ast
import copy
import copyreg
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clemcore import _core
from clemcore.clemgame.reading.game_files import WORDS, read_games
from clemcore.errors import GameError, GameSpecError
from clemcore.registry.spec import fault_of_dict

# Every game has these; `game_path` is set by whoever finds the game.
REQUIRED = {"game_name": "game name", "game_path": "game path", "players": "number of players"}


class GameSpec(SimpleNamespace):
    """The entry of one game, as attributes: its name, its folder, its number of players, and what else it says.

    Two specifications are equal if they have the same name, as in 3.7.2.

    Args:
        allow_underspecified: accept an entry without name, path or players, as a selector.
        **kwargs: the fields of the entry.

    Raises:
        GameSpecError: a required field is missing.

    Examples:
        >>> spec = GameSpec(game_name="taboo", game_path="games/taboo", players=2)
        >>> spec.game_name, spec["players"], "instances" in spec, spec.player_count
        ('taboo', 2, False, 2)
    """

    def __init__(self, allow_underspecified: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        missing = [words for field, words in REQUIRED.items() if field not in kwargs]
        if missing and not allow_underspecified:
            raise GameSpecError(f"no {' and no '.join(missing)} specified in the entry {kwargs}")

    # -- reading ---------------------------------------------------------------------------------------------
    def __getitem__(self, item: str) -> Any:
        return getattr(self, item)

    def __contains__(self, attribute: str) -> bool:
        return hasattr(self, attribute)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field, or the default."""
        return self.__dict__.get(name, default)

    def __eq__(self, other: object) -> bool:
        return self._name() == other._name() if isinstance(other, GameSpec) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self._name())

    def _name(self) -> Any:
        return self.__dict__.get("game_name")

    def __repr__(self) -> str:
        return f"GameSpec({self})"

    def __str__(self) -> str:
        return str(self.__dict__)

    def __reduce__(self) -> tuple[Any, ...]:
        # SimpleNamespace would call the class without fields, which are required.
        return copyreg.__newobj__, (type(self),), dict(self.__dict__)  # type: ignore[attr-defined]

    @property
    def player_count(self) -> int:
        """The number of players."""
        players = self.players
        return players if isinstance(players, int) else WORDS[str(players).lower()]

    @property
    def role_names(self) -> list[str]:
        """The names of the players' roles, in order; "Player 1", … where the entry does not name them."""
        numbered = [f"Player {number}" for number in range(1, self.player_count + 1)]
        named = self.get("roles") or []
        return [str(name) for name in named[: len(numbered)]] + numbered[len(named) :]

    def is_single_player(self) -> bool:
        """Tell whether one player plays the game."""
        return self.player_count == 1

    def is_multi_player(self) -> bool:
        """Tell whether several players play the game."""
        return self.player_count > 1

    def get_game_file(self) -> str:
        """Return the path of the game's ``master.py``."""
        return str(Path(self.game_path) / "master.py")

    def game_file_exists(self) -> bool:
        """Tell whether the game's ``master.py`` exists."""
        return Path(self.get_game_file()).is_file()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, a deep copy."""
        return copy.deepcopy(self.__dict__)

    def to_string(self) -> str:
        """Return the fields as compact JSON."""
        return json.dumps(self.__dict__, separators=(",", ":"))

    def to_pretty_string(self) -> str:
        """Return the fields as indented JSON."""
        return json.dumps(self.__dict__, indent=2)

    # -- selecting -------------------------------------------------------------------------------------------
    def matches(self, spec: Mapping[str, Any]) -> bool:
        """Tell whether each given value equals the field, or is in it where the field is a list.

        Raises:
            GameSpecError: the entry does not have one of the fields (a KeyError).
        """
        for key, value in spec.items():
            if key not in self:
                raise GameSpecError(f"the entry of game '{self._name()}' has no field '{key}'")
            field = self[key]
            is_equal = value in field if isinstance(field, list) else field == value
            if isinstance(field, (str, list)) and not is_equal:
                return False
        return True

    def unify(self, other: GameSpec) -> GameSpec:
        """Merge two specifications that do not contradict each other; the rule is that of model specifications.

        Raises:
            GameError: a field has different values in the two (a ValueError).
        """
        merged = _core.unify(self.__dict__, other.__dict__)
        if merged is None:
            raise GameError(f"{self} does not unify with {other}")
        return type(self)(**merged)

    # -- building --------------------------------------------------------------------------------------------
    @classmethod
    def from_name(cls, game_name: str) -> GameSpec:
        """Build a selector that asks for a game by its name.

        Raises:
            GameError: the name is not a non-empty string.
        """
        if not isinstance(game_name, str) or not game_name.strip():
            raise GameError(f"a game name must be a non-empty string, not {game_name!r}")
        return cls(allow_underspecified=True, game_name=game_name)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], allow_underspecified: bool = False) -> GameSpec:
        """Build a specification from a mapping of fields.

        Raises:
            GameError: not a mapping, a field name is not a string, or a required field is missing.
        """
        if not isinstance(spec, Mapping):
            raise GameError(f"the specification of a game must be a dict, not {type(spec).__name__}")
        odd = [key for key in spec if not isinstance(key, str)]
        if odd:
            raise GameError(f"field names of a game must be strings; these are not: {odd!r}")
        return cls(allow_underspecified, **spec)

    @classmethod
    def from_string(cls, game_spec: str) -> GameSpec:
        """Read a selector: a name, or a dict written as JSON or as a Python literal.

        A string that starts with ``{`` is a dict and must parse as one; anything else is a name.

        Raises:
            GameError: the string starts with ``{`` but is neither JSON nor a Python dict.

        Examples:
            >>> GameSpec.from_string("{'benchmark': ['3.0'], 'open': true}").benchmark
            ['3.0']
        """
        text = game_spec.strip()
        if not text.startswith("{"):
            return cls.from_name(game_spec)
        return cls.from_dict(_parse_dict(text), allow_underspecified=True)

    @classmethod
    def from_any(cls, selector: str | Mapping[str, Any] | GameSpec) -> GameSpec:
        """Read a selector: a name, a dict (also as text), or a specification.

        Raises:
            GameError: it is none of these.
        """
        if isinstance(selector, GameSpec):
            return selector
        if isinstance(selector, str):
            return cls.from_string(selector)
        return cls.from_dict(selector, allow_underspecified=True)

    @classmethod
    def from_directory(cls, dir_path: str) -> list[GameSpec]:
        """Read the games of a folder from its ``clemgame.json``.

        Raises:
            GameError: the file is missing or has faults; all of them are in the error.
        """
        return [cls.from_dict({**entry, "game_path": str(dir_path)}) for entry in read_games(Path(dir_path))]


def _parse_dict(text: str) -> Any:
    """Read a dict: JSON, a Python literal, or JSON with single quotes, as shells make people write it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        json_fault = fault
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(text.replace("'", '"'))
    except json.JSONDecodeError:
        fault_text = fault_of_dict(text, json_fault)
        raise GameError(f"a game given as a dict must be JSON or a Python dict: {fault_text}") from None
