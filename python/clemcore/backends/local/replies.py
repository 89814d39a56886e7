"""From the new tokens of a dialogue to its reply: prompt, response, text, and the facts for the record.

It knows what was asked and what was generated, and neither computes nor keeps anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from clemcore.backends.compared.store import comparisons_of
from clemcore.backends.local.asking import Item
from clemcore.backends.local.audit.result import fingerprint_of, with_template
from clemcore.backends.local.audit.store import stored_audit
from clemcore.backends.local.engine import Description, Engine, Generated, Job
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.prompt import Prompt
from clemcore.backends.local.text import Answer, TextCutter
from clemcore.backends.local.thought import Thought
from clemcore.errors import ReasoningExceededError
from clemcore.messages import Messages, sha256_of
from clemcore.model import Reply

logger = logging.getLogger(__name__)


class Replies:
    """Makes the replies of one model."""

    def __init__(self, front: Frontend, engine: Engine, cutter: TextCutter, facts: Mapping[str, Any]) -> None:
        """Put the parts together.

        Args:
            front: where prompts come from.
            engine: has the tokens.
            cutter: finds the answer in a reply.
            facts: what identifies the model, besides what the engine says of itself.
        """
        self._front = front
        self._entry = front.entry
        self._engine = engine
        self._cutter = cutter
        self._model_facts = facts
        # By the way in which the engine computes, so that no call has to look into the store.
        self._audits: dict[str, dict[str, Any] | None] = {}
        self._compared: list[dict[str, Any]] | None = None

    def reply(self, item: Item, job: Job, generated: Generated, described: Description, mode: str) -> Reply:
        """Return the reply to a dialogue.

        Args:
            item: what was asked.
            job: what the engine was given.
            generated: the new tokens.
            described: what the engine is and can do.
            mode: the name of the way of computing.
        """
        begin = time.perf_counter()
        arguments, ids = item.account.arguments, generated.ids
        answer = self._cutter.cut(generated, item.stops, item.thought, is_exact=item.constraint is not None)
        if item.constraint is not None:
            item.constraint.finish(ids, is_cut=answer.finish_reason == "stop_string")
        prompt = {
            "inputs": item.prompt.text,
            "max_new_tokens": job.arguments.max_tokens,
            "temperature": arguments.temperature,
            "input_ids": item.ids,
        }
        response: dict[str, Any] = {
            "response": self._engine.decode([*item.ids, *ids]),
            "output_ids": ids,
            "finish_reason": answer.finish_reason,
        }
        if answer.thinking is not None:
            response["cot_content"] = answer.thinking
        seconds = {
            **item.seconds,
            "generate": generated.seconds,
            "decode": time.perf_counter() - begin,
        }
        facts = {"exactness": mode, **self._facts(item, generated, answer, described, seconds)}
        exceeded = None if item.thought is None else _exceeded(item.thought, answer)
        if exceeded is not None:
            self._say(exceeded, item.thought, prompt, response)
            facts["reasoning_exceeded"] = exceeded
        return Reply(prompt, response, answer.text, facts)

    def _say(self, exceeded: str, thought: Thought | None, prompt: Any, response: Any) -> None:
        """Log that a thought took more than it was given, or raise it where that was asked for.

        Raises:
            ReasoningExceededError: ``on_exceed`` is ``error``.
        """
        if thought is not None and thought.limit.on_exceed == "error":
            raise ReasoningExceededError(
                f"model '{self._front.name}': {exceeded}; raise reasoning.budget, or set on_exceed to 'close'",
                prompt=prompt,
                response=response,
            )
        logger.warning("the answer of model '%s' is empty: %s", self._front.name, exceeded)

    def model_facts(self, described: Description) -> dict[str, Any]:
        """Return what the record says about the model, whatever was asked."""
        return {
            "versions": dict(described.libraries),
            "model": {
                "source": self._entry.source,
                "commit": getattr(self._front.config, "_commit_hash", None),
                "device": described.device,
                "dtype": described.dtype,
                "attention": described.attention,
                "quantization": described.quantization,
                **self._model_facts,
                **({"weights_changed": True} if described.weights_changed else {}),
                "audit": self.audit_facts(described),
                **self._compared_facts(described),
                **self._front.tokenizer_facts,
            },
            "context": {"size": self._front.context_size, "source": self._front.context_source},
        }

    def audit_facts(self, described: Description) -> dict[str, Any] | None:
        """Return what the record says about the stored audit of the model, or None if there is none."""
        key = repr(
            (described.threads, described.attention, described.dtype, described.hardware, described.weights_changed)
        )
        if key not in self._audits:
            audit = stored_audit(described, self._model_facts)
            self._audits[key] = None if audit is None else audit.facts()
        return self._audits[key]

    def _compared_facts(self, described: Description) -> dict[str, Any]:
        """Return what the record says about stored comparisons with other engines, if there are any."""
        if self._compared is None:
            self._compared = comparisons_of(
                with_template(fingerprint_of(described, self._model_facts), self._front.template_source)
            )
        return {"compared": self._compared} if self._compared and not described.weights_changed else {}

    def forget_audits(self) -> None:
        """Look into the store again: an audit or a comparison was made."""
        self._audits.clear()
        self._compared = None

    def prompt_facts(self, messages: Messages, prompt: Prompt, control: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the record says about a prompt."""
        return {
            "template": prompt.facts,
            "control_tokens": control,
            # The prompt is text: this is what says which messages it was made of.
            "messages_sha256": sha256_of(messages),
            **({"images": [dict(picture.facts) for picture in prompt.pictures]} if prompt.pictures else {}),
        }

    def _facts(
        self,
        item: Item,
        generated: Generated,
        answer: Answer,
        described: Description,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        arguments = item.account.arguments
        sent = {**generated.sent, "stop": list(item.stops), **item.account.sent}
        if answer.thinking_tokens is not None:
            sent["max_tokens"] = arguments.max_tokens
        return {
            "sent": sent,
            "parameters": {name: dict(changes) for name, changes in item.account.parameters.items()},
            **self.model_facts(described),
            "timings": {f"{name}_seconds": round(value, 6) for name, value in seconds.items()},
            **self.prompt_facts(item.messages, item.prompt, item.control),
            "usage": _usage(item, generated, answer),
            "finish_reason": answer.finish_reason,
            "outcome": answer.outcome,
            **generated.facts,
            **(item.chooser.facts() if item.chooser is not None else {}),
            **answer.facts,
        }


def _usage(item: Item, generated: Generated, answer: Answer) -> dict[str, int]:
    """Return the tokens of a call, those of the thought, and how many of the prompt were computed earlier."""
    usage = {"input_tokens": len(item.ids), "output_tokens": len(generated.ids)}
    if answer.thinking_tokens is not None:
        usage["reasoning_tokens"] = answer.thinking_tokens
    prefill = generated.facts.get("prefill")
    return usage if prefill is None else {**usage, "cached_tokens": prefill["kept"]}


def _exceeded(thought: Thought, answer: Answer) -> str | None:
    """Return in which way a thought took more than it was given, or left no answer; None where it did not."""
    if thought.is_exceeded:
        return f"it thought for more than the {thought.limit.thought} tokens of its budget"
    if answer.thinking and answer.outcome in ("length", "reasoning_only"):
        return f"its thinking has left no answer ({answer.thinking_tokens} tokens)"
    return None
