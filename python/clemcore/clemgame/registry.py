"""Which games there are, and which of them a selector means.

It finds the folders of games and reads what their ``clemgame.json`` says. It imports no game.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.clemgame.reading.game_files import (
    REGISTRY_FILE,
    SPEC_FILE,
    check_entry,
    read_registry,
    with_player_count,
)
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.errors import GameError
from clemcore.spelling import misspelling_of

__all__ = ["ALL", "ENV_CLEMBENCH_HOME", "GameRegistry", "GameSpec", "Selector"]

logger = logging.getLogger(__name__)

ENV_CLEMBENCH_HOME = "CLEMBENCH_HOME"
MAX_DEPTH = 3
ALL = "all"

# Folders in which no game is looked for, besides hidden ones.
_SKIPPED = frozenset({"venv", "__pycache__", "docs", "in", "resources", "utils", "evaluation", "files"})
_SHOWN = 10

Selector = str | Mapping[str, Any] | GameSpec


class GameRegistry:
    """The games that were found, in the order in which they were found.

    Attributes:
        faults: one error for each file or entry that could not be read. The other games can be used.
    """

    def __init__(self, game_specs: Iterable[GameSpec] | None = None) -> None:
        self._game_specs = list(game_specs or [])
        self.faults: list[GameError] = []
        self._searched: list[str] = []

    def __len__(self) -> int:
        return len(self._game_specs)

    def __iter__(self) -> Iterator[GameSpec]:
        return iter(self._game_specs)

    def __repr__(self) -> str:
        return f"GameRegistry({len(self)} games)"

    # -- looking games up --------------------------------------------------------------------------------------
    @classmethod
    def from_directories_and_cwd_files(cls) -> GameRegistry:
        """Find the games of the working directory, or else those of ``$CLEMBENCH_HOME``.

        First come the entries of ``./game_registry.json``: each has a ``game_path``, or a ``benchmark_path`` whose
        folders are searched. Then come the folders below the working directory, at most three deep, that hold a
        ``clemgame.json``. Only if there is no game at all, ``$CLEMBENCH_HOME`` is searched.

        Raises:
            GameError: ``game_registry.json`` has faults; all of them are in the error. A folder that cannot be used
                is listed in :attr:`faults` instead.
        """
        registry = cls()
        here = Path.cwd()
        if (here / REGISTRY_FILE).exists():
            registry.register_from_list(read_registry(here / REGISTRY_FILE), str(here / REGISTRY_FILE))
        registry.register_from_directories(str(here), 0)
        home = os.environ.get(ENV_CLEMBENCH_HOME)
        if not registry and home:
            if not Path(home).is_dir():
                registry._add_fault(GameError(f"${ENV_CLEMBENCH_HOME} names {home}, which is not a folder"))
            registry.register_from_directories(home, 0)
        return registry

    def register_from_list(
        self, game_specs: Iterable[Mapping[str, Any]], lookup_source: str | None = None
    ) -> GameRegistry:
        """Append games given as dicts, which are left as they are; an invalid one is skipped with a warning.

        Paths in them start from the folder of ``lookup_source``, or else from the working directory.
        """
        base = Path.cwd() if lookup_source is None else Path(lookup_source).parent
        for index, given in enumerate(game_specs):
            entry = dict(given) if isinstance(given, Mapping) else given
            findings = [each.message for each in check_entry(entry) if each.code != "G005"]
            if findings:
                self._add_fault(GameError(f"entry {index} of the list of games is skipped: {'; '.join(findings)}"))
            elif "benchmark_path" in entry:
                folder = base / Path(entry["benchmark_path"]).expanduser()
                if not folder.is_dir():
                    named = f"{lookup_source or 'the list of games'} names the benchmark_path"
                    self._add_fault(GameError(f"{named} {entry['benchmark_path']}, but {folder} is not a folder"))
                self.register_from_directories(str(folder), 0)
            else:
                if lookup_source is not None:
                    entry.setdefault("lookup_source", lookup_source)
                    entry["game_path"] = str(base / Path(entry["game_path"]).expanduser())
                self._add(GameSpec.from_dict(with_player_count(entry)))
        return self

    def register_from_directories(
        self, current_directory: str, current_depth: int, max_depth: int = MAX_DEPTH
    ) -> None:
        """Append the games of a folder and of the folders below it, in the order of their names."""
        if current_depth == 0:
            self._searched.append(str(current_directory))
        if current_depth > max_depth:
            return
        folder = Path(current_directory)
        try:
            if (folder / SPEC_FILE).exists():
                for spec in GameSpec.from_directory(str(current_directory)):
                    self._add(spec)
                return
            inner = [] if current_depth == max_depth else sorted(_folders(folder))
        except GameError as fault:
            self._add_fault(fault)
            return
        except OSError:  # a folder that we may not read has no game for us
            return
        for name in inner:
            self.register_from_directories(str(folder / name), current_depth + 1, max_depth)

    def _add(self, spec: GameSpec) -> None:
        """Append a game, unless the very same one is there: two ways can lead to one folder."""
        place = _place(spec)
        if not any(other.game_name == spec.game_name and _place(other) == place for other in self._game_specs):
            self._game_specs.append(spec)

    def _add_fault(self, fault: GameError) -> None:
        self.faults.append(fault)
        logger.warning("%s", fault)

    # -- selecting ---------------------------------------------------------------------------------------------
    def get_game_specs(self) -> list[GameSpec]:
        """Return all games."""
        return list(self._game_specs)

    def find_game_spec(self, game_name: str) -> GameSpec | None:
        """Return the game of a name, or None.

        Raises:
            GameError: several folders have a game of that name.
        """
        found = [spec for spec in self if spec.game_name == game_name]
        self._refuse_same_names(found)
        return found[0] if found else None

    def get_game_spec(self, game_name: str) -> GameSpec:
        """Return the game of a name.

        Raises:
            GameError: there is no such game, or several folders have one (a ValueError).
        """
        found = self.find_game_spec(game_name)
        if found is None:
            raise GameError(self._why_not(game_name))
        return found

    def get_game_specs_that_unify_with(self, game_selector: Selector, verbose: bool = True) -> list[GameSpec]:
        """Return the games that a selector means, each once, in the order of the registry.

        Args:
            game_selector: a name, ``"all"``, a dict of fields (also as text), or a specification. If it has the key
                ``benchmark``, it means the games that belong to one of these versions, and its other keys do not
                count. Otherwise, it means the games whose fields it does not contradict.
            verbose: log which games were found.

        Raises:
            GameError: no game matches, or several folders have a game of the same name (a ValueError).
        """
        found = self.get_game_specs() if game_selector == ALL else self._matching(game_selector)
        if not found:
            raise GameError(self._why_not(game_selector))
        self._refuse_same_names(found)
        if verbose:
            names = ", ".join(spec.game_name for spec in found)
            logger.info("%d games match %s: %s", len(found), game_selector, names)
        return found

    def select(self, selectors: Iterable[Selector]) -> list[GameSpec]:
        """Return the games of several selectors, each once, in the order of the selectors.

        Raises:
            GameError: a selector matches no game, or several of one name; the error has all such problems.
        """
        chosen: dict[str, GameSpec] = {}
        problems: list[str] = []
        for selector in selectors:
            try:
                for spec in self.get_game_specs_that_unify_with(selector, verbose=False):
                    chosen.setdefault(spec.game_name, spec)
            except GameError as fault:
                problems.append(str(fault))
        if problems:
            raise GameError("\n".join(dict.fromkeys(problems)))
        return list(chosen.values())

    def same_names(self) -> dict[str, list[GameSpec]]:
        """Return the games that share their name with a game of another folder, by name."""
        by_name: dict[str, list[GameSpec]] = {}
        for spec in self:
            by_name.setdefault(spec.game_name, []).append(spec)
        return {name: specs for name, specs in by_name.items() if len({_place(spec) for spec in specs}) > 1}

    def _matching(self, given: Selector) -> list[GameSpec]:
        selector = GameSpec.from_any(given)
        if isinstance(given, str) and list(selector.__dict__.values()) == [
            given
        ]:  # a name, which needs no master.py
            return [spec for spec in self if spec.game_name == given]
        versions = selector.get("benchmark")
        if versions is not None:
            wanted = set(_versions(versions))
            return [
                spec for spec in self if wanted & set(_versions(spec.get("benchmark"))) and spec.game_file_exists()
            ]
        found = []
        for spec in self:
            try:
                merged = selector.unify(spec)
            except GameError:
                continue
            if merged.game_file_exists():
                found.append(merged)
        return found

    def _refuse_same_names(self, specs: Iterable[GameSpec]) -> None:
        clashes = self.same_names()
        faults = []
        for name in dict.fromkeys(spec.game_name for spec in specs):
            if name in clashes:
                paths = " and ".join(str(spec.game_path) for spec in clashes[name])
                faults.append(f"the game '{name}' exists more than once: {paths}. Rename or remove all but one")
        if faults:
            raise GameError("\n".join(faults))

    def _why_not(self, selector: Selector) -> str:
        """Explain why no game matches a selector, with the nearest name."""
        if not self._game_specs:
            where = ", ".join(self._searched) or "an empty registry"
            advice = f"Start in the folder of your games, or set ${ENV_CLEMBENCH_HOME}"
            message = f"no games were found in {where} (at most {MAX_DEPTH} folders deep). {advice}"
        else:
            spec = GameSpec.from_any(selector)
            message = self._why_none_matches(spec, selector)
        broken = list(dict.fromkeys(problem.source for fault in self.faults for problem in fault.problems))
        return message + (
            f". These files have faults, so their games are missing: {', '.join(broken)}" if broken else ""
        )

    def _why_none_matches(self, spec: GameSpec, selector: Selector) -> str:
        names = list(dict.fromkeys(str(game.game_name) for game in self))
        name = spec.get("game_name")
        if isinstance(name, str) and name not in names:
            parts = [part.strip() for part in name.split(",")]
            if len(parts) > 1 and set(parts) <= set(names):
                return f"there is no game '{name}': separate several games by spaces: -g {' '.join(parts)}"
            near = misspelling_of(name, names)
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            hint = f"did you mean '{near}'?" if near else f"there are: {shown}. 'clem list games' shows all"
            return f"there is no game '{name}': {hint}"
        if "benchmark" in spec:
            known = sorted({version for game in self for version in _versions(game.get("benchmark"))})
            return (
                f"no game belongs to benchmark {spec['benchmark']!r}: the versions are {', '.join(known) or 'none'}"
            )
        lacking = [str(game.game_path) for game in self if not game.game_file_exists()]
        without = f" (folders without a master.py: {', '.join(lacking[:_SHOWN])})" if lacking else ""
        return f"no game matches {selector!r}{without}: 'clem list games' shows all"


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as found:
        return [each.name for each in found if each.is_dir() and not _is_skipped(each.name)]


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _place(spec: GameSpec) -> str:
    return os.path.realpath(str(spec.game_path))


def _versions(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(each) for each in value]
