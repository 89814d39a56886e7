"""``clem bench``: how fast is a local model here?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import click

from clemcore.cli.audit import local_spec
from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import set_option
from clemcore.cli.terminal import Styled, note, out, progress, table

if TYPE_CHECKING:
    from clemcore.backends.local.model import LocalModel


@click.command(
    short_help="Measure how fast a local model is.",
    epilog=examples("clem bench MODEL", "clem bench MODEL --length 64 --length 1024 --batch 1 --batch 8"),
)
@click.argument("model")
@click.option(
    "lengths", "--length", type=click.IntRange(min=1), multiple=True, help="Tokens of a prompt; repeatable."
)
@click.option("batches", "--batch", type=click.IntRange(min=1), multiple=True, help="Prompts at once; repeatable.")
@click.option("-l", "--max-tokens", type=click.IntRange(min=2), default=32, help="Tokens of an answer (32).")
@set_option
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
def bench(
    *,
    model: str,
    lengths: tuple[int, ...],
    batches: tuple[int, ...],
    max_tokens: int,
    set_: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print how long a local model takes to load, and how many tokens per second it reads and writes.

    The imports of torch and transformers come first and are timed apart: they cost the same for every model.

    MODEL is a name in the registry, a selector as JSON, or the folder of a local model. Each mode (exact, fast, and
    certified if an audit is stored) is measured with prompts of several lengths, alone and in batches. Prompts that
    do not fit the context window are left out.
    """
    from clemcore import loading

    spec = local_spec(model, set_, "bench")
    with progress(f"loading {model}"):
        begin = time.perf_counter()
        from clemcore.backends.huggingface_local import import_libraries

        import_libraries()
        imported = time.perf_counter()
        loaded = cast("LocalModel", loading.get_model_for(spec))
    import_seconds, seconds = imported - begin, time.perf_counter() - imported
    settings: dict[str, Any] = {"new_tokens": max_tokens}
    settings |= {name: given for name, given in (("lengths", lengths), ("batches", batches)) if given}
    speeds = list(loaded.bench(progress=lambda what: note(Styled(f"measuring: {what} …", "dim")), **settings))
    if as_json:
        times = {"import_seconds": import_seconds, "load_seconds": seconds}
        print_json({"model": model, **times, "speeds": [speed.to_dict() for speed in speeds]})
        return
    out(f"loaded in {seconds:.1f} s, after {import_seconds:.1f} s for the imports of torch and transformers")
    rows = [
        [
            one.mode,
            str(one.length),
            str(one.batch),
            f"{one.prefill:.0f}",
            "too short to tell" if one.decode is None else f"{one.decode:.1f}",
        ]
        for one in speeds
    ]
    table(["MODE", "PROMPT TOKENS", "BATCH", "READ TOKENS/S", "WRITTEN TOKENS/S"], rows)
