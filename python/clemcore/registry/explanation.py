"""How a selector came to its specification: what was tried, what refused it, and where each field comes from.

What a selector stands for is decided in :mod:`clemcore.registry.resolution`; here it is only explained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore import _core
from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.registry.override import changes_of, masked, split
from clemcore.registry.refusal import nearest
from clemcore.registry.resolution import check_selector, decide
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import mask_fields

# A value of more characters is cut in the text, not in the data.
_LONGEST = 100


@dataclass(frozen=True, repr=False)
class Explanation:
    """How a selector came to its specification; ``str()`` tells it, secrets masked.

    Attributes:
        selector: what was asked for.
        outcome: ``"entry"`` (the first entry that matches was taken), ``"special"`` (a name that needs no entry),
            ``"inline"`` (no entry matches, and the selector is an entry itself), ``"resolved"`` (the specification
            was resolved before), ``"refused"`` (the selector or its override is invalid) or ``"nothing"``.
        spec: what the selector stands for; None for ``"refused"`` and ``"nothing"``.
        layers: sources and how many entries each has, in the order in which they are tried; the source is None for
            entries that come from no file.
        tried: the entries that were compared, in that order, as dicts of ``entry`` (its index), ``model_name``,
            ``source``, ``line``, ``by`` (``"name"``, ``"alias"``, ``"model_id"``, ``"huggingface_id"``) and
            ``refused``: dicts of ``field``, ``asked`` and ``found``; empty for the entry that was taken. Of many,
            those with the fewest contradictions.
        omitted: how many more were compared.
        passed: how many were not: they have other names, or come after the one that was taken.
        taken: ``entry``, ``model_name``, ``source`` and ``line`` of the entry that was taken, and ``also``: those
            of the same name (or id) that match too and come later.
        fields: each field of the specification as a dict of ``field``, ``value`` and ``from``: ``"selector"``,
            ``"entry"``, ``"selector and entry"``, ``"override"`` or ``"layer"`` (set on loading).
        overridden: what the override changed: ``field``, ``old`` and ``new``.
        near: names like the one that nothing has.
        rule: the number of the rule that decided (docs/decisions/0010-what-a-selector-means.md), 0 for a
            specification that was resolved before.
        reason: why the selector was refused; else empty.
    """

    selector: ModelSpec
    outcome: str
    spec: ModelSpec | None
    layers: list[tuple[str | None, int]]
    tried: list[dict[str, Any]] = field(default_factory=list)
    omitted: int = 0
    passed: int = 0
    taken: dict[str, Any] | None = None
    fields: list[dict[str, Any]] = field(default_factory=list)
    overridden: list[dict[str, Any]] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    rule: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts and lists, secrets masked."""
        return {
            "selector": mask_fields(self.selector.to_dict()),
            "outcome": self.outcome,
            "spec": None if self.spec is None else mask_fields(self.spec.to_dict()),
            "layers": [{"source": source, "entries": count} for source, count in self.layers],
            "tried": [{**trial, "refused": masked(trial["refused"])} for trial in self.tried],
            "omitted": self.omitted,
            "passed": self.passed,
            "taken": self.taken,
            "fields": masked(self.fields),
            "overridden": masked(self.overridden),
            "near": self.near,
            "rule": self.rule,
            "reason": self.reason,
        }

    def __repr__(self) -> str:
        """Name what was asked, secrets masked, and what came of it."""
        return f"<Explanation of {self.selector}: {self.outcome}>"

    def __str__(self) -> str:
        """Tell it in lines."""
        told = self.to_dict()
        lines = [f"selector: {_shown(told['selector'])}", "layers, in the order in which they are tried:"]
        lines += [f"  {source or 'no file'}: {_count(count)}" for source, count in self.layers]
        lines += self._tried(told["tried"])
        lines.append(self._result())
        lines += [
            f"  matches too, and comes later: {_place(other)}" for other in (self.taken or {}).get("also", [])
        ]
        width = max((len(row["field"]) for row in told["fields"]), default=0)
        old = {row["field"]: row for row in told["overridden"]}
        for row in told["fields"]:
            origin = row["from"]
            if row["field"] in old:
                origin += f" (was {_shown(old[row['field']]['old'])})" if "old" in old[row["field"]] else " (new)"
            lines.append(f"  {row['field']:<{width}}  {_shown(row['value'])}  from {origin}")
        removed = [row for row in told["overridden"] if "new" not in row]
        lines += [f"  {row['field']:<{width}}  removed by override (was {_shown(row['old'])})" for row in removed]
        return "\n".join(lines)

    def _tried(self, tried: list[dict[str, Any]]) -> list[str]:
        compared = len(tried) + self.omitted
        if not compared:
            return [f"no entry has this name, alias or id ({_count(self.passed)} passed)"]
        lines = [f"compared: {_count(compared)}; {self.passed} passed"]
        if self.omitted:
            lines[0] += f"; the {len(tried)} with the fewest contradictions:"
        for trial in tried:
            how = f"by its {trial['by']}"
            verdict = "refused" if trial["refused"] else "taken"
            lines.append(f"  {verdict}: {_place(trial)}, {how}")
            lines += [
                f"    {row['field']}: asked {_shown(row['asked'])}, found {_shown(row['found'])}"
                for row in trial["refused"]
            ]
        return lines

    def _result(self) -> str:
        if self.outcome == "refused":
            return f"result, by rule {self.rule}: refused; {self.reason}"
        if self.taken is not None:
            return f"result, by rule {self.rule}, of {_place(self.taken)}:"
        if self.outcome != "nothing":
            return f"result: {_WITHOUT_ENTRY[self.outcome]}:"
        near = "did you mean " + ", ".join(f"'{name}'" for name in self.near) + "?" if self.near else ""
        return "result, by rule 5: nothing" + (f"; {near}" if near else "")


_WITHOUT_ENTRY = {
    "special": "by rule 1, a special name needs no entry",
    "inline": "by rule 4, no entry matches, and the selector is an entry itself",
    "resolved": "the specification was resolved before",
}
_RULES = {"special": 1, "entry": 2, "inline": 4, "resolved": 0}


def explain(selector: ModelSpec, core: _core.Registry) -> Explanation:
    """Say how a selector comes to its specification; see :meth:`clemcore.registry.ModelRegistry.explain`."""
    plain, replaced = split(selector)
    check_selector(plain)
    told = core.explain(selector._fields)
    try:
        resolution = decide(selector, core)
    except ModelNotFoundError:
        del told["found"]
        name = plain.get("model_name")
        told["near"] = [] if name is None or told["tried"] else nearest(core, name)
        return Explanation(selector, "nothing", None, **told, rule=5)
    except SpecError as error:
        rule = 4 if told.pop("found") is None else 3
        return Explanation(selector, "refused", None, **told, rule=rule, reason=str(error))
    found, spec = told.pop("found"), resolution.spec
    if resolution.outcome == "entry":
        del found["spec"]
        fields, changes = found.pop("fields"), found.pop("overridden")
        return Explanation(selector, "entry", spec, **told, taken=found, fields=fields, overridden=changes, rule=2)
    fields = [
        {"field": name, "value": value, "from": _origin(name, plain, replaced)} for name, value in spec.items()
    ]
    told.update(fields=fields, overridden=changes_of(spec), rule=_RULES[resolution.outcome])
    return Explanation(selector, resolution.outcome, spec, **told)


def _origin(field: str, selector: ModelSpec, replaced: Mapping[str, Any]) -> str:
    """Say where a field comes from that is no entry's."""
    if field in replaced:
        return "override"
    return "selector" if field in selector else "the name"


def _place(row: dict[str, Any]) -> str:
    place = f"{row['source']}:{row['line']}" if row["line"] else f"entry {row['entry']}"
    return f"{place} '{row['model_name']}'" if row["model_name"] is not None else place


def _count(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
