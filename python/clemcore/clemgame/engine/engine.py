"""Plays the planned episodes of games, as many at once as the models can use, and stores what happens.

It does not know commands, nor which files a run has.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.benchmark import GameBenchmark
from clemcore.clemgame.engine import process_exit, working_folder
from clemcore.clemgame.engine.batcher import Batcher, Batches, HandOver
from clemcore.clemgame.engine.baton import Baton
from clemcore.clemgame.engine.branches import BranchObserver, Trees
from clemcore.clemgame.engine.cast import Observer, Staging
from clemcore.clemgame.engine.choice import is_wanted, last_ending, mark_of, remembered, tasks_of
from clemcore.clemgame.engine.episode import Ended, error_of, play_episode
from clemcore.clemgame.engine.garbage import rarely_collected
from clemcore.clemgame.engine.interrupts import Interrupts
from clemcore.clemgame.engine.keeping import Files, Keeper, Layout
from clemcore.clemgame.engine.limits import MOST_LIVE, Control, Options
from clemcore.clemgame.engine.live import LiveEpisode, labelled
from clemcore.clemgame.engine.output import Output, RunLog
from clemcore.clemgame.engine.progress import Progress
from clemcore.clemgame.engine.randomness import Dispatch, Stream, drawing_from
from clemcore.clemgame.engine.seeds import derived_seed
from clemcore.clemgame.engine.shuffler import Shuffler
from clemcore.clemgame.engine.sizing import BATCH, answers_batches, is_at_terminal, is_person, most_live
from clemcore.clemgame.engine.summary import Summary
from clemcore.clemgame.engine.tally import Tally
from clemcore.clemgame.engine.team import Team
from clemcore.clemgame.engine.ticker import Ticker
from clemcore.clemgame.engine.watchdog import Mark, Watchdog
from clemcore.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode, PlannedGame
    from clemcore.clemgame.reading.spec import GameSpec
    from clemcore.clemgame.store import RunStore

# Seconds that live calls have to end once the run stops.
_LET_GO = 30.0
# Seconds between two looks at how many episodes the models can use.
_LOOK = 0.05


def play(
    games: Sequence[PlannedGame],
    models: Sequence[Model],
    store: RunStore,
    options: Options | None = None,
    *,
    layout: Layout | None = None,
    progress: Progress | None = None,
    log: RunLog | None = None,
    observer: Observer | None = None,
    branching: BranchObserver | None = None,
) -> Summary:
    """Play every episode that is planned and not completed.

    Args:
        games: the plan. The episodes of one game are played before those of the next.
        models: the line-up: one model for each role, or one for all.
        store: where everything that happens is stored; episodes that it has completed are not played again.
        options: how to play.
        layout: writes the files of an episode that has ended, or None.
        progress: shows how far the run is, or None.
        log: gets what games print and log; None leaves it where it is.
        observer: hears what happens in the episodes, or None.
        branching: hears it, too, and says where episodes branch; None: nowhere.

    Returns:
        What the run has come to. Errors of episodes are in it; they are not raised.
    """
    run = _Run(models, store, options or Options(), layout=layout, progress=progress, log=log)
    run.observer, run.branching = observer or branching, branching
    return run.play(games)


class _Run:
    """One run of the engine."""

    def __init__(
        self,
        models: Sequence[Model],
        store: RunStore,
        options: Options,
        *,
        layout: Layout | None,
        progress: Progress | None,
        log: RunLog | None,
    ) -> None:
        self._models = models
        self._store = store
        self._options = options
        self._progress = progress
        self._has_person = any(is_person(model) for model in models)
        self._output = Output(log, is_shown=self._has_person)
        if progress is not None and any(map(is_at_terminal, models)):
            progress.leave_room_to_type()
        self._log = log
        self._baton = Baton()
        self._control = Control()
        self._tally = Tally()
        self._summary = Summary()
        self._live: set[LiveEpisode] = set()
        self._batchers: dict[int, Batches] = {}
        self._shuffler = None if options.shuffle is None else Shuffler(self._baton, options.shuffle)
        self._mark: Mark | None = None
        self._keeper = Keeper(
            store,
            options,
            baton=self._baton,
            control=self._control,
            tally=self._tally,
            summary=self._summary,
            live=self._live,
            output=self._output,
            files=None if layout is None else Files(layout, Model.to_infos(models), self._say),
        )
        self._is_alone = True
        self._infos = Model.to_infos(models)
        self._watchdog: Watchdog
        self.observer: Observer | None = None
        self.branching: BranchObserver | None = None

    # -- the whole run -------------------------------------------------------------------------------------------
    def play(self, games: Sequence[PlannedGame]) -> Summary:
        os.environ.setdefault("MPLBACKEND", "Agg")
        self._store.plan(episode for game in games for episode in game.episodes)
        if self._keeper.files is not None:
            self._keeper.files.has_epochs = any(key.epoch > 1 for game in games for key in game.episode_keys())
        chosen = self._skipped(games, self._leave_out_last(games))
        dispatch = Dispatch() if self._options.rng == "episode" else None
        mark = mark_of(self._store)
        self._mark = None if mark is None else Mark(mark)
        self._watchdog = Watchdog(
            self._options.step_timeout, self._mark, report=self._report_step, on_stuck=self._give_up
        )
        self._keeper.watchdog, self._keeper.mark = self._watchdog, self._mark
        interrupts = Interrupts(self._control, is_immediate=self._has_person)
        ticker = Ticker([self._watchdog.look, self._show_progress, lambda: interrupts.look(_LET_GO)])
        self._output.install()
        if dispatch is not None:
            dispatch.install()
        try:
            with interrupts, ticker, process_exit.contained():
                for game, skipped in chosen:
                    if len(skipped) < len(game.episodes) and self._control.reason is None:
                        with working_folder.kept():
                            self._play_game(game, skipped, interrupts)
                    elif game.problem is not None:
                        self._summary.failed_games[game.spec.game_name] = error_of(game.problem)
        except KeyboardInterrupt:
            if self._control.reason is None:
                raise
        finally:
            if dispatch is not None:
                dispatch.remove()
            self._output.remove()
            self._watchdog.close()
            for batcher in self._batchers.values():
                batcher.close()
            if self._mark is not None:
                self._mark.remove()
        return self._summed_up()

    def _leave_out_last(self, games: Sequence[PlannedGame]) -> set[EpisodeKey]:
        """End the episode whose code ended an earlier process, so that it does not end this one, too."""
        found = last_ending(games, self._store, self._options)
        if found is None:
            return set()
        planned, outcome, error = found
        self._tally.begin()
        self._keeper.give_up(planned, outcome, error)
        self._tally.end(outcome, str(planned.key), error)
        self._summary.add_error(planned.key, error)
        self._summary.notes.append(
            f"{planned.key} is left out, because it ended an earlier process: {error['message']}. "
            "The stack is in its error"
        )
        return {planned.key}

    def _skipped(
        self, games: Sequence[PlannedGame], left_out: set[EpisodeKey]
    ) -> list[tuple[PlannedGame, set[EpisodeKey]]]:
        """Return the games with the episodes that are not to be played; those left out count as ended now."""
        states = self._store.states(begun=True)
        skipped: list[tuple[PlannedGame, set[EpisodeKey]]] = []
        for game in games:
            known = ((key, states.get(key)) for key in game.episode_keys()) if states else ()
            keys = {key for key, state in known if state is not None and not is_wanted(state, self._options)}
            keys -= left_out
            self._tally.planned += len(game.episodes) - len(keys)
            self._tally.earlier += sum(states[key].state == "played" for key in keys)
            skipped.append((game, keys | {key for key in left_out if key.game == game.spec.game_name}))
        self._summary.earlier = self._tally.earlier
        return skipped

    @property
    def _folder(self) -> Path | None:
        path: Path | None = getattr(self._store, "path", None)
        return None if path is None else path.parent

    def _summed_up(self) -> Summary:
        tally, summary = self._tally, self._summary
        if self._progress is not None:
            self._progress.close(tally)
        summary.counts = tally.episodes
        summary.left = tally.planned - tally.ended
        summary.calls, summary.failed_calls, summary.programs = tally.calls, tally.failed, tally.programs
        summary.input_tokens, summary.output_tokens = tally.input_tokens, tally.output_tokens
        summary.usd, summary.seconds = tally.usd, time.monotonic() - tally.began
        summary.modes = tally.modes
        summary.stopped_by, summary.error = self._control.reason, self._control.error
        return summary

    # -- one game --------------------------------------------------------------------------------------------------
    def _play_game(self, game: PlannedGame, skipped: set[EpisodeKey], interrupts: Interrupts) -> None:
        name = game.spec.game_name
        # What a game draws while it is imported depends on nothing else.
        stream = Stream(derived_seed(self._options.seed, name)) if self._options.rng == "episode" else None
        try:
            with labelled(name), drawing_from(stream):
                benchmark = game.benchmark or _load(game.spec)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a game that cannot be imported fails alone
            self._summary.failed_games[name] = error_of(error)
            self._say(f"{name} cannot be played: {type(error).__name__}: {error}")
            return
        with labelled(name), benchmark if game.benchmark is None else contextlib.nullcontext():
            most = most_live(game.spec, self._models, self._options)
            self._is_alone = most() == 1
            staging = Staging(
                benchmark,
                self._models,
                self._infos,
                self._options.run,
                self._batcher_of,
                self._shuffler,
                keeps_context=self._options.keep_context == "experiment",
                players=game.spec.player_count,
                observer=self.observer,
            )
            if self.branching is not None:
                trees = Trees(
                    self._keeper,
                    staging,
                    self.branching,
                    lambda tasks, work: self._work(Team(tasks, work, self._is_over), most, interrupts),
                )
                self._play_trees(trees, [each for each in game.episodes if each.key not in skipped])
                return
            tasks = tasks_of(game, skipped, self._options)
            team = Team(tasks, lambda task: self._play_task(staging, task, skipped), self._is_over)
            self._work(team, most, interrupts)

    def _play_trees(self, trees: Trees, episodes: Sequence[PlannedEpisode]) -> None:
        for planned in episodes:
            if not self._keeper.is_over:
                try:
                    trees.play(planned)
                except Exception as fault:  # noqa: BLE001 - the store cannot be written: no further call is made
                    self._control.stop("store", fault)

    def _is_over(self) -> bool:
        return self._keeper.is_over

    def _work(self, team: Team[Any], most: Callable[[], int], interrupts: Interrupts) -> None:
        if self._is_alone:
            team.run_here()
            return
        # A cycle may hold what a local model has computed, which takes much memory.
        is_local = any(model.gains_by_batches for model in self._models)
        with contextlib.nullcontext() if is_local else rarely_collected():
            self._run_team(team, most, interrupts)

    def _run_team(self, team: Team[Any], most: Callable[[], int], interrupts: Interrupts) -> None:
        stopped_at = 0.0
        has_said = False
        while True:
            overdue = self._keeper.overdue() if self._control.reason is None else []
            if self._control.reason is None:
                team.grow(min(most() + len(overdue), max(most(), MOST_LIVE)))
            elif not stopped_at:
                stopped_at = time.monotonic()
            if team.refused is not None and not has_said:
                has_said = True
                most_now = max(team.size, 1)
                note = f"the machine refused a thread ({team.refused}): {most_now} episodes are live at most"
                self._summary.notes.append(note)
                self._say(note)
                if not team.size:
                    self._is_alone = True
                    team.run_here()
            if not team.wait(_LOOK):
                return
            if overdue and team.size <= len(overdue) and self._leave_behind(overdue):
                return
            if stopped_at:
                is_late = time.monotonic() - stopped_at > _LET_GO
                is_stuck = self._control.reason == "stuck" and not any(each.is_waiting for each in list(self._live))
                if is_late or is_stuck or interrupts.is_at_once:
                    return

    def _leave_behind(self, overdue: Sequence[LiveEpisode]) -> bool:
        """Give up the episodes that alone keep the run from its end; tell whether all of them are."""
        try:
            for episode in overdue:
                self._keeper.leave_behind(episode)
        except Exception as fault:  # noqa: BLE001 - the store cannot be written: no further call is made
            self._control.stop("store", fault)
        return all(episode.is_left for episode in overdue)

    def _batcher_of(self, model: Model) -> Batches | None:
        if self._is_alone or not answers_batches(model):
            return None
        batcher = self._batchers.get(id(model))
        if batcher is None:  # only the thread with the baton asks
            size = self._options.batch_size
            batcher = self._batchers[id(model)] = (
                HandOver(model, self._baton, size)
                if model.collects_calls
                else Batcher(model, self._baton, size or BATCH)
            )
        return batcher

    # -- one episode -----------------------------------------------------------------------------------------------
    def _play_task(self, staging: Staging, task: list[PlannedEpisode], skipped: set[EpisodeKey]) -> None:
        """Play episodes one after another; what players remember goes from each to the next."""
        contexts: dict[str, list[Any]] = {}
        for planned in task:
            if planned.key in skipped:
                contexts = remembered(self._folder, planned.key) or contexts
                continue
            if self._control.reason is not None:
                return
            contexts = self._play_one(staging, planned, contexts) or contexts

    def _play_one(
        self, staging: Staging, planned: PlannedEpisode, contexts: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Play an episode; return what its players remember."""
        ended = Ended(None, None, [])

        def play() -> None:
            nonlocal ended
            ended = play_episode(staging, planned, episode, writer=writer, book=book, contexts=contexts)

        try:
            episode, writer, book = self._keeper.begin(planned)
            try:
                self._keeper.inside(episode, play)
            finally:
                self._keeper.end(planned, (episode, writer), ended)
        except Exception as fault:  # noqa: BLE001 - the store cannot be written: no further call is made
            self._control.stop("store", fault)
            return {}
        return ended.facts.get("contexts", {}) if ended.outcome == "played" else {}

    # -- what the user hears ---------------------------------------------------------------------------------------
    def _report_step(self, episode: LiveEpisode, stack: str) -> None:
        self._say(f"{episode.scope_text}: the game's code takes too long without a call and is interrupted")
        if self._log is not None:
            self._log.write(episode.scope_text, f"step timeout\n{stack}")

    def _give_up(self, episode: LiveEpisode) -> None:
        """End the run because of game code that cannot be interrupted; the episode is left out from now on."""
        if episode.is_abandoned:
            return
        episode.is_abandoned = True
        self._say(f"{episode.scope_text}: the game's code cannot be interrupted, so the run ends")
        limit, planned = episode.limit, self._keeper.planned(episode)
        if limit is not None and planned is not None:
            error = {**limit.to_error(), "uninterruptible": True}
            self._keeper.give_up(planned, "limit", error)
            self._tally.end("limit", episode.scope_text, error)
            self._tally.begin()
        self._control.stop("stuck")

    def _show_progress(self) -> None:
        if self._progress is not None:
            self._progress.update(self._tally)

    def _say(self, text: str) -> None:
        if self._progress is not None:
            self._progress.say(text)


def _load(spec: GameSpec) -> GameBenchmark:
    return GameBenchmark.load_from_spec(spec)
