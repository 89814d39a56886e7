"""The other side of a proof: what transformers itself makes of a conversation.

It calls transformers' own ``apply_chat_template``, with the model's tokenizer or, where there is only a template,
with an empty one. It loads no weights. transformers and jinja2 are imported when something is rendered.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from clemcore.errors import ClemcoreError, MissingExtraError, TemplateError
from clemcore.prompts.proof.cases import Case
from clemcore.prompts.proof.compare import PromptDifference, RefusalError, ids_difference

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

_now: ContextVar[datetime | None] = ContextVar("pinned template clock", default=None)


def empty_tokenizer(special_tokens: Mapping[str, str]) -> Any:
    """Return a tokenizer that knows nothing but its special tokens, for a template without a model.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    try:
        from tokenizers import Tokenizer, models
        from transformers import PreTrainedTokenizerFast
    except ImportError as fault:
        raise MissingExtraError("huggingface_local", "huggingface", fault.name) from fault
    named = {name: token for name, token in special_tokens.items() if name in NAMED_TOKENS}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({}, unk_token="")), **named)


class Transformers:
    """Renders and encodes as transformers does.

    Args:
        tokenizer: a transformers tokenizer.
        source: the template's text.
        now: pins the clock of ``strftime_now``.
    """

    def __init__(self, tokenizer: Any, source: str, now: datetime | None = None) -> None:
        """Take the parts; nothing is rendered yet."""
        self._tokenizer = tokenizer
        self._source = source
        self._now = now

    def at(self, now: datetime | None) -> Transformers:
        """Return the same with the clock at a time."""
        return self if now == self._now else Transformers(self._tokenizer, self._source, now)

    def __call__(self, case: Case) -> str:
        """Render a case.

        Raises:
            RefusalError: the template refused it by ``raise_exception``.
            TemplateError: anything else went wrong; the exception itself is its cause.
        """
        return self.render(case.messages, case.arguments())

    def render(self, messages: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]) -> str:
        """Render a conversation; see :meth:`__call__`."""
        import jinja2

        try:
            with pinned_clock(self._source, self._now):
                text: str = self._tokenizer.apply_chat_template(
                    messages, chat_template=self._source, tokenize=False, **arguments
                )
        except jinja2.TemplateError as fault:
            error = RefusalError if type(fault) is jinja2.TemplateError else TemplateError
            raise error(str(fault), line=getattr(fault, "lineno", None)) from fault
        except Exception as fault:  # a template can raise anything that Python can
            raise TemplateError(f"{type(fault).__name__}: {fault}") from fault
        return text

    def check_ids(self, case: Case, text: str) -> PromptDifference | None:
        """Compare the token ids of our text with those that transformers makes of the case; look for a double BOS.

        Args:
            case: the case.
            text: what our engine made of it.
        """
        try:
            ours = self._encode(text)
            with pinned_clock(self._source, self._now):
                theirs = self._tokenizer.apply_chat_template(
                    case.messages,
                    chat_template=self._source,
                    tokenize=True,
                    return_dict=True,
                    tokenizer_kwargs={"verbose": False},
                    **case.arguments(),
                )["input_ids"]
        except Exception as fault:  # noqa: BLE001 - whatever a tokenizer raises, this case is not proven
            return PromptDifference(
                case.id, "token ids", None, None, "", f"error: {type(fault).__name__}: {fault}", ""
            )
        difference = ids_difference(case.id, ours, theirs, self._show) or self._double_bos(case, ours)
        if difference is None or difference.token is None:
            return difference
        byte = self._byte_of(text, ours, difference.token)
        line = None if byte is None else text.encode("utf-8")[:byte].count(b"\n") + 1
        return dataclasses.replace(difference, byte=byte, line=line)

    def _double_bos(self, case: Case, ids: Sequence[int]) -> PromptDifference | None:
        token, first = self._tokenizer.bos_token, self._tokenizer.bos_token_id
        if first is None or list(ids[:2]) != [first, first]:
            return None
        if any(token in str(message) for message in case.messages):
            return None  # a message said it, not the template
        return PromptDifference(
            case.id, "double BOS", None, None, self._show(ids[:1]), self._show(ids[1:5]), self._show(ids[2:5]), 1
        )

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _show(self, tokens: Sequence[int]) -> str:
        return " ".join(f"{token}:{self._tokenizer.decode([token])!r}" for token in tokens)

    def _byte_of(self, text: str, ids: Sequence[int], at: int) -> int | None:
        """Return where in the text a token begins; None where the tokenizer does not know."""
        if at >= len(ids):
            return len(text.encode("utf-8", "surrogatepass"))
        try:
            offsets = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            ).offset_mapping
            return len(text[: offsets[at][0]].encode("utf-8", "surrogatepass"))
        except (NotImplementedError, AttributeError, IndexError):
            return None


@contextlib.contextmanager
def pinned_clock(source: str, now: datetime | None) -> Iterator[None]:
    """Let ``strftime_now`` of one template tell a given time, in this thread and this block only.

    Args:
        source: the template; other templates keep the real clock.
        now: the time; None changes nothing.

    Raises:
        ClemcoreError: this version of transformers offers no way to do so.
    """
    if now is None or "strftime_now" not in source:
        yield
        return
    from transformers.utils import chat_template_utils

    try:
        # transformers keeps the compiled template: what is put in here is there when it renders.
        names = chat_template_utils._compile_jinja_template(source).environment.globals
        clock = names["strftime_now"]
    except (AttributeError, KeyError):
        import transformers

        raise ClemcoreError(
            f"transformers {transformers.__version__}: its template clock cannot be pinned"
        ) from None
    if not isinstance(clock, _Clock):
        names["strftime_now"] = _Clock(clock)
    before = _now.set(now)
    try:
        yield
    finally:
        _now.reset(before)


class _Clock:
    """``strftime_now`` with the pinned time where there is one, else transformers' own."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __call__(self, format: str) -> Any:
        now = _now.get()
        return self._real(format) if now is None else now.strftime(format)
