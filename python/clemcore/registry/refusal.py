"""Why a selector has no entry: which entries refused it, and which names are like the one that it gives.

It does not know the rule by which entries are selected.
"""

from __future__ import annotations

from clemcore import _core
from clemcore.registry.override import masked
from clemcore.registry.spec import ModelSpec

# So many refusals are shown.
_SHOWN = 5


def why_not_found(core: _core.Registry, selector: ModelSpec) -> str:
    """Explain why no entry unifies with a selector."""
    lines = [f"no model unifies with {selector}"]
    refusals = core.refusals(selector.to_dict())
    lines += [f"  {_refusal(refusal)}" for refusal in refusals[:_SHOWN]]
    if len(refusals) > _SHOWN:
        lines.append(f"  … and {len(refusals) - _SHOWN} more entries of that name")
    if refusals:
        lines.append(
            "  to change a field of the entry on purpose, put it into the selector's 'override' "
            "(for 'clem': --set FIELD=VALUE)"
        )
    name = selector.get("model_name")
    if isinstance(name, str) and not refusals:
        near = core.nearest(name)
        lines.append(
            "  did you mean " + ", ".join(f"'{other}'" for other in near) + "?"
            if near
            else "  'clem list models' shows all names"
        )
        if "backend" not in selector:
            lines.append(
                "  a model without an entry can be used by naming its backend: "
                f'{{"model_name": "{name}", "backend": "…", …}}'
            )
    return "\n".join(lines)


def _refusal(refusal: _core.Refusal) -> str:
    """Say why an entry was refused, secrets masked."""
    place = f" ({refusal.source}:{refusal.line})" if refusal.line else ""
    rows = masked({"field": name, "asked": asked, "found": found} for name, asked, found in refusal.mismatches)
    reasons = "; ".join(f"{row['field']} is {row['found']!r}, not {row['asked']!r}" for row in rows)
    return f"entry {refusal.entry}{place}: {reasons}"
