"""Checks one game: its entry, its instances, its code, a trial with the mock, and variables that episodes share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.checking.source import Place, SourceOfModule
from clemcore.clemgame.checking.trial import EndlessError, Trial, last_line_of, try_episodes
from clemcore.clemgame.checking.variables import Variable
from clemcore.clemgame.fingerprint import code_folders
from clemcore.clemgame.instance_files import file_name
from clemcore.clemgame.plan import PlannedEpisode, PlannedGame, make_plan
from clemcore.clemgame.spec import GameSpec
from clemcore.errors import GameLoadError

ERROR, WARNING, HINT = "error", "warning", "hint"


class Remark(NamedTuple):
    """What a check says.

    Attributes:
        severity: ``"error"`` (the game cannot be played as it is), ``"warning"`` or ``"hint"``.
        message: what is wrong, where and why, and what to do.
    """

    severity: str
    message: str


def check_game(
    spec: GameSpec, *, episodes: int = 3, most_steps: int = 200, seconds: float = 60.0
) -> tuple[list[Remark], int]:
    """Check a game.

    Args:
        spec: the game.
        episodes: how many episodes the trial plays; 0 plays none.
        most_steps: the trial ends an episode after this many steps.
        seconds: the trial ends an episode after this time.

    Returns:
        What was found, and how many episodes of the trial came to an end.
    """
    remarks = list(_of_spec(spec))
    [planned] = make_plan([spec])
    if planned.problem is not None:
        return [*remarks, Remark(ERROR, str(planned.problem))], 0
    remarks += _of_instances(planned)
    try:
        benchmark = GameBenchmark.load_from_spec(spec)
    except GameLoadError as fault:
        return [*remarks, Remark(ERROR, f"{fault}\n{fault.details}".rstrip())], 0
    with benchmark:
        sources = [SourceOfModule(each.__name__, each.__file__) for each in benchmark.modules if each.__file__]
        chosen = _chosen(planned.episodes, episodes)
        trial = try_episodes(benchmark, chosen, most_steps=most_steps, seconds=seconds)
    folders = [str(folder) for folder in code_folders(Path(spec.game_path))]
    remarks += _of_trial(trial, folders)
    remarks += _of_variables(spec, trial, sources)
    return remarks, len(trial.played)


def _of_spec(spec: GameSpec) -> Iterator[Remark]:
    roles = spec.get("roles")
    if roles is not None and len(roles) != spec.player_count:
        names = ", ".join(map(str, roles))
        what = f"'roles' names {len(roles)} roles ({names}), but 'players' is {spec.player_count}"
        yield Remark(WARNING, f"{spec.game_path}/clemgame.json: {what}: give each player one role")


def _of_instances(planned: PlannedGame) -> Iterator[Remark]:
    if not planned.episodes:
        name = file_name(planned.spec)
        yield Remark(ERROR, f"in/{name} of the game '{planned.spec.game_name}' has no instance: generate some")


def _chosen(episodes: Sequence[PlannedEpisode], number: int) -> list[PlannedEpisode]:
    """Return some episodes: one of each experiment in turn, and one twice if there is no other."""
    by_experiment: dict[str, list[PlannedEpisode]] = {}
    for episode in episodes:
        by_experiment.setdefault(episode.key.experiment, []).append(episode)
    chosen: list[PlannedEpisode] = []
    for turn in range(max(map(len, by_experiment.values()), default=0)):
        chosen += [each[turn] for each in by_experiment.values() if turn < len(each)]
        if len(chosen) >= number:
            break
    chosen = chosen[:number]
    return chosen * 2 if len(chosen) == 1 and number > 1 else chosen


def _of_trial(trial: Trial, folders: Sequence[str]) -> Iterator[Remark]:
    for episode, what, fault in trial.failed:
        place = last_line_of(fault, folders)
        where = f" ({place})" if place else ""
        text = " ".join(str(fault).split())
        if isinstance(fault, EndlessError):
            help_ = "A run ends such an episode by its limits; see also --max-steps and --timeout"
            yield Remark(WARNING, f"{episode.key} does not end with the mock: {text}. {help_}")
            continue
        yield Remark(ERROR, f"{episode.key} cannot be {what} with the mock: {type(fault).__name__}: {text}{where}")


def _of_variables(spec: GameSpec, trial: Trial, sources: Sequence[SourceOfModule]) -> Iterator[Remark]:
    """Report the variables that episodes share and change, unless the game says that it needs to be alone."""
    if spec.get("concurrency") == 1:
        return
    help_ = 'keep it in the game master or its state, or write "concurrency": 1 in clemgame.json'
    for variable, grew in sorted(trial.changed.items()):
        place = _place(variable, sources)
        if grew:
            message = (
                f"{place}: '{variable}' grew while episodes were played. If it holds more than a cache, {help_}"
            )
            yield Remark(WARNING, message)
        else:
            message = f"{place}: an episode changed '{variable}', which all live episodes share: {help_}"
            yield Remark(ERROR, message)
    for source in sources:
        for variable, places in sorted(source.changed.items()):
            if variable not in trial.changed:
                lines = ", ".join(map(str, places))
                message = f"{lines}: this code changes '{variable}', which all live episodes share"
                unseen = "No episode of the trial did. If it holds the state of an episode,"
                yield Remark(HINT, f"{message}. {unseen} {help_}")


def _place(variable: Variable, sources: Sequence[SourceOfModule]) -> str:
    """Return where a variable is changed, or else where it is made, or else its module."""
    for source in sources:
        if places := source.changed.get(variable):
            return ", ".join(map(str, places))
    made: list[Place] = [source.made[variable] for source in sources if variable in source.made]
    return str(made[0]) if made else f"module {variable.module}"
