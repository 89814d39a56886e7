"""The audit of the demo's model, as ``clem audit`` makes it, as a table; a second one has to give the same figures.

``--dtype bfloat16`` uses another number format. ``--stored`` prints the stored audit and asks nothing. Times are
seconds of processor time without loading.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from local_turns import models


def main(arguments: list[str]) -> None:
    """Print the table, and whether its figures are those of the audit that was stored before."""
    options = argparse.ArgumentParser(prog="local.py audit")
    options.add_argument("--dtype", default="float32")
    options.add_argument("--stored", action="store_true")
    asked = options.parse_args(arguments)
    model, _ = models(asked.dtype, None, torch_num_threads=1)
    before = stored(model)
    if asked.stored:
        if before is None:
            raise SystemExit("no audit is stored: leave out --stored")
        show(before)
        return
    begin = time.process_time()
    audit = model.audit()
    seconds = time.process_time() - begin
    show(audit)
    print(f"\n{seconds:.0f} s of CPU")
    if before is not None:
        same = before.comparisons == audit.comparisons and before.smallest_margin == audit.smallest_margin
        print(f"the same figures as the audit made {before.made}: {'yes' if same else 'no'}")


def stored(model: Any) -> Any:
    """Return the audit that counts for a model, or None."""
    from clemcore.backends.local.audit.store import stored_audit

    return stored_audit(model._engine.describe(), model._weights.facts)


def show(audit: Any) -> None:
    """Print the table of an audit as Markdown."""
    shown = audit.fingerprint
    print(
        f"{shown['dtype']}: {audit.prompts} prompts, {audit.new_tokens} new tokens; largest shift of a score "
        f"{audit.shift:.3g}, smallest margin of a choice {audit.smallest_margin:.3g}\n"
    )
    print("| asked | equal | largest shift | first difference |\n|---|---|---|---|")
    for each in audit.comparisons:
        first = each.first
        where = "" if first is None else f"prompt {first.prompt}, token {first.token}, margin {first.margin:.3g}"
        kept = f" ({each.proof['tokens_kept']} tokens kept)" if each.name == "warm prefixes" else ""
        print(f"| {each.name}{kept} | {each.equal} of {each.answers} | {each.largest_shift:.3g} | {where} |")
