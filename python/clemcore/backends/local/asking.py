"""From messages to jobs of an engine: what every dialogue needs before its answer is generated, checked.

It knows messages, prompts and generation arguments, and neither which engine computes nor what becomes of a reply.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clemcore.backends.local.arguments import SEARCHES, Arguments, check_min_length, read_arguments
from clemcore.backends.local.choosing.building import chooser_of
from clemcore.backends.local.choosing.chooser import Chooser, Step, Watcher
from clemcore.backends.local.choosing.closing import Closing
from clemcore.backends.local.choosing.constraint import Constrained
from clemcore.backends.local.choosing.logprobs import LogProbabilities
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.constraints.forms import Constraint, read_constraint
from clemcore.backends.local.constraints.grammars import Grammars
from clemcore.backends.local.engine import Description, Engine, Job, Media
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.modes.mode import Mode
from clemcore.backends.local.pieces import Pieces
from clemcore.backends.local.prompt import Prompt
from clemcore.backends.local.tags import Tags
from clemcore.backends.local.text import StopStrings
from clemcore.backends.local.thinking import Abilities, Thinking, limit_of, read_thinking
from clemcore.backends.local.thought import Thought, is_opened
from clemcore.backends.local.tokens import with_token_ids
from clemcore.calls.request import Listener
from clemcore.errors import GenerationArgumentError
from clemcore.messages import Messages, check_messages
from clemcore.model import DEFAULT_GEN_ARGS

if TYPE_CHECKING:
    from clemcore.backends.local.model import LocalModel

logger = logging.getLogger(__name__)

# Sets of generation arguments whose account is remembered; then all are forgotten.
_REMEMBERED = 64


@dataclass(frozen=True)
class Ask:
    """One dialogue to be answered.

    Attributes:
        messages: the dialogue.
        gen_args: generation arguments of this call; they override those of the model.
        listener: gets the pieces of the answer as they arrive, or None.
        cancelled: tells whether nobody wants the answer any longer; None where nobody can say so.
        batch_index: its index in a batch of several, for messages; None where it is that among what is asked.
    """

    messages: Messages
    gen_args: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener | None = None
    cancelled: Callable[[], bool] | None = None
    batch_index: int | None = None


@dataclass(frozen=True)
class Account:
    """What became of generation arguments: those that are computed with, and the changes for the record.

    Attributes:
        arguments: what is computed with.
        has_stop: whether stop strings were given, which may be none; else the model's own hold.
        parameters: the changes.
        thinking: what was asked of the model's thinking.
        constraint: what the answer must look like, or None.
        front: makes the prompt, with the template variables that were asked for.
        sent: what is computed with above the engine, for the record.
    """

    arguments: Arguments
    has_stop: bool
    parameters: Mapping[str, Mapping[str, Any]]
    thinking: Thinking
    constraint: Constraint | None
    front: Frontend
    sent: Mapping[str, Any]


@dataclass(eq=False)
class Item:
    """A dialogue on its way to the engine.

    Attributes:
        index: its place among those that were asked together.
        messages: the dialogue.
        account: its generation arguments, and what became of them.
        arguments: what it is computed with: the model's own defaults included, and a seed if it is sampled.
        stops: the stop strings that hold for it.
        prompt: its rendered prompt.
        ids: the token ids of the prompt.
        thought: the thought of the reply, or None where it is not divided into thought and answer.
        constraint: keeps the answer to its constraint, or None.
        chooser: chooses its tokens, or None where the engine does.
        control: what is known of control tokens inside the messages.
        seconds: how long each step took.
        listener: gets the pieces of the answer, or None.
        cancelled: tells whether nobody wants the answer any longer, or None.
        is_search: whether the engine searches for the answer as a whole, as with beams.
        media: the images of the prompt, or None.
    """

    index: int
    messages: Messages
    account: Account
    arguments: Arguments
    stops: tuple[str, ...]
    prompt: Prompt
    ids: list[int]
    thought: Thought | None
    constraint: Constrained | None
    chooser: Chooser | None
    control: dict[str, Any]
    seconds: dict[str, float]
    listener: Listener | None
    cancelled: Callable[[], bool] | None = None
    is_search: bool = False
    media: Media | None = None


class Preparation:
    """Prepares the dialogues of one model."""

    def __init__(self, front: Frontend, engine: Engine, tags: Tags | None, arguments: Mapping[str, str]) -> None:
        """Put the parts together.

        Args:
            front: makes token ids of messages.
            engine: has the tokens, and computes.
            tags: what stands around the model's thoughts, or None where that is not known.
            arguments: the generation arguments that are honoured, each with the engine's name for it.
        """
        self._front = front
        self._entry = front.entry
        self._engine = engine
        self._tags = tags
        self._grammars = Grammars(front.tokenizer, front.name, "huggingface_local")
        self._arguments = arguments
        self._accounts: dict[tuple[str, frozenset[str]], Account] = {}

    def with_front(self, front: Frontend) -> Preparation:
        """Return the same with another front."""
        other = Preparation(front, self._engine, self._tags, self._arguments)
        other._grammars = self._grammars
        return other

    def item(self, model: LocalModel, index: int, ask: Ask, described: Description, place: str) -> Item:
        """Make everything that a dialogue needs before it is generated, and check it.

        Args:
            model: has the generation arguments that hold for all its calls.
            index: the place of the dialogue among those that were asked together.
            ask: the dialogue.
            described: what the engine is and can do.
            place: which dialogue it is, for messages.
        """
        account = self._account(model, ask.gen_args, described)
        check_messages(ask.messages)
        begin = time.perf_counter()
        prompt = account.front.write(ask.messages)
        written = time.perf_counter()
        ids, control, media = self._front.encode_guarded(prompt)
        seconds = {"template": written - begin, "tokenize": time.perf_counter() - written}
        self._front.check_context(ids, account.arguments.max_tokens, ask.messages, place)
        stops = account.arguments.stop if account.has_stop else described.stop_strings
        thought = self._thought(account, prompt.text, len(ids), place)
        most = account.arguments.max_tokens if thought is None else self._front.context_size - len(ids)
        if account.arguments.further:
            check_min_length(account.arguments, len(ids), most, model.name + place)
        rules = self._engine.rules(account.arguments, ids)
        constraint = self._constrained(account, thought, rules)
        further: list[Step] = [] if constraint is None else [constraint]
        if thought is not None and thought.limit.thought is not None:
            further.insert(0, Closing(thought))
        if further and rules.is_search:
            raise GenerationArgumentError(f"model '{model.name}': {_fault_of_search(account.arguments)}")
        chooser = chooser_of(rules, ids, further, self._watchers(rules.arguments))
        return Item(
            index,
            ask.messages,
            account,
            rules.arguments,
            stops,
            prompt,
            ids,
            thought,
            constraint,
            chooser,
            control,
            seconds,
            ask.listener,
            ask.cancelled if ask.listener is None else functools.partial(_is_stopped, ask.listener),
            rules.is_search,
            media,
        )

    def _watchers(self, arguments: Arguments) -> list[Watcher]:
        """Return what looks at each choice."""
        return [LogProbabilities(self._engine, arguments.top_logprobs or 0)] if arguments.logprobs else []

    def _thought(self, account: Account, prompt: str, used: int, place: str) -> Thought | None:
        """Return the thought that a reply will have, or None where it is not divided into thought and answer."""
        thinking, tags = account.thinking, self._tags
        if tags is None or not (self._entry.cot_output or thinking.is_followed):
            return None
        limit = limit_of(
            thinking,
            tags,
            self._engine,
            answer=account.arguments.max_tokens,
            used=used,
            size=self._front.context_size,
            name=self._front.name + place,
            is_opened=is_opened(tags, prompt),
        )
        return Thought(tags, limit, self._engine, prompt)

    def _constrained(self, account: Account, thought: Thought | None, rules: Rules) -> Constrained | None:
        """Return what keeps an answer to its constraint, or None where it has none."""
        if account.constraint is None:
            return None
        grammar = self._grammars.grammar(account.constraint, rules.ends)
        grammar.check_room(account.arguments.max_tokens, self._front.name)
        start = () if thought is None or not thought.tags.start else self._engine.encode(thought.tags.start)
        return Constrained(grammar, thought, rules.ends, start)

    def _account(self, model: LocalModel, more: Mapping[str, Any], described: Description) -> Account:
        """Return what becomes of generation arguments, worked out once for all calls with the same ones."""
        gen_args = {**DEFAULT_GEN_ARGS, **model.gen_args, **more}
        asked = frozenset(model.asked_gen_args).union(more)
        try:
            key = repr(gen_args), asked
        except (RecursionError, ValueError):  # of a value that is refused: too deep, or with too many digits
            read_arguments(gen_args, asked, model.model_spec, self._arguments)
            raise
        account = self._accounts.get(key)
        if account is None:
            can_force = "choose" in described.hooks and described.tokens_are_final
            abilities = Abilities(self._tags, self._front.template_variables, can_force)
            arguments, ledger = read_arguments(
                gen_args, asked, model.model_spec, self._arguments, abilities.fields_for
            )
            arguments = with_token_ids(arguments, ledger, self._engine, described.vocabulary)
            thinking = read_thinking(ledger, self._tags, model.name)
            kwargs = thinking.template_kwargs
            front = self._front.with_kwargs(kwargs) if kwargs else self._front
            if len(self._accounts) >= _REMEMBERED:
                self._accounts.clear()
            has_stop = gen_args.get("stop") is not None
            asked_constraint, sent = ledger.value("constraint"), thinking.sent
            constraint = None if asked_constraint is None else read_constraint(asked_constraint)
            if constraint is not None:
                sent = {**sent, "constraint": asked_constraint}
            account = Account(arguments, has_stop, ledger.parameters, thinking, constraint, front, sent)
            self._accounts[key] = account
        return account

    def job(self, item: Item, described: Description, mode: Mode) -> Job:
        """Return what a mode is given for a dialogue.

        Args:
            item: the dialogue.
            described: what the engine is and can do.
            mode: the way of computing.
        """
        arguments = item.arguments
        on_tokens: Callable[[Sequence[int]], bool] | None = None
        thought = item.thought
        if item.stops:
            on_tokens = StopStrings(item.stops, self._engine, _at_once if thought is None else thought.answer_start)
        if thought is not None:
            on_tokens = _limited(thought, on_tokens)
        if item.listener is not None and mode.pieces_are_final and self._gives_pieces(item, described):
            on_tokens = self._watched(item, item.listener, on_tokens)
        if thought is not None:
            # It may use the whole window for thinking; its answer ends when it has max_tokens.
            room = self._front.context_size - len(item.ids)
            arguments = dataclasses.replace(arguments, max_tokens=room)
        return Job(
            item.ids,
            arguments,
            choose=item.chooser,
            is_search=item.is_search,
            on_tokens=on_tokens,
            cancelled=item.cancelled,
            media=item.media,
        )

    def _gives_pieces(self, item: Item, described: Description) -> bool:
        """Tell whether pieces of an answer are certain before its end."""
        are_final = described.tokens_are_final and not item.is_search
        return "on_tokens" in described.hooks and are_final and not self._entry.output_split_prefix

    def _watched(
        self,
        item: Item,
        listener: Listener,
        ends_here: Callable[[Sequence[int]], bool] | None,
    ) -> Callable[[Sequence[int]], bool]:
        """Return what gives out the pieces of a reply, and ends it where ``ends_here`` says so."""
        pieces = Pieces(
            self._engine,
            listener.take,
            _at_once if item.thought is None else item.thought.settled_start,
            stops=item.stops,
            has_end_pattern=bool(self._entry.eos_to_cull),
            answer_token=None if item.constraint is None else _first_token_of(item.thought),
        )

        def on_tokens(ids: Sequence[int]) -> bool:
            if ends_here is not None and ends_here(ids):
                return True
            pieces(ids)
            return False

        return on_tokens


def _fault_of_search(arguments: Arguments) -> str:
    """Say that what is asked for cannot be had with a search, and where the search comes from."""
    asked = [name for name, value in arguments.further if name in SEARCHES and (name, value) != ("num_beams", 1)]
    what = f"{asked[0]} of the call" if asked else "the model's generation_config.json (num_beams or the like)"
    return (
        f"{what} has the whole answer searched for, which cannot keep a thinking budget or a constraint: leave out "
        "the one or the other"
    )


def _at_once(_text: str) -> int:
    """Return where the answer of a reply begins that is not divided."""
    return 0


def _first_token_of(thought: Thought | None) -> Callable[[], int | None]:
    """Return what tells the number of the answer's first token, or None where that may still change."""
    return (lambda: 0) if thought is None else thought.settled_token


def _limited(
    thought: Thought, ends_here: Callable[[Sequence[int]], bool] | None
) -> Callable[[Sequence[int]], bool]:
    """Return what ends a reply whose thought or answer has all the tokens that it may have."""

    def on_tokens(ids: Sequence[int]) -> bool:
        thought.follow(ids)
        is_over = thought.is_full or thought.is_exceeded
        return is_over or (ends_here is not None and ends_here(ids))

    return on_tokens


def _is_stopped(listener: Listener) -> bool:
    return listener.is_stopped


def warn_of_twins(items: Sequence[Item], name: str) -> None:
    """Warn if sampled dialogues of one batch are equal and have the same seed, so that their answers are equal.

    Args:
        items: the dialogues.
        name: the model's name.
    """
    firsts: dict[tuple[tuple[int, ...], Arguments], int] = {}
    twins = []
    for item in items if len(items) > 1 else ():
        if item.arguments.temperature > 0:
            first = firsts.setdefault((tuple(item.ids), item.arguments), item.index)
            if first != item.index:
                twins.append((first, item.index))
    if twins:
        first, second = twins[0]
        logger.warning(
            "model '%s': items %d and %d of a batch ask the same question with the same seed and get the same "
            "answer (%d such items); give each item a seed of its own in gen_args, or none",
            name,
            first,
            second,
            len(twins),
        )
