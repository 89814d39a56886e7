"""A game as code: the class that makes its game masters and scorers, loaded from its ``master.py``.

It does not know how games are played, nor where results lie.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.metrics import write_scores
from clemcore.clemgame.reading.missing_packages import advice_for
from clemcore.clemgame.reading.modules import GameModules
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.resources import GameResourceLocator, load_json
from clemcore.errors import GameLoadError

if TYPE_CHECKING:
    from clemcore.clemgame.game_master import GameMaster
    from clemcore.clemgame.metrics import ScorerBase
    from clemcore.model import Model

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "GameMaster", "GameScorer")

logger = logging.getLogger(__name__)

# Of the message of an exception, in characters; the whole message is in the details.
_LONGEST = 300


class GameBenchmark(GameResourceLocator):
    """Makes the game masters and the scorers of one game.

    A game's ``master.py`` defines one subclass, with :meth:`create_game_master` and :meth:`create_game_scorer`.

    Args:
        game_spec: the specification of the game.
    """

    def __init__(self, game_spec: GameSpec) -> None:
        super().__init__(game_spec.game_name, game_spec.game_path)
        self.game_spec = game_spec
        self._modules: GameModules | None = None

    @classmethod
    def load_from_spec(cls, game_spec: GameSpec) -> GameBenchmark:
        """Import a game and return its benchmark. Close it when the game is no longer needed, or use ``with``.

        Raises:
            GameLoadError: the game's code cannot be imported, or has no single benchmark class. The message says
                where, and which package to install; ``details`` is the traceback of the game's code.
        """
        if not game_spec.game_file_exists():
            raise GameLoadError(f"the game '{game_spec.game_name}' has no master.py in {game_spec.game_path}")
        modules = GameModules(game_spec.game_name, game_spec.game_path)
        try:
            found = _benchmark_class(modules.load(), game_spec)
            benchmark = found(game_spec)
        except GameLoadError:
            modules.close()
            raise
        except (Exception, SystemExit) as fault:
            modules.close()
            raise _not_loaded(game_spec, fault) from fault
        benchmark._modules = modules
        return benchmark

    def __deepcopy__(self, memo: dict[int, Any]) -> GameBenchmark:
        """Return the game itself: its code is loaded once, and copies of an episode share it."""
        return self

    @property
    def modules(self) -> list[ModuleType]:
        """The modules of the game that are loaded now."""
        return [] if self._modules is None else self._modules.modules()

    def close(self) -> None:
        """Unload the modules of the game."""
        if self._modules is not None:
            self._modules.close()

    def __enter__(self) -> GameBenchmark:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what a game defines -----------------------------------------------------------------------------------
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        """Make a game master.

        Args:
            experiment: the experiment, without its instances.
            player_models: a model for each player, or one model that plays all of them.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define create_game_master(experiment, player_models)"
        )

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> ScorerBase:
        """Make a scorer.

        Args:
            experiment: the experiment, without its instances.
            game_instance: the instance that was played.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define create_game_scorer(experiment, game_instance)"
        )

    # -- scoring -----------------------------------------------------------------------------------------------
    def compute_scores(self, interaction_files: Iterable[Path]) -> list[Path]:
        """Score episodes of the classic layout, and write ``scores.json`` beside each ``interactions.json``.

        Args:
            interaction_files: the files to score.

        Returns:
            The files that could not be scored; the reason for each is logged.
        """
        failed = []
        for file in map(Path, interaction_files):
            try:
                experiment = load_json(file.parent.parent / "experiment.json")
                scorer = self.create_game_scorer(experiment, load_json(file.parent / "instance.json"))
                scorer.compute_scores(load_json(file))
                write_scores(scorer, file.parent)
            except Exception:
                logger.exception("%s: cannot score %s", self.game_name, file)
                failed.append(file)
        if failed:
            logger.error("%s: %d of the episodes could not be scored", self.game_name, len(failed))
        return failed


def is_game_benchmark(obj: object) -> bool:
    """Tell whether an object is the benchmark class of a game."""
    return inspect.isclass(obj) and issubclass(obj, GameBenchmark) and obj is not GameBenchmark


def _benchmark_class(module: ModuleType, spec: GameSpec) -> type[GameBenchmark]:
    """Return the one benchmark class of a module; those that it defines itself come before those it imports."""
    found: list[type[GameBenchmark]] = [each for _, each in inspect.getmembers(module, is_game_benchmark)]
    own = [each for each in found if each.__module__ == module.__name__]
    chosen = own or found
    # A class that others extend is their base, not the game.
    chosen = [
        each for each in dict.fromkeys(chosen) if not any(issubclass(o, each) and o is not each for o in chosen)
    ]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(each.__name__ for each in chosen)
    what = f"defines {len(chosen)} subclasses of GameBenchmark ({names})" if chosen else "defines no GameBenchmark"
    raise GameLoadError(
        f"{spec.get_game_file()} of the game '{spec.game_name}' {what}: define exactly one subclass of "
        "clemcore.clemgame.GameBenchmark in it"
    )


def _not_loaded(spec: GameSpec, fault: BaseException) -> GameLoadError:
    """Make the error for a game whose code raised an exception while it was imported."""
    frames = traceback.extract_tb(fault.__traceback__)
    # The first frames are ours and the import system's.
    first = next((at for at, frame in enumerate(frames) if not _is_ours(frame.filename)), len(frames))
    own = frames[first:]
    details = "".join(["Traceback of the game's code:\n", *traceback.format_list(own)])
    details += "".join(traceback.format_exception_only(type(fault), fault))
    where = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    if isinstance(fault, SyntaxError) and fault.filename:
        where = f" ({fault.filename}:{fault.lineno})"
    text = _in_one_line(str(fault) if not isinstance(fault, SyntaxError) else fault.msg)
    message = f"the game '{spec.game_name}' cannot be imported: {type(fault).__name__}: {text}{where}"
    advice = advice_for(fault, Path(spec.game_path))
    return GameLoadError(message + (f". {advice}" if advice else ""), details)


def _in_one_line(text: str) -> str:
    """Shorten a message: that of NLTK about missing data has 15 lines."""
    line = " ".join(word for word in text.split() if word.strip("*"))
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _is_ours(file: str) -> bool:
    return file.startswith("<frozen ") or Path(file).is_relative_to(Path(__file__).parent)
