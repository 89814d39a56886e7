r"""Backend ``huggingface_local``: chat models that run in this process, by torch and transformers. Text only.

The flow of a call: messages → prompt text (``local/prompt.py``) → token ids → context check → new token ids
(``local/transformers/generation.py``) → answer (``local/text.py``). It does not know the registry, and imports
torch and transformers only when a model is loaded.

Examples:
    An entry, and what it answers (`docs/backends/huggingface_local.md` lists every setting)::

        {"model_name": "smollm2", "backend": "huggingface_local",
         "huggingface_id": "~/models/SmolLM2-135M-Instruct",
         "model_config": {"premade_chat_template": true, "eos_to_cull": "<\\\\|im_end\\\\|>"}}
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from clemcore.arguments.outcome import outcome_of
from clemcore.backends.base import Backend, require
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.text import Answer, TextCutter
from clemcore.backends.local.transformers import generation, loading
from clemcore.backends.local.window import check_context_limit, check_messages
from clemcore.diagnosis import Row
from clemcore.messages import Messages, sha256_of
from clemcore.model import BatchGenerativeModel, Model, Reply
from clemcore.prompts import proof
from clemcore.prompts.proof import Case, Proof
from clemcore.registry.spec import ModelSpec

__all__ = ["HuggingfaceLocal", "HuggingfaceLocalModel", "check_context_limit", "check_messages"]


class HuggingfaceLocal(Backend):
    """Loads chat models into this process."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Load the model; each call loads it anew.

        Raises:
            SpecError: the entry has a setting that is wrong or not honoured.
            MissingExtraError: torch or transformers are not installed.
            ModelLoadError: the model is not there, not whole, or cannot be read.
        """
        return HuggingfaceLocalModel(model_spec)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,
        gen_args: Mapping[str, Any],
        asked: Collection[str],  # noqa: ARG003 - asked or not, they are treated alike
    ) -> str:
        """Return the prompt's text; tokenizer and configuration are loaded, no weights.

        Raises:
            ContextExceededError: prompt and reply would not fit.
            GenerationArgumentError: the call would refuse a generation argument.
        """
        _require_libraries()
        arguments = generation.read_arguments(gen_args, model_spec["model_name"])
        front = Frontend(model_spec, need_key=False)
        prompt = front.write(messages)
        front.check_context(front.encode(prompt), arguments.max_tokens)
        return prompt.text

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return files, context and proof; tokenizer and configuration are loaded, no weights."""
        from clemcore.backends.local.diagnosis import examine

        return examine(model_spec)

    @classmethod
    def prove(cls, model_spec: ModelSpec, cases: Sequence[Case], now: datetime | None) -> Proof:
        """Compare the prompts of a model with those that transformers makes; the proof is stored for later runs."""
        _require_libraries()
        front = Frontend(model_spec, need_key=False)
        made = proof.prove(front.subject(), now=now or front.template_now, more_cases=cases)
        proof.save(made)
        return made


def _require_libraries() -> None:
    require("torch", backend="huggingface_local", extra="huggingface")
    require("transformers", backend="huggingface_local", extra="huggingface")
    require("jinja2", backend="huggingface_local", extra="huggingface")


class HuggingfaceLocalModel(BatchGenerativeModel):
    """A loaded chat model; ``del model`` gives its memory back.

    Attributes:
        model: the transformers model.
        tokenizer: its tokenizer.
        config: its configuration.
        context_size: tokens that prompt and reply may have together.
        device: where its first weights are.
    """

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the entry, then load tokenizer, configuration and weights, in this order."""
        super().__init__(model_spec)
        _require_libraries()
        self._front = Frontend(model_spec)
        self._entry = self._front.entry
        self.tokenizer = self._front.tokenizer
        self.config = self._front.config
        self.context_size = self._front.context_size
        self._front.prove()
        self._cutter = TextCutter(self._entry, self.tokenizer)
        self.model = loading.load_model(self._entry, self._front.hub_options)
        self.device = next(self.model.parameters()).device
        self._lock = threading.Lock()

    def __del__(self) -> None:
        """Give the memory back at once: hooks on the weights form cycles, which would keep them for a while."""
        if self.__dict__.pop("model", None) is not None and not sys.is_finalizing():
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    @property
    def chat_template_kwargs(self) -> dict[str, Any]:
        """Further variables for the chat template; setting them checks that the template reads them."""
        return self._front.template_kwargs

    @chat_template_kwargs.setter
    def chat_template_kwargs(self, value: Mapping[str, Any] | None) -> None:
        self._front.template_kwargs = value

    @property
    def template_now(self) -> datetime | None:
        """What the chat template's clock tells (a ``datetime`` or an ISO time); None is the real time."""
        return self._front.template_now

    @template_now.setter
    def template_now(self, value: str | datetime | None) -> None:
        self._front.template_now = value

    def generate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue; see :meth:`generate_batch_response`."""
        return self._answer([messages], names=("",))[0]

    def generate_batch_response(self, batch_messages: list[Messages]) -> list[Reply]:
        """Answer several dialogues at once.

        Args:
            batch_messages: dialogues of text messages.

        Returns:
            For each dialogue the prompt ``{"inputs", "max_new_tokens", "temperature", "input_ids"}``, the response
            ``{"response", "output_ids", "finish_reason"}`` (with ``"cot_content"`` for models that think), both
            without the padding of the batch, and the answer's text.

        Raises:
            GenerationArgumentError: a generation argument that this backend cannot honour.
            MessagesError: a message that is not text.
            TemplateError: the model's chat template refuses the messages.
            ContextExceededError: a prompt and its reply do not fit; nothing was generated.
        """
        if not batch_messages:
            return []
        return self._answer(batch_messages, names=[f" at batch index {i}" for i in range(len(batch_messages))])

    def count_tokens(self, messages: Messages) -> int:
        """Count the tokens of the prompt that these messages make, chat template included."""
        return len(self._front.encode(self._front.write(messages)))

    def _answer(self, batch: Sequence[Messages], names: Sequence[str]) -> list[Reply]:
        arguments = generation.read_arguments(
            {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.gen_args}, self.name
        )
        clock = _StopWatch()
        with clock("template"):
            prompts = [self._front.write(messages) for messages in batch]
        with clock("tokenize"):
            encoded = [self._front.encode_guarded(prompt) for prompt in prompts]
        ids = [item for item, _ in encoded]
        for item, name in zip(ids, names, strict=True):
            # Each by its own length, not by that of the longest in the batch.
            self._front.check_context(item, arguments.max_tokens, name)
        room = self.context_size - max(len(item) for item in ids)
        # A model that thinks may use the whole window for it; its answer is cut to max_tokens afterwards.
        max_new_tokens = room if self._entry.cot_output else arguments.max_tokens
        with self._lock:
            config = generation.build_config(arguments, self.model, self.tokenizer, max_new_tokens)
            with clock("generate"):
                replies, seed = generation.generate(self.model, self.tokenizer, ids, config, arguments)
        ends = generation.end_tokens(config)
        with clock("decode"):
            answers = [
                self._cutter.cut(reply, ends, arguments.stop, prompt.text, arguments.max_tokens)
                for reply, prompt in zip(replies, prompts, strict=True)
            ]
            full = [self.tokenizer.decode(a + b.ids) for a, b in zip(ids, replies, strict=True)]
        facts = self._facts(generation.sent_arguments(config, arguments, seed), clock.seconds)
        return [
            _reply(
                {
                    "inputs": prompts[i].text,
                    "max_new_tokens": max_new_tokens,
                    "temperature": arguments.temperature,
                    "input_ids": ids[i],
                },
                {"response": full[i], "output_ids": replies[i].ids},
                answers[i],
                {
                    **facts,
                    "template": prompts[i].facts,
                    "control_tokens": encoded[i][1],
                    # The prompt is text: this is what says which messages it was made of.
                    "messages_sha256": sha256_of(batch[i]),
                },
            )
            for i in range(len(batch))
        ]

    def _facts(self, sent: dict[str, Any], seconds: dict[str, float]) -> dict[str, Any]:
        import tokenizers
        import torch
        import transformers

        return {
            "sent": sent,
            "versions": {m.__name__: str(m.__version__) for m in (torch, transformers, tokenizers)},
            "model": {
                "source": self._entry.source,
                "commit": getattr(self.config, "_commit_hash", None),
                "device": str(self.device),
                "dtype": str(self.model.dtype).removeprefix("torch."),
            },
            "context": {"size": self.context_size, "source": self._front.context_source},
            "timings": {f"{name}_seconds": round(value, 6) for name, value in seconds.items()},
        }


def _reply(prompt: dict[str, Any], response: dict[str, Any], answer: Answer, facts: dict[str, Any]) -> Reply:
    response["finish_reason"] = answer.finish_reason
    if answer.thinking is not None:
        response["cot_content"] = answer.thinking
    found = {
        "usage": {"input_tokens": len(prompt["input_ids"]), "output_tokens": len(response["output_ids"])},
        "finish_reason": answer.finish_reason,
        "outcome": outcome_of(answer.text, cut=answer.finish_reason == "length", reasoned=bool(answer.thinking)),
    }
    return Reply(prompt, response, answer.text, {**facts, **found, **answer.facts})


class _StopWatch:
    """Seconds by the name of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - begin
