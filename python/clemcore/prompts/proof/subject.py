"""What a proof is about: a template, its tokens and variables, a tokenizer, and the versions of both engines.

A proof counts for exactly this; when any of it changes, another id is asked for. It renders nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.prompts.proof.cover import CLOCK
from clemcore.prompts.proof.oracle import NAMED_TOKENS, empty_tokenizer

_PROBE = "A probe: Größe 42 ١٢ 日本語 👍🏽\n\n  x\t</s> don't\r\n"


@dataclass(frozen=True, eq=False)
class Subject:
    """A template as one model uses it.

    Attributes:
        source: the template's text.
        tokenizer: a transformers tokenizer, or one that knows special tokens only.
        with_ids: whether the tokenizer is a model's, so that token ids mean something.
        template_kwargs: further variables that every conversation is given.
    """

    source: str
    tokenizer: Any
    with_ids: bool
    template_kwargs: Mapping[str, Any]

    @classmethod
    def of_model(cls, source: str, tokenizer: Any, template_kwargs: Mapping[str, Any] | None = None) -> Subject:
        """Return the template as a model uses it."""
        return cls(source, tokenizer, True, dict(template_kwargs or {}))

    @classmethod
    def of_template(
        cls,
        source: str,
        special_tokens: Mapping[str, str] | None = None,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> Subject:
        """Return a template without a model.

        Raises:
            MissingExtraError: transformers is not installed.
        """
        tokens = dict(special_tokens or {})
        # transformers takes seven names from the tokenizer; any other has to be a variable on both sides.
        others = {name: token for name, token in tokens.items() if name not in NAMED_TOKENS}
        return cls(source, empty_tokenizer(tokens), False, {**others, **(template_kwargs or {})})

    @property
    def special_tokens(self) -> dict[str, Any]:
        """The tokens that the template is given, by name."""
        return dict(self.tokenizer.special_tokens_map)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the template."""
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def uses_clock(self) -> bool:
        """Whether what is rendered may depend on the time."""
        return CLOCK in self.source

    @property
    def id(self) -> str:
        """Hash of all that a proof's result depends on, but the time."""
        whole = {
            "fingerprint": self.fingerprint,
            "special_tokens": self.special_tokens,
            "template_kwargs": self.template_kwargs,
            "tokenizer": self.tokenizer_id,
            "versions": versions(),
        }
        text = json.dumps(whole, sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @functools.cached_property
    def tokenizer_id(self) -> str:
        """What tells this tokenizer from others; "" where there is none."""
        if not self.with_ids:
            return ""
        core = getattr(self.tokenizer, "backend_tokenizer", None)
        parts = [
            type(self.tokenizer).__name__,
            len(self.tokenizer),
            sorted(self.tokenizer.get_added_vocab().items()),
            self.tokenizer(_PROBE, add_special_tokens=False, verbose=False).input_ids,
            [repr(getattr(core, name, None)) for name in ("normalizer", "pre_tokenizer", "post_processor")],
        ]
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Return the versions of everything that renders, and of the corpus."""
    import jinja2
    import transformers

    from clemcore._core import __version__

    return {
        "clemcore": __version__,
        "engine": _engine(),
        "transformers": str(transformers.__version__),
        "jinja2": str(jinja2.__version__),
        "python": platform.python_version(),
    }


@functools.cache
def _engine() -> str:
    """Tell one build of the engine and of the corpus from another, as versions under development do not."""
    digest = hashlib.sha256()
    for path in engine_files():
        found = path.stat()
        digest.update(f"{path.name}:{found.st_size}:{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def engine_files() -> list[Path]:
    """Return the files that render, compare, and hold the corpus: a proof made with others is made anew."""
    prompts = Path(__file__).parent.parent
    files = [
        *prompts.parent.glob("_core.*"),
        prompts / "jinja.py",
        *prompts.glob("templates/*"),
        *prompts.glob("proof/*"),
    ]
    return sorted(path for path in files if path.is_file())
