"""Asks models for one episode: counts the calls, lets others play meanwhile, and uses answers that are known.

It does not know games, nor how a model answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clemcore import backends
from clemcore.calls.conversation import end_conversation
from clemcore.calls.scope import Scope, conversation_of
from clemcore.clemgame.engine.batcher import Batches, Question
from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.limits import RunStopped
from clemcore.clemgame.engine.live import LiveEpisode, Outside
from clemcore.clemgame.engine.recording import EpisodeRecorder
from clemcore.clemgame.engine.seeds import seed_of_call
from clemcore.clemgame.engine.sizing import answers_batches
from clemcore.clemgame.engine.view import arguments_that_differ, model_of, view_of
from clemcore.clemgame.player import speaking
from clemcore.errors import BudgetExceededError
from clemcore.messages import Messages
from clemcore.model import Model, Reply

# Who asks a model while no player speaks.
GAME_MASTER = "GM"


class Asking:
    """Asks models for an episode.

    Attributes:
        scope: the scope of the episode.
        recorder: counts its rounds.
    """

    def __init__(
        self,
        episode: LiveEpisode,
        book: CallBook,
        scope: Scope,
        *,
        recorder: EpisodeRecorder,
        batchers: Callable[[Model], Batches | None],
        between: Callable[[LiveEpisode], None] | None = None,
    ) -> None:
        """Begin an episode.

        Args:
            episode: the episode.
            book: its calls.
            scope: its scope; the thread is inside it.
            recorder: counts its rounds.
            batchers: returns the batcher of a model, or None if it is asked one by one.
            between: called after each answer of a programmatic player, outside of game code.
        """
        self.scope = scope
        self._episode = episode
        self._book = book
        self._batchers = batchers
        self.recorder = recorder
        self._between = between
        self._players: dict[str, Scope] = {}
        self._shown: dict[int, Model] = {}

    def shown(self, model: Any) -> Any:
        """Return the episode's view of a model, also of one that the game has made itself."""
        if not isinstance(model, Model) or model_of(model) is not model:
            return model
        # A batcher lasts as long as the run; a model that an episode makes does not.
        if answers_batches(model) and not isinstance(model, (backends.CustomResponseModel, backends.HumanModel)):
            return model
        view = self._shown.get(id(model))
        if view is None:
            view = self._shown[id(model)] = view_of(model, self)
        return view

    def views(self) -> list[Model]:
        """Return the views of models that the game has made itself."""
        return list(self._shown.values())

    # -- questions -------------------------------------------------------------------------------------------------
    def one(self, view: Any, messages: Messages, gen_args: Mapping[str, Any] | None) -> Reply:
        """Ask one question."""
        episode = self._episode
        episode.require_own_thread()
        episode.leave_game()
        try:
            question, is_known = self._question(view, messages, gen_args)
            model = view._model
            if is_known:
                return self._asked(model, question)
            batcher = self._batchers(model)
            if batcher is not None:
                return _with_text(self._taken(self._in_batch(model, batcher, [question])[0]), model)
            with Outside(episode, can_be_left=not model.ends_calls):
                return self._asked(model, question)
        finally:
            episode.enter_game()

    def several(
        self,
        view: Any,
        batch: Sequence[Messages],
        gen_args: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None,
        *,
        return_exceptions: bool,
    ) -> list[Any]:
        """Ask several questions at once."""
        episode = self._episode
        episode.require_own_thread()
        each = [gen_args] * len(batch) if gen_args is None or isinstance(gen_args, Mapping) else list(gen_args)
        episode.leave_game()
        try:
            questions = [
                self._question(view, messages, given)[0] for messages, given in zip(batch, each, strict=True)
            ]
            batcher = self._batchers(view._model)
            if batcher is not None:
                answers = self._in_batch(view._model, batcher, questions)
            else:
                with Outside(episode):
                    answers = view._model.generate_batch_response(
                        [question.messages for question in questions],
                        return_exceptions=True,
                        scopes=[question.scope for question in questions],
                        gen_args=[question.gen_args for question in questions],
                    )
            return [
                answer if return_exceptions and _is_fault(answer) else _with_text(self._taken(answer), view._model)
                for answer in answers
            ]
        finally:
            episode.enter_game()

    def stream(self, view: Any, messages: Messages, gen_args: Mapping[str, Any] | None) -> Stream:
        """Ask one question whose answer comes in pieces."""
        episode = self._episode
        episode.require_own_thread()
        episode.leave_game()
        try:
            question, _ = self._question(view, messages, gen_args)
            return Stream(
                view._model.stream_response(messages, gen_args=question.gen_args, scope=question.scope), episode
            )
        finally:
            episode.enter_game()

    def _question(self, view: Any, messages: Messages, gen_args: Mapping[str, Any] | None) -> tuple[Question, bool]:
        """Count a question, and tell whether its answer is known."""
        episode = self._episode
        number = episode.begin_call()
        arguments = arguments_that_differ(view, gen_args)
        model: Model = view._model
        if "seed" not in view._gen_args and self._takes_seed(model, arguments):
            arguments.setdefault("seed", seed_of_call(episode.seed, number))
        player = speaking.get() or GAME_MASTER
        is_known = self._book.ask(
            number,
            player,
            self.recorder.round,
            messages,
            {**view._gen_args, **arguments},
            is_program=isinstance(model, backends.CustomResponseModel),
        )
        scope = self._player_scope(player).numbered(number)
        return Question(messages, arguments or None, scope), is_known

    def _takes_seed(self, model: Model, arguments: Mapping[str, Any]) -> bool:
        """Tell whether a call gets a seed. A local model that draws nothing needs none, and batches share one."""
        if self._episode.options.rng != "episode" or not model.knows_argument("seed"):
            return False
        return not model.gains_by_batches or bool(arguments.get("temperature", model._gen_args.get("temperature")))

    def _player_scope(self, player: str) -> Scope:
        scope = self._players.get(player)
        if scope is None:
            scope = self._players[player] = Scope({"player": player})
        return scope

    # -- programs and people ---------------------------------------------------------------------------------------
    def for_player(self, view: Any, context: Any, ask: Callable[[Any], Any]) -> Any:
        """Let a program or a person answer in the place of the model."""
        episode = self._episode
        episode.require_own_thread()
        is_person = isinstance(view, backends.HumanModel)
        episode.leave_game()
        try:
            number = episode.begin_call()
            player = speaking.get() or GAME_MASTER
            if is_person and self._book.ask(number, player, self.recorder.round, [context], {}):
                return self._book.text_of(number)
        finally:
            episode.resume_game()
        answer = ask(context)
        episode.leave_game()
        try:
            text = answer if isinstance(answer, str) else repr(answer)
            response = {"clem_player": {"response": text, "model_name": view.name}}
            self._book.answered_itself(
                number, player, self.recorder.round, text, (context, response), is_person=is_person
            )
            if self._between is not None and not is_person:
                self._between(episode)
        except Exception as error:
            self._require_run(error)
            raise
        finally:
            episode.enter_game()
        return answer

    # -- answers ---------------------------------------------------------------------------------------------------
    def _asked(self, model: Model, question: Question) -> Reply:
        try:
            answer = model.generate_response(question.messages, gen_args=question.gen_args, scope=question.scope)
        except Exception as error:
            self._require_run(error)
            raise
        return _with_text(answer, model)

    def _in_batch(self, model: Model, batcher: Batches, questions: Sequence[Question]) -> list[Any]:
        episode = self._episode
        episode.wait_outside(can_be_left=not (model.ends_calls or model.gains_by_batches))
        batcher.ask(questions)
        episode.has_waited()
        return [question.answer for question in questions]

    def _taken(self, answer: Any) -> Reply:
        if isinstance(answer, Exception):
            self._require_run(answer)
        if isinstance(answer, BaseException):
            raise answer
        return answer  # type: ignore[no-any-return]

    def _require_run(self, error: Exception) -> None:
        """Stop the run if no further call can be paid for, or no answer can be stored."""
        episode = self._episode
        if isinstance(error, BudgetExceededError):
            episode.control.stop("budget", error)
        elif self._book.fault is not None:
            episode.control.stop("store", self._book.fault)
        else:
            return
        episode.was_stopped = True
        raise RunStopped(str(episode.control.reason)) from error

    # -- conversations ---------------------------------------------------------------------------------------------
    def reset(self, view: Any) -> None:
        """Let a model forget what it keeps for this episode."""
        episode, model = self._episode, view._model
        if threading.get_ident() != episode.thread or not episode.in_game:
            self._reset(model)
            return
        episode.leave_game()
        try:
            if type(model).reset is Model.reset:
                self._reset(model)
            else:  # it may tell a server
                with Outside(episode):
                    self._reset(model)
        finally:
            episode.enter_game()

    def _reset(self, model: Model) -> None:
        model.reset()
        for scope in self._players.values():
            end_conversation(model, conversation_of(scope.labels))


def _is_fault(answer: Any) -> bool:
    return isinstance(answer, Exception)


def _with_text(answer: Reply, model: Model) -> Reply:
    """Return an answer whose text is text: no other could be asked for again, compared or replayed."""
    if not isinstance(answer[2], str):
        raise TypeError(
            f"{type(model).__name__} must answer with (prompt, response, response_text), but response_text is "
            f"{type(answer[2]).__name__}, not str; the record of the call has what it gave"
        )
    return answer


class Stream(Iterator[str]):
    """The answer of a model, piece by piece; other episodes play while it waits for the next one."""

    def __init__(self, stream: Any, episode: LiveEpisode) -> None:
        """Take the stream of the model itself."""
        self._stream = stream
        self._episode = episode

    def _outside(self, do: Callable[[], Any]) -> Any:
        episode = self._episode
        episode.require_own_thread()
        if not episode.in_game:
            return do()
        episode.leave_game()
        try:
            with Outside(episode):
                return do()
        finally:
            episode.enter_game()

    def __next__(self) -> str:
        """Wait for the next piece."""
        piece: str = self._outside(self._stream.__next__)
        return piece

    @property
    def reply(self) -> Reply:
        """The whole reply; waits until it has arrived."""
        reply: Reply = self._outside(lambda: self._stream.reply)
        return reply

    def close(self) -> None:
        """Stop the call if it is still running."""
        self._outside(self._stream.close)

    def __enter__(self) -> Stream:
        """Return the stream itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
