"""What can be measured of a local model besides asking it: scores of given answers, audits, and speeds.

It puts the parts together that compute these, and computes nothing itself.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from clemcore.backends.local.audit.making import Auditor
from clemcore.backends.local.audit.prompts import prompts_of
from clemcore.backends.local.audit.result import Audit
from clemcore.backends.local.audit.store import save
from clemcore.backends.local.bench import Speed, measure
from clemcore.backends.local.engine import Engine
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.given_answers import GivenAnswer
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.mode import CERTIFIED, EXACT, FAST, Mode
from clemcore.backends.local.replies import Replies
from clemcore.backends.local.scores import AnswerScore
from clemcore.backends.local.scoring import Scoring
from clemcore.backends.local.sharing import HeldWeights
from clemcore.calls.call import Call
from clemcore.calls.request import request_of
from clemcore.calls.scope import Scope
from clemcore.errors import SpecError
from clemcore.messages import Messages, check_messages
from clemcore.model import BatchGenerativeModel


class MeasuredModel(BatchGenerativeModel):
    """A local model that can be measured. The class that loads it sets its parts.

    Attributes:
        context_size: tokens that prompt and reply may have together.
    """

    context_size: int
    _entry: LocalEntry
    _front: Frontend
    _engine: Engine
    _exact: Exact
    _modes: Mapping[str, Mode]
    _replies: Replies
    _scoring: Scoring
    _weights: HeldWeights[Engine]

    @abc.abstractmethod
    def _in_use(self) -> AbstractContextManager[Engine]:
        """Keep the weights for a block; raise ModelLoadError if the model was closed."""

    def _require_engine(self) -> Engine:
        with self._in_use() as engine:
            return engine

    def score_answers(
        self,
        messages: Messages,
        answers: Sequence[GivenAnswer],
        *,
        exactness: str | None = None,
        scope: Scope | None = None,
    ) -> list[AnswerScore]:
        """Return how probable the model finds each of several answers as its next turn; it is recorded like a call.

        Args:
            messages: a dialogue, as for :meth:`generate_response`.
            answers: texts, or token ids (``response["output_ids"]`` of a reply).
            exactness: ``"exact"`` feeds each answer token by token, as it would be generated. ``"fast"`` feeds it
                in one pass, which may round differently. None: what the entry says, else ``"fast"``.
            scope: the scope of the call; by default the current one.

        Raises:
            MessagesError: messages or answers do not have the right form.
            ContextExceededError: an answer does not fit; nothing was computed.
            SpecError: ``exactness`` is something else.
            GenerationError: the engine failed.
        """
        check_messages(messages)
        with self._in_use(), Call(self, request_of(messages, None, scope)) as call:
            reply, scores = self._scoring.score(messages, answers, self._score_mode(exactness))
            call.answered(reply)
        return scores

    def audit(
        self,
        dialogues: Iterable[Messages | str] | None = None,
        new_tokens: int = 24,
        progress: Callable[[str], None] = lambda _name: None,
    ) -> Audit:
        """Measure how far the model's answers move with what else is computed, and store the result.

        Certified answers need it. Each call names it in its record.

        Args:
            dialogues: what is asked, each a text or messages; by default those of sixteen short and long questions
                that fit the context window.
            new_tokens: the most tokens of an answer.
            progress: told the name of each way to ask before it begins.

        Raises:
            MessagesError: a dialogue does not have the right form, or there is none.
            TemplateError: the chat template refuses a dialogue.
            GenerationArgumentError: ``new_tokens`` is not a number of tokens.
            SpecError: the weights were changed since they were loaded.
            ContextExceededError: a dialogue does not fit.
            GenerationError: the engine failed.
        """
        with self._in_use() as engine:
            facts = self._weights.facts
            if engine.describe().weights_changed:
                raise SpecError(
                    f"model '{self.name}': an audit counts for the weights of files, and these were changed since "
                    "they were loaded. Save them as a model of their own, and audit that"
                )
            prompts, left_out = prompts_of(self._front, dialogues, new_tokens)
            auditor = Auditor(engine, self._exact, self._modes[FAST], prompts, new_tokens, left_out=left_out)
            audit = auditor.make(self.name, facts, progress)
        save(audit)
        self._replies.forget_audits()
        return audit

    def bench(self, **settings: Any) -> Iterator[Speed]:
        """Measure how fast the model is.

        Args:
            settings: arguments of :func:`clemcore.backends.local.bench.measure`.
        """
        with self._in_use() as engine:
            size = len(self._front.tokenizer)
            ordinary = sorted(set(range(size)) - set(self._front.tokenizer.get_added_vocab().values()))
            is_audited = self._replies.audit_facts(engine.describe()) is not None
            modes = [mode for mode in self._modes.values() if mode.name != CERTIFIED or is_audited]
            yield from measure(modes, ordinary, self.context_size, **settings)

    def _score_mode(self, exactness: str | None) -> str:
        """Return how answers are scored; certified answers are exact ones."""
        if exactness not in (None, EXACT, FAST):
            raise SpecError(f"exactness of score_answers must be '{EXACT}' or '{FAST}', not {exactness!r}")
        return exactness or (EXACT if self._entry.exactness in (EXACT, CERTIFIED) else FAST)
