"""A server of a model, asked for what it makes of messages: prompt ids, answers with ids, scores of given ids.

vLLM shows all of these. llama.cpp shows its prompts, and ``transformers serve`` only how many tokens a prompt has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from clemcore.backends.base import require
from clemcore.backends.compared.engines import Answered, Prompted
from clemcore.backends.openai_compatible import OpenAICompatible
from clemcore.backends.service.endpoint import resolve_endpoint
from clemcore.errors import RemoteCallError, SpecError
from clemcore.messages import Messages
from clemcore.registry.spec import ModelSpec

_SECONDS = 300.0
_GOOD = 200
# How prompt ids are shown, in the order in which the ways are tried.
VLLM, LLAMACPP, COUNT = (
    "POST /tokenize (vLLM)",
    "POST /apply-template and /tokenize (llama.cpp)",
    "usage.prompt_tokens",
)


class ServerEngine:
    """A running server.

    Attributes:
        way: how it shows prompts, once one was asked for.
    """

    def __init__(self, url: str, model_id: str | None = None) -> None:
        """Ask the server for its models.

        Args:
            url: its address, as in an entry.
            model_id: the model's name there; by default the only one, or the first that it lists.

        Raises:
            MissingExtraError: the HTTP engine is not installed.
            SpecError: the address is wrong.
            RemoteCallError: the server cannot be reached, or names no model.
        """
        require("aiohttp", backend="openai_compatible", extra="openai")
        from clemcore.backends.service.http.engine import engine_for

        service = OpenAICompatible.service
        config = {"requires_api_key": False}
        spec = ModelSpec(
            model_name="server",
            model_id=model_id or "-",
            backend=service.backend,
            base_url=url,
            model_config=config,
        )
        endpoint = resolve_endpoint(spec, service)
        self.name = self.url = endpoint.base_url
        self._root = self.url.removesuffix("/v1")
        self._engine = engine_for(endpoint, {}, service.dialect.key_headers)
        listed = self._listed()
        if model_id is None and not listed:
            raise SpecError(f"the server {self.url} does not list its models: name the model with --model-id")
        self.about = next((row for row in listed if row["id"] == model_id), listed[0] if listed else {})
        self.model_id: str = model_id or self.about["id"]
        self.way: str | None = None
        self.format: str | None = None
        self.cannot: list[str] = []
        self._ids_of_answers = True
        self._can_score = True

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What the server says about the model: its answers depend on it."""
        told = {name: self.about.get(name) for name in ("id", "root", "max_model_len", "meta", "owned_by")}
        return {"server": urlsplit(self.url).netloc, "model": told}

    def _listed(self) -> list[dict[str, Any]]:
        status, found = self._fetch("GET", f"{self.url}/models")
        rows = found.get("data") if status == _GOOD and isinstance(found, dict) else None
        return [row for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)]

    def _fetch(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        """Ask the server; return status and JSON, or the text of a reply that is none.

        Raises:
            RemoteCallError: it cannot be reached.
        """
        from clemcore.backends.service.http import background

        data = None if body is None else json.dumps(body).encode()
        status, found = background.run(self._engine.fetch(method, url, data, _SECONDS))
        if status is None:
            raise RemoteCallError(f"{method} {url}: {found.decode('utf-8', 'replace')}; is the server running?")
        try:
            return status, json.loads(found)
        except ValueError:
            return status, found.decode("utf-8", "replace")[:300]

    # -- prompts -----------------------------------------------------------------------------------------------
    def prompt(self, messages: Messages) -> Prompted:
        """Return the prompt, as far as the server shows it.

        Raises:
            RemoteCallError: the server refused the messages.
        """
        ways = [self.way] if self.way is not None else [VLLM, LLAMACPP, COUNT]
        for way in ways:
            found = {VLLM: self._by_vllm, LLAMACPP: self._by_llamacpp, COUNT: self._by_count}[way](messages)
            if found is not None:
                if self.way is None and way == COUNT:
                    self.cannot.append("it does not show prompt ids, only how many there are")
                self.way = way
                return found
        raise RemoteCallError(f"the server {self.url} shows neither prompt ids nor how many there are")

    def _by_vllm(self, messages: Messages) -> Prompted | None:
        body = {"model": self.model_id, "messages": messages, "add_generation_prompt": True}
        status, found = self._fetch("POST", f"{self._root}/tokenize", body)
        if status != _GOOD or not isinstance(found, dict) or not isinstance(found.get("tokens"), list):
            return None
        return Prompted([int(token) for token in found["tokens"]], len(found["tokens"]))

    def _by_llamacpp(self, messages: Messages) -> Prompted | None:
        status, found = self._fetch("POST", f"{self._root}/apply-template", {"messages": messages})
        if status != _GOOD or not isinstance(found, dict) or not isinstance(found.get("prompt"), str):
            return None
        text = found["prompt"]
        asked = {"content": text, "add_special": True, "parse_special": True}
        status, found = self._fetch("POST", f"{self._root}/tokenize", asked)
        if status != _GOOD or not isinstance(found, dict) or not isinstance(found.get("tokens"), list):
            return None
        return Prompted([int(token) for token in found["tokens"]], len(found["tokens"]), text)

    def _by_count(self, messages: Messages) -> Prompted | None:
        _, found = self._completed(messages, 1)
        count = (found.get("usage") or {}).get("prompt_tokens")
        return Prompted(None, count) if isinstance(count, int) else None

    # -- answers -----------------------------------------------------------------------------------------------
    def answer(self, messages: Messages, tokens: int) -> Answered:
        """Answer greedily.

        Raises:
            RemoteCallError: the server refused.
        """
        choice, _ = self._completed(messages, tokens)
        text = choice["message"].get("content") or ""
        is_cut = choice.get("finish_reason") == "length"
        ids = choice.get("token_ids")
        if isinstance(ids, list) and ids:
            # The last one ends the turn, unless the limit did, or a text at which the server stops.
            ends = not is_cut and choice.get("stop_reason") is None
            return Answered(text, [int(token) for token in (ids[:-1] if ends else ids)], is_cut)
        if self._ids_of_answers:
            self._ids_of_answers = False
            self.cannot.append("it does not show the ids of its answers: they are the ids of the answer's text")
        return Answered(text, None, is_cut)

    def _completed(self, messages: Messages, tokens: int) -> tuple[dict[str, Any], dict[str, Any]]:
        body: dict[str, Any] = {
            "model": self.model_id, "messages": messages, "max_tokens": tokens, "temperature": 0.0,
        }  # fmt: skip
        url = f"{self.url}/chat/completions"
        asked = {**body, "return_token_ids": True} if self._ids_of_answers else body
        status, found = self._fetch("POST", url, asked)
        if status in (400, 422) and self._ids_of_answers:  # a server that refuses what it does not know
            self._ids_of_answers = False
            self.cannot.append("it does not show the ids of its answers: they are the ids of the answer's text")
            status, found = self._fetch("POST", url, body)
        try:
            choice = found["choices"][0]
            choice["message"]["role"]
        except (KeyError, IndexError, TypeError):
            shown = found if isinstance(found, str) else json.dumps(found)
            raise RemoteCallError(f"POST {url} answered {status}: {shown[:300]}", status=status) from None
        return choice, found

    # -- scores ------------------------------------------------------------------------------------------------
    def scored(self, messages: Messages, ids: Sequence[int]) -> list[float] | None:
        """Return the logarithm of the probability of each token of an answer; None where the server cannot."""
        if not self._can_score or not ids:
            return None if not self._can_score else []
        prompt = self.prompt(messages).ids
        if prompt is None:
            self._cannot_score()
            return None
        body = {
            "model": self.model_id, "prompt": [*prompt, *ids], "max_tokens": 1, "temperature": 0.0,
            "prompt_logprobs": 0,
        }  # fmt: skip
        _, found = self._fetch("POST", f"{self.url}/completions", body)
        try:
            rows = found["choices"][0]["prompt_logprobs"][len(prompt) :]
            return [float(row[str(token)]["logprob"]) for row, token in zip(rows, ids, strict=True)]
        except (KeyError, IndexError, TypeError, ValueError):
            self._cannot_score()
            return None

    def _cannot_score(self) -> None:
        self._can_score = False
        self.cannot.append("it does not score given answers (prompt_logprobs)")
