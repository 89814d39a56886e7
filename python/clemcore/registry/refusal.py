"""Why a selector has no entry: which entries refused it, and which names are like the one that it gives.

It does not know the rule by which entries are selected.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from clemcore import _core
from clemcore.registry.judgement import BACKEND_SUFFIX
from clemcore.registry.override import masked
from clemcore.registry.spec import ModelSpec
from clemcore.registry.special import NAMES

# So many refusals are shown.
_SHOWN = 5
_IDS = ("model_id", "huggingface_id")


def why_not_found(core: _core.Registry, selector: ModelSpec) -> str:
    """Explain why no entry matches a selector, and name the nearest models."""
    lines = [f"no model matches {selector}"]
    refusals = core.refusals(selector.to_dict())
    lines += [f"  {_refusal(refusal)}" for refusal in refusals[:_SHOWN]]
    if len(refusals) > _SHOWN:
        lines.append(f"  … and {len(refusals) - _SHOWN} more entries of that name")
    if refusals:
        lines.append(
            "  to change a field of the entry on purpose, put it into the selector's 'override' "
            "(for 'clem': --set FIELD=VALUE)"
        )
    elif isinstance(selector.get("model_name"), str):
        lines += _about_name(core, selector)
    elif any(name in selector for name in _IDS):
        ids = {str(core.entry(index).get(name)) for index in range(len(core)) for name in _IDS} - {"None"}
        given = [str(selector[name]) for name in _IDS if name in selector]
        lines.append(_did_you_mean(other for text in given for other in nearest(core, text, sorted(ids))))
    else:
        lines += _about_fields(core, selector)
    return "\n".join(lines)


def nearest(core: _core.Registry, name: str, further: Sequence[str] = NAMES) -> list[str]:
    """Return the names of models, and further names, that are most like a name, best first."""
    from clemcore.visible import visible  # only here: most programs never ask for a model that is not there

    return core.nearest(visible(name), 5, list(further))


def _about_name(core: _core.Registry, selector: ModelSpec) -> list[str]:
    name = selector["model_name"]
    lines = [_did_you_mean(nearest(core, name))]
    if "backend" not in selector:
        # Of a backend's own name, its file here is what was meant.
        backend = name if os.path.isfile(f"{name}{BACKEND_SUFFIX}") else "…"  # noqa: PTH113 - of any name
        more = "" if backend == name else ", …"
        lines.append(
            "  a model without an entry can be used by naming its backend: "
            f'{{"model_name": "{name}", "backend": "{backend}"{more}}}'
        )
    return lines


def _about_fields(core: _core.Registry, selector: ModelSpec) -> list[str]:
    """Say that a selector names no model, and what it probably meant."""
    lines = ["  it does not name a model: give its 'model_name', or else its 'model_id' or 'huggingface_id'"]
    for field, value in selector.items():
        if isinstance(value, str) and field != "backend":
            for name in ("model_name", *_IDS):
                if core.named_by({name: value}) or (name == "model_name" and value in NAMES):
                    return [*lines, f"  did you mean {{'{name}': '{value}'}}?"]
    # A backend that reads nearly everything: only the spelling of the fields is asked for.
    for field, denied in _core.added_fields(selector.to_dict(), {"backend": "openai_compatible"}):
        if denied is not None and denied[1] is not None:
            return [*lines, f"  did you mean '{denied[1]}' instead of '{field}'?"]
    return lines


def _did_you_mean(names: Iterable[str]) -> str:
    near = ", ".join(f"'{name}'" for name in dict.fromkeys(names))
    return f"  did you mean {near}?" if near else "  'clem list models' shows all names"


def _refusal(refusal: _core.Refusal) -> str:
    """Say why an entry was refused, secrets masked."""
    place = f" ({refusal.source}:{refusal.line})" if refusal.line else ""
    rows = masked({"field": name, "asked": asked, "found": found} for name, asked, found in refusal.mismatches)
    reasons = "; ".join(f"{row['field']} is {row['found']!r}, not {row['asked']!r}" for row in rows)
    return f"entry {refusal.entry}{place}: {reasons}"
