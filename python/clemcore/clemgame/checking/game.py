"""Checks one game: its entry, its instances, its code, a trial with the mock, and variables that episodes share."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from clemcore.clemgame import metrics
from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.checking.determinism import check_determinism
from clemcore.clemgame.checking.hostile import try_hostile_players
from clemcore.clemgame.checking.outcomes import unreachable_outcomes
from clemcore.clemgame.checking.remarks import ERROR, HINT, WARNING, Remark, in_order
from clemcore.clemgame.checking.source import Place, SourceOfModule
from clemcore.clemgame.checking.texts import different_wordings, keys_of, templates_of, unfilled
from clemcore.clemgame.checking.trial import EndlessError, Trial, last_line_of, try_episodes
from clemcore.clemgame.checking.variables import Variable
from clemcore.clemgame.plan import PlannedEpisode, PlannedGame, make_plan
from clemcore.clemgame.reading.fingerprint import code_folders
from clemcore.clemgame.reading.game_files import SPEC_FILE
from clemcore.clemgame.reading.instance_files import file_name
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.errors import GameError, GameLoadError

# Seconds of an episode with a hostile player.
_OF_HOSTILE = 10.0
# What checks of a game do not read: its folders of other programs.
_SKIPPED = frozenset({"venv", "node_modules", "__pycache__"})


def check_game(
    spec: GameSpec, *, episodes: int = 3, most_steps: int = 200, seconds: float = 60.0, is_thorough: bool = True
) -> tuple[list[Remark], int]:
    """Check a game.

    Args:
        spec: the game.
        episodes: how many episodes the trial plays; 0 plays none.
        most_steps: the trial ends an episode after this many steps.
        seconds: the trial ends an episode after this time.
        is_thorough: also read templates and outcomes, and try hostile players and other orders.

    Returns:
        What was found, errors first, and how many episodes of the trial came to an end.
    """
    with _printing_to_stderr():
        remarks, played = _check(spec, episodes, most_steps, seconds, is_thorough)
    entry = f"{spec.game_path}/{SPEC_FILE}"
    return in_order(
        [each if each.file else each._replace(file=entry) for each in map(Remark.placed, remarks)]
    ), played


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Lead all that a game prints to standard error, also from C code and programs: the report must stay whole."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


@contextlib.contextmanager
def _each_warning_once() -> Iterator[None]:
    """Show what is wrong with scores once in the block, and not for each episode of the trial."""
    shown: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return text not in shown and not shown.add(text)  # type: ignore[func-returns-value]

    metrics.module_logger.addFilter(is_new)
    try:
        yield
    finally:
        metrics.module_logger.removeFilter(is_new)


def _check(
    spec: GameSpec, episodes: int, most_steps: int, seconds: float, is_thorough: bool
) -> tuple[list[Remark], int]:
    remarks = list(_of_spec(spec))
    [planned] = make_plan([spec])
    if planned.problem is not None:
        return [*remarks, *remarks_of(planned.problem)], 0
    remarks += _of_instances(planned)
    folder, files = Path(spec.game_path), _code_of(Path(spec.game_path))
    try:
        benchmark = GameBenchmark.load_from_spec(spec)
    except GameLoadError as fault:
        return [*remarks, Remark(ERROR, f"{fault}\n{fault.details}".rstrip(), "code")], 0
    with benchmark, _each_warning_once():
        sources = [SourceOfModule(each.__name__, each.__file__) for each in benchmark.modules if each.__file__]
        chosen = _chosen(planned.episodes, episodes)
        trial = try_episodes(benchmark, chosen, most_steps=most_steps, seconds=seconds)
        folders = [str(folder) for folder in code_folders(folder)]
        remarks += [*_of_trial(trial, folders), *trial.remarks]
        if is_thorough and trial.played and not trial.failed:
            remarks += try_hostile_players(
                benchmark, trial.played[0], folders, most_steps=most_steps, seconds=min(seconds, _OF_HOSTILE)
            )
    remarks += _of_variables(spec, trial, sources)
    if is_thorough:
        templates, unread = templates_of(folder)
        remarks += unread
        fields = keys_of([[each.experiment, each.instance] for each in planned.episodes])
        remarks += [*unfilled(templates, folder, fields, trial.sent), *different_wordings(templates)]
        remarks += unreachable_outcomes(files)
        if trial.played and not trial.failed:
            remarks += check_determinism(spec, chosen, seconds=seconds, files=files)
    return remarks, len(trial.played)


def remarks_of(fault: GameError) -> list[Remark]:
    """Return what an error says about the files of a game, one remark for each problem with its place."""
    problems = getattr(fault, "problems", None) or ()
    found = []
    for each in problems:
        text = f"{each.message} [{each.code}]" + (f": {each.help}" if each.help else "")
        found.append(Remark(each.severity, text, "files", each.source, each.line))
    return found or [Remark(ERROR, str(fault), "files")]


def _code_of(folder: Path) -> list[Path]:
    """Return the Python files of a game, those of its author's tests left out."""
    return [
        path
        for path in sorted(folder.rglob("*.py"))
        if _SKIPPED.isdisjoint(path.relative_to(folder).parts) and not path.name.startswith("test")
    ]


def _of_spec(spec: GameSpec) -> Iterator[Remark]:
    roles = spec.get("roles")
    if roles is not None and len(roles) != spec.player_count:
        names = ", ".join(map(str, roles))
        what = f"'roles' names {len(roles)} roles ({names}), but 'players' is {spec.player_count}"
        yield Remark(WARNING, f"{what}: give each player one role", "files")


def _of_instances(planned: PlannedGame) -> Iterator[Remark]:
    if not planned.episodes:
        name = file_name(planned.spec)
        yield Remark(
            ERROR, f"in/{name} of the game '{planned.spec.game_name}' has no instance: generate some", "files"
        )


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
            at = fault.place or place
            file, _, line = at.rpartition(":")
            message = f"{episode.key} does not end with the mock: {text}. {help_}"
            yield Remark(WARNING, message, file=file, line=int(line or 0))
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
            yield Remark(WARNING, message, "shared-variable")
        else:
            message = f"{place}: an episode changed '{variable}', which all live episodes share: {help_}"
            yield Remark(ERROR, message, "shared-variable")
    for source in sources:
        for variable, places in sorted(source.changed.items()):
            if variable not in trial.changed:
                lines = ", ".join(map(str, places))
                message = f"{lines}: this code changes '{variable}', which all live episodes share"
                unseen = "No episode of the trial did. If it holds the state of an episode,"
                yield Remark(HINT, f"{message}. {unseen} {help_}", "shared-variable")


def _place(variable: Variable, sources: Sequence[SourceOfModule]) -> str:
    """Return where a variable is changed, or else where it is made, or else its module."""
    for source in sources:
        if places := source.changed.get(variable):
            return ", ".join(map(str, places))
    made: list[Place] = [source.made[variable] for source in sources if variable in source.made]
    return str(made[0]) if made else f"module {variable.module}"
