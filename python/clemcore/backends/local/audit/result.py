"""An audit as a value: what was compared, on which machine, and what moved. It computes nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.engine import Description

# Raised when the fields below change their meaning, or batches are computed in another way.
FORMAT = 2
# What of the facts about weights tells them from others; where they are stored does not.
_WEIGHTS = ("weights_sha256", "adapter")


class OtherFormatError(ValueError):
    """An audit that another version of clemcore wrote."""


@dataclass(frozen=True)
class FirstDifference:
    """The first token, of all answers of a comparison, that is not the one of the answer alone.

    Attributes:
        prompt: index of the prompt.
        token: its place in the answer, from 0.
        margin: by how much the score of the token that was chosen alone was above that of the second.
    """

    prompt: int
    token: int
    margin: float


@dataclass(frozen=True)
class Comparison:
    """One way to ask the prompts, compared with each prompt alone.

    Attributes:
        name: the way, as ``batches of 4``.
        answers: how many answers were compared.
        equal: how many of them have the same tokens.
        first: the answer that differs at the earliest token, or None.
        largest_shift: the most by which a score moved, over all steps whose tokens before were equal.
        proof: what shows that the way was really taken, as the tokens of a prompt that came from a kept state.
    """

    name: str
    answers: int
    equal: int
    first: FirstDifference | None
    largest_shift: float
    proof: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def equal_share(self) -> float:
        """The share of equal answers."""
        return self.equal / self.answers


@dataclass(frozen=True)
class Audit:
    """What was measured of one model in one format on one machine.

    Attributes:
        fingerprint: everything that the result depends on; see :func:`fingerprint_of`.
        made: when, as an ISO time.
        model_name: the name of the model when it was audited.
        prompts: number of prompts.
        new_tokens: tokens of each answer.
        comparisons: one for each way to ask.
        smallest_margin: the smallest distance of the best score to the second, over all steps of the answers alone.
        seconds: how long it took.
        left_out: how many of the default prompts were not asked, because they do not fit the context window.
    """

    fingerprint: Mapping[str, Any]
    made: str
    model_name: str
    prompts: int
    new_tokens: int
    comparisons: tuple[Comparison, ...]
    smallest_margin: float
    seconds: float
    left_out: int = 0

    @property
    def id(self) -> str:
        """Hash of the fingerprint, which names the stored audit."""
        return id_of(self.fingerprint)

    @property
    def shift(self) -> float:
        """The most by which any score moved."""
        return max((comparison.largest_shift for comparison in self.comparisons), default=0.0)

    def facts(self) -> dict[str, Any]:
        """Return what goes into the record of a call."""
        return {"id": self.id, "made": self.made, "shift": self.shift}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["fingerprint"] = dict(self.fingerprint)
        fields["comparisons"] = [
            {**dataclasses.asdict(one), "equal_share": one.equal_share} for one in self.comparisons
        ]
        return {"format": FORMAT, "id": self.id, "shift": self.shift, **fields}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Audit:
        """Read what :meth:`to_dict` returned.

        Raises:
            OtherFormatError: another version of clemcore wrote it.
            ValueError: it is something else.
        """
        try:
            if value["format"] != FORMAT:
                raise OtherFormatError(
                    f"it has format {value['format']}, and this version of clemcore reads {FORMAT}"
                )
            value = {"left_out": 0, **value}  # audits of before do not have it
            fields = {field.name: value[field.name] for field in dataclasses.fields(cls)}
            fields["comparisons"] = tuple(map(_comparison, value["comparisons"]))
            audit = cls(**fields)
            is_whole = audit.shift == value["shift"] and audit.id == value["id"]
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"not an audit: {type(fault).__name__} {fault}") from None
        if not is_whole:
            raise ValueError("an audit that contradicts itself")
        return audit


def _comparison(value: Mapping[str, Any]) -> Comparison:
    fields = {field.name: value[field.name] for field in dataclasses.fields(Comparison)}
    if fields["first"] is not None:
        fields["first"] = FirstDifference(**fields["first"])
    return Comparison(**fields)


def fingerprint_of(described: Description, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an audit's result depends on: weights, format, libraries, device, threads and flags.

    Args:
        described: what the engine says of itself.
        facts: what identifies the weights, as in the record of a call (``weights_sha256``, ``adapter``).
    """
    return {
        "weights": {name: facts.get(name) for name in _WEIGHTS},
        "dtype": described.dtype,
        "quantization": described.quantization,
        "attention": described.attention,
        "device": {"name": described.device, **described.hardware},
        "threads": described.threads,
        "libraries": dict(described.libraries),
    }


def with_template(fingerprint: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what prompts and answers depend on: a fingerprint, and the text of the chat template."""
    return {**fingerprint, "template": hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()}


def id_of(fingerprint: Mapping[str, Any]) -> str:
    """Return the hash of a fingerprint."""
    text = json.dumps(fingerprint, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
