"""A proof as a value: what was compared, with what, and the result. JSON in and out; it renders nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.prompts.proof.compare import PromptDifference

# Raised when the fields below change their meaning.
FORMAT = 1


@dataclass(frozen=True)
class Proof:
    """What was compared, with what, and the result.

    Attributes:
        id: hash of all that the result depends on, but the time.
        fingerprint: SHA-256 of the template.
        special_tokens: the tokens that the template was given, by name.
        template_kwargs: further variables that every case was given.
        versions: of clemcore, its engine, transformers, jinja2 and Python.
        tokenizer: what identifies the tokenizer whose ids were compared; "" where only texts were.
        clock: what the template's clock said, on both sides.
        clock_is_pinned: whether that time was asked for; else it is the time of the proof.
        engine: what was compared: ``clemcore``, or ``jinja2`` where the core does not cover the template.
        engine_reason: why it is jinja2, or "".
        cases: how many conversations were compared.
        rendered: how many of them gave a text; both sides refused the others.
        differing: ids of the cases that differ.
        first: the first difference, or None.
        covered: features that the cases with equal texts had; see :mod:`clemcore.prompts.proof.cover`.
        seconds: how long it took.
    """

    id: str
    fingerprint: str
    special_tokens: dict[str, Any]
    template_kwargs: dict[str, Any]
    versions: dict[str, str]
    tokenizer: str
    clock: str
    clock_is_pinned: bool
    engine: str
    engine_reason: str
    cases: int
    rendered: int
    differing: list[str]
    first: PromptDifference | None
    covered: frozenset[str]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether no case differs, and at least one gave a text."""
        return self.rendered > 0 and not self.differing

    @property
    def reason(self) -> str:
        """Why it does not hold; "" where it does."""
        if self.holds:
            return ""
        if self.first is None:
            return "the template refuses every conversation of the proof"
        place = "" if self.first.byte is None else f" at byte {self.first.byte}"
        return (
            f"case {self.first.case} differs ({self.first.what}{place}); {len(self.differing)} of {self.cases} do"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["first"] = None if self.first is None else self.first.to_dict()
        fields["covered"] = sorted(self.covered)
        return {"format": FORMAT, "holds": self.holds, **fields}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Proof:
        """Read what :meth:`to_dict` returned.

        Raises:
            ValueError: it is something else.
        """
        try:
            if value["format"] != FORMAT:
                raise ValueError(f"a proof of format {value['format']}")
            fields = {field.name: value[field.name] for field in dataclasses.fields(cls)}
            fields["first"] = None if value["first"] is None else PromptDifference(**value["first"])
            fields["covered"] = frozenset(value["covered"])
            proof = cls(**fields)
            contradicts = proof.holds != value["holds"]
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"no proof: {type(fault).__name__} {fault}") from None
        if contradicts:
            raise ValueError("a proof that contradicts itself")
        return proof

    def facts(self) -> dict[str, Any]:
        """Return what goes into the record of a call."""
        return {
            "id": self.id,
            "holds": self.holds,
            "cases": self.cases,
            "rendered": self.rendered,
            "versions": dict(self.versions),
        }
