"""Generation arguments of local models: checked, accounted for, and brought into the form that engines take.

An engine says which arguments it honours and what it calls them; their types and ranges are the same for all. The
account of what was changed is that of :mod:`clemcore.arguments`. It knows no engine and no model.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.arguments.account import ledger_of
from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.local.checks import CHECKS, FIELDS, REFUSED, is_integer
from clemcore.errors import GenerationArgumentError
from clemcore.model import DEFAULT_GEN_ARGS
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

# Arguments that are carried out above the engines.
_NOT_OF_ENGINES = ("constraint",)
# Values with which greedy decoding and these arguments agree.
_NEUTRAL: Mapping[str, Any] = {
    "top_p": 1,
    "top_k": 0,
    "min_p": 0,
    "typical_p": 1,
    "top_h": None,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
}
# Arguments that need a choice of each token by itself, which searching for the whole answer does not give.
_CHOOSING = ("presence_penalty", "frequency_penalty", "logit_bias", "logprobs")
# Arguments by which an engine searches for the whole answer.
SEARCHES = ("num_beams", "prompt_lookup_num_tokens")
# Arguments that have an effect only together with another one.
_NEEDED = {
    "top_logprobs": "logprobs",
    "length_penalty": "num_beams",
    "early_stopping": "num_beams",
    "max_matching_ngram_size": "prompt_lookup_num_tokens",
}


@dataclass(frozen=True)
class Arguments:
    """Generation arguments, checked; None means that the model's own default holds.

    Attributes:
        logit_bias: what is added to scores, by the id or the text of a token.
        further: fields of transformers' ``GenerationConfig``, by their names; lists are tuples.
    """

    temperature: float
    max_tokens: int
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: tuple[tuple[int | str, float], ...] = ()
    logprobs: bool = False
    top_logprobs: int | None = None
    further: tuple[tuple[str, Any], ...] = ()

    @functools.cached_property
    def of_choice(self) -> Arguments:
        """The same for all seeds and lengths: what tokens are chosen by."""
        return dataclasses.replace(self, seed=None, max_tokens=1)


def _no_reasoning(_wish: Reasoning) -> Mapping[str, Any]:
    raise NotExpressibleError("the engine cannot be asked for it")


def read_arguments(
    gen_args: Mapping[str, Any],
    asked: Collection[str],
    spec: ModelSpec,
    names: Mapping[str, str],
    fields_for: Callable[[Reasoning], Mapping[str, Any]] = _no_reasoning,
) -> tuple[Arguments, Ledger]:
    """Check generation arguments.

    Args:
        gen_args: the arguments; None is as absent, and temperature and max_tokens have defaults.
        asked: names of those that the caller asked for.
        spec: the entry; its ``on_unsupported`` decides about arguments that cannot be honoured.
        names: the arguments that the engine honours, each with the engine's own name for it.
        fields_for: returns how reasoning is asked for, or raises :class:`NotExpressibleError`.

    Returns:
        The arguments, and the account of what became of those that were asked for.

    Raises:
        GenerationArgumentError: one is unknown, has a value that cannot be honoured, or would have no effect; the
            message names all of them.
    """
    given = {name: value for name, value in gen_args.items() if value is not None}
    ledger = ledger_of({**DEFAULT_GEN_ARGS, **given}, asked, spec, _LocalFormat(names, fields_for))
    kept = {name: ledger.value(name) for name in names if name in ledger and name not in _NOT_OF_ENGINES}
    kept["stop"] = tuple(kept.get("stop", ()))
    kept["logit_bias"] = tuple((kept.get("logit_bias") or {}).items())
    further = tuple((name, as_tuples(kept.pop(name))) for name in FIELDS if name in kept)
    return Arguments(**{**DEFAULT_GEN_ARGS, **kept}, further=further), ledger


def check_min_length(arguments: Arguments, prompt: int, reply: int, model: str) -> None:
    """Refuse a ``min_length`` that no reply can have: its end would never be allowed.

    Args:
        arguments: what was asked for.
        prompt: tokens of the prompt, which ``min_length`` counts too.
        reply: the most tokens of the reply.
        model: the model's name, for the error.

    Raises:
        GenerationArgumentError: it is larger than both together.
    """
    least = dict(arguments.further).get("min_length") or 0
    if least > prompt + reply:
        raise GenerationArgumentError(
            f"model '{model}': min_length {least} is more than the {prompt} tokens of the prompt and the {reply} "
            "that the reply may have, so that the reply could never end: raise max_tokens or lower min_length"
        )


def refused_in_search(arguments: Arguments) -> list[str]:
    """Return the names of arguments that cannot be had where an engine searches for the whole answer."""
    names = ("temperature", *_CHOOSING)
    return [name for name in names if getattr(arguments, name)]


def as_tuples(value: Any) -> Any:
    """Return a value with its lists as tuples, so that it has a hash."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


def as_lists(value: Any) -> Any:
    """Return a value with its tuples as lists."""
    return list(map(as_lists, value)) if isinstance(value, tuple) else value


class _LocalFormat:
    """Describes the arguments of one engine to the account."""

    takes_any = False
    own_fields: frozenset[str] = frozenset()

    def __init__(self, names: Mapping[str, str], fields_for: Callable[[Reasoning], Mapping[str, Any]]) -> None:
        self._fields_for = fields_for
        self.parameters: Mapping[str, Parameter] = {
            # A place of its own, because max_tokens stands at that of max_new_tokens.
            **{
                name: Parameter(("refused", name), convert=refusal.convert, is_refused=True)
                for name, refusal in REFUSED.items()
            },
            **{
                argument: Parameter((name,), convert={**CHECKS, **FIELDS}[argument].convert)
                for argument, name in names.items()
            },
        }

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Return a budget, or variables of the chat template."""
        return self._fields_for(wish)

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:  # noqa: ARG002 - as above
        """Return None: there are no fields about reasoning."""
        return None

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Refuse or leave out what has no effect, or cannot be had, together with other arguments."""
        for name, needed in _NEEDED.items():
            if name in ledger and not _is_on(ledger, needed):
                ledger.unsupported(name, f"has no effect without {needed}: set {needed} too, or leave {name} out")
        least, most = ledger.value("min_new_tokens"), ledger.value("max_tokens", DEFAULT_GEN_ARGS["max_tokens"])
        # Of a model that thinks, max_tokens limits the answer alone.
        thinks = bool(setting(spec, "cot_output", False))
        if "min_new_tokens" in ledger and not thinks and is_integer(least) and is_integer(most) and least > most:
            why = f"{least} is more than max_tokens ({most}): raise max_tokens or lower min_new_tokens"
            ledger.unsupported("min_new_tokens", why, most)
        is_greedy = ledger.value("temperature", DEFAULT_GEN_ARGS["temperature"]) == 0
        search = next((name for name in SEARCHES if _is_on(ledger, name)), None)
        if search is not None:
            for name in _CHOOSING if is_greedy else ("temperature", *_CHOOSING):
                if _is_on(ledger, name):
                    ledger.unsupported(name, f"cannot be had together with {search}: leave one of them out")
        if not is_greedy:
            return
        if ledger.value("seed") is not None and "seed" in ledger:
            ledger.unsupported("seed", "has no effect at temperature 0 (greedy decoding): leave seed out")
        for name, neutral in _NEUTRAL.items():
            value = ledger.value(name)
            if value is not None and value != neutral and name in ledger:
                ledger.unsupported(
                    name,
                    f"{value!r} has no effect at temperature 0 (greedy decoding): "
                    f"set a temperature above 0 or leave {name} out",
                )


def _is_on(ledger: Ledger, name: str) -> bool:
    """Tell whether an argument is sent with a value that has an effect."""
    return ledger.value(name) not in (None, False, 0, {}) and (name, ledger.value(name)) != ("num_beams", 1)
