"""From constraints to what allows tokens, by llguidance: grammars of one model, compiled once and checked.

Nothing else imports that library. See docs/decisions/0013-constraints.md.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import threading
from collections.abc import Collection
from typing import Any

from clemcore.backends.local.constraints.forms import Constraint
from clemcore.backends.local.constraints.schemas import OPTIONS, ends_with_escape, fault_of_schema, without_neutral
from clemcore.backends.local.constraints.widths import least_tokens
from clemcore.errors import GenerationArgumentError, GenerationError, MissingExtraError

# Compiled constraints that are remembered for each model; then all are forgotten.
_REMEMBERED = 64
_LONGEST, _LONGEST_PATTERN = 400, 60
# The library's messages: the place in the source, the source itself, a fault of a regular expression, a token.
_PLACE = re.compile(r"(?:at )?(\d+)\((\d+)\): ")
_SOURCE = re.compile(r"\n +\d+ \| ")
_REGEX_FAULT = re.compile(r"regex parse error:\n +(.*)\n[ ^]+\nerror: (.*)")
# What it says in words of its own, and what we say.
_LOOKS = r"(invalid regex .*: )?lookarounds not supported yet; "
_IN_OUR_WORDS = tuple(
    (re.compile(pattern, re.DOTALL), ours)
    for pattern, ours in (
        (r"Unimplemented keys: \[?([^\]]*)\]?", r"these keywords cannot be enforced: \1"),
        (
            r"oneOf constraints are not supported.*",
            'oneOf cannot be enforced: write anyOf, or set "x-guidance" of the whole schema to '
            '{"coerce_one_of": true}, which reads each oneOf as anyOf',
        ),
        (_LOOKS + "Word.*", r"word boundaries (\\b, \\B) cannot be enforced"),
        (
            _LOOKS + "(Start|End).*",
            "^ and $ may stand at the beginning and the end of the whole pattern only",
        ),
        (r"Expected f64 for", "expected a number for"),
        (r"Pointer ('[^']*') does not exist", r"$ref \1 points to nothing in the schema"),
        (
            r"Resource '(?:json-schema:///)?([^']*)' is not present.*",
            r"$ref or $schema '\1' is outside of the schema, and nothing is fetched: put it under $defs, or "
            "leave it out",
        ),
        (
            r"Failed to generate regex for (integer|float) range: .*",
            "the limits of a number are too large for llguidance; use smaller ones, or a pattern of digits",
        ),
        (r"recursion limit exceeded.*", "it is nested too deeply for llguidance: flatten it"),
    )
)
_TEMPERATURE = re.compile(r"^\s*[?!]?\w+\s*\[[^\]\n\"]*\btemperature\s*=", re.MULTILINE)
_TOKEN = re.compile(r' \(at ".*?" \(.*?\)\)', re.DOTALL)
# What it says where a grammar is too large, as "Current row has 2001 items; max is 2000".
_LIMIT = re.compile(r"\w[^:;\n]*; max is \d+")
_LINES_BEFORE = 1
_ALL_SPELLINGS = '%llguidance {"no_forcing": true}'
# White space in JSON is bounded, so that a sampled answer cannot consist of it: none, a blank, or an indented line.
_WHITE_SPACE = r" ?|\n {0,32}"


class Grammar:
    """A constraint for one model.

    Attributes:
        constraint: what it was made of.
        least: the least number of tokens of an answer, as far as that is known.
    """

    def __init__(self, constraint: Constraint, matcher: Any, least: float) -> None:
        """Take a matcher of llguidance that has seen no token."""
        self.constraint = constraint
        self.least = least
        self._matcher = matcher

    def begin(self) -> Matching:
        """Return what follows one answer."""
        return Matching(self._matcher.deep_copy())

    def check_room(self, most: int, model: str) -> None:
        """Check that an answer can be as short as it must be.

        Args:
            most: the most tokens of the answer.
            model: the model's name, for the error.

        Raises:
            GenerationArgumentError: the shortest answer is longer.
        """
        if self.least > most:
            raise GenerationArgumentError(
                f"model '{model}': constraint.{self.constraint.kind}: its shortest answer has at least "
                f"{self.least:.0f} tokens, but max_tokens is {most}: raise max_tokens"
            )


class Matching:
    """Follows one answer: which tokens its constraint allows next."""

    def __init__(self, matcher: Any) -> None:
        """Take a matcher of its own."""
        self._matcher = matcher

    def take(self, token: int) -> bool:
        """Take the next token, and tell whether the constraint allows it.

        Raises:
            GenerationError: the library gives up, as where a grammar is too large for it.
        """
        is_allowed = bool(self._matcher.consume_token(token))
        if not is_allowed:
            self._check_size()
        return is_allowed

    @property
    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return bool(self._matcher.is_accepting())

    def allowed(self, size: int) -> Any:
        """Return which tokens are allowed, boolean, shape (size,); none where the answer cannot go on or end.

        Raises:
            GenerationError: the library gives up, as where a grammar is too large for it.
        """
        import numpy as np

        bits = np.unpackbits(np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        found = np.zeros(size, dtype=bool)
        if not self._matcher.is_error():
            found[: len(bits)] = bits[:size]
        else:
            self._check_size()
        return found

    def _check_size(self) -> None:
        limit = _LIMIT.search(self._matcher.get_error()) if self._matcher.is_error() else None
        if limit is not None:
            raise GenerationError(
                f"the constraint is too large for llguidance ({limit[0]}): have it allow fewer alternatives at a "
                "place, or write them as one regex, as choices, or as an enum"
            )


class Grammars:
    """The constraints of one model."""

    def __init__(self, tokenizer: Any, model: str, backend: str) -> None:
        """Take the tokenizer; nothing is computed before there is a constraint.

        Args:
            tokenizer: a transformers tokenizer.
            model: the model's name, for errors.
            backend: the backend's name, for the error without the library.
        """
        self._tokenizer = tokenizer
        self._model = model
        self._backend = backend
        self._known: dict[tuple[Constraint, frozenset[int]], Grammar] = {}
        self._tokens: dict[frozenset[int], tuple[Any, frozenset[bytes]]] = {}
        self._lock = threading.Lock()

    def grammar(self, constraint: Constraint, ends: Collection[int]) -> Grammar:
        """Return the grammar of a constraint.

        Args:
            constraint: what an answer must look like.
            ends: ids of the tokens that end a reply.

        Raises:
            MissingExtraError: the library is not installed.
            GenerationArgumentError: the constraint does not parse, or no tokens can satisfy it.
        """
        key = constraint, frozenset(ends)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                found = self._known[key] = self._compiled(*key)
        return found

    def _compiled(self, constraint: Constraint, ends: frozenset[int]) -> Grammar:
        if importlib.util.find_spec("llguidance") is None:
            raise MissingExtraError(self._backend, "constraints", "llguidance")
        import llguidance

        tokenizer, tokens = self._tokens_of(ends)
        where = f"model '{self._model}': constraint.{constraint.kind}"
        fault = _fault(constraint)
        if fault is not None:
            raise GenerationArgumentError(f"{where}: {fault}; correct it or leave it out")
        source = _source(constraint)
        matcher = llguidance.LLMatcher(tokenizer, source, log_level=0)
        if matcher.is_error():
            words = _words(matcher.get_error(), constraint.kind)
            raise GenerationArgumentError(f"{where} cannot be used: {words}; correct it")
        least = least_tokens(constraint, tokens)
        first = Matching(matcher.deep_copy())
        try:
            is_possible = first.is_complete or first.allowed(tokenizer.vocab_size).any()
        except GenerationError as too_large:
            raise GenerationArgumentError(f"{where}: {too_large}") from None
        if least == float("inf") or not is_possible:
            raise GenerationArgumentError(
                f"{where} cannot be satisfied by any tokens of the model: correct it so that it allows an answer"
            )
        return Grammar(constraint, matcher, least)

    def _tokens_of(self, ends: Collection[int]) -> tuple[Any, frozenset[bytes]]:
        """Return the tokenizer in the library's form, and the bytes of its tokens; both are made once."""
        import llguidance

        key = frozenset(ends)
        found = self._tokens.get(key)
        if found is None:
            own = getattr(self._tokenizer, "llguidance_tokenizer", None)
            if own is not None:  # the tokenizer of another library
                tokenizer = own(sorted(ends))
            else:
                backend = copy.copy(self._tokenizer.backend_tokenizer)
                backend.no_padding()
                backend.no_truncation()
                tokenizer = llguidance.LLTokenizer(backend.to_str(), eos_token=sorted(ends) or None)
            plain = (token for token in range(tokenizer.vocab_size) if not tokenizer.is_special_token(token))
            tokens = frozenset(tokenizer.decode_bytes([token]) for token in plain)
            found = self._tokens[key] = (tokenizer, tokens)
        return found


def _fault(constraint: Constraint) -> str | None:
    """Return what is wrong with a constraint that the library would take in another way, or None."""
    if constraint.kind == "json_schema":
        return fault_of_schema(json.loads(constraint.text))
    if constraint.kind == "regex" and ends_with_escape(constraint.text):
        return "it ends with a single backslash, which escapes nothing"
    if constraint.kind == "grammar" and _TEMPERATURE.search(constraint.text):
        return "temperature of a rule would have no effect; set the generation argument for the whole answer"
    return None


def _source(constraint: Constraint) -> str:
    """Return a constraint in the library's notation, with every spelling of an answer allowed.

    Otherwise it would allow one tokenization of a text that must come, and take away the probability of the others.
    """
    from llguidance import LLMatcher, regex_to_lark

    if constraint.kind == "regex":
        rule = f"start: /{regex_to_lark(constraint.text)}/"
    elif constraint.kind == "choices":
        # A terminal: as a rule, each choice would be an item of the parser, which takes 2,000.
        rule = "start: CHOICE\nCHOICE: " + " | ".join(map(json.dumps, constraint.choices))
    elif constraint.kind == "json_schema":
        schema = without_neutral(json.loads(constraint.text))
        options = {"whitespace_pattern": _WHITE_SPACE, **(schema.get(OPTIONS) or {})}
        rule = "start: %json " + json.dumps({**schema, OPTIONS: options})
    else:
        rule = constraint.text
    return str(LLMatcher.grammar_from_lark(f"{_ALL_SPELLINGS}\n{rule}"))


def _words(message: str, kind: str) -> str:
    """Return a message of the library in one line of bearable length, without what we put around the constraint.

    Args:
        message: the message; it may begin with a place in the source, and end with that source.
        kind: of the constraint; only in a grammar does the place mean something to its author.
    """
    said = _SOURCE.split(message, maxsplit=1)[0]
    place = _PLACE.match(said)
    said = said[place.end() :] if place else said
    regex = _REGEX_FAULT.search(said)
    said = f"{_cut(regex[1])!r}: {regex[2]}" if regex else said.removeprefix("failed to compile JSON schema: ")
    for pattern, ours in _IN_OUR_WORDS:
        said = pattern.sub(ours, said)
    words = " ".join(_TOKEN.sub("", said).split())
    if place and kind == "grammar":
        words = f"line {int(place[1]) - _LINES_BEFORE}, column {place[2]}: {words}"
    return _cut(words, _LONGEST)


def _cut(text: str, most: int = _LONGEST_PATTERN) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
