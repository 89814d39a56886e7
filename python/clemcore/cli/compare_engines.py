"""``clem compare-engines``: the same model on two engines, compared prompt by prompt and answer by answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.audit import naming_file, read_dialogues
from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import PATHS, missing_path, name_or_folder, set_option, with_set
from clemcore.cli.terminal import Styled, note, out, progress, table

if TYPE_CHECKING:
    from clemcore.backends.compared.comparison import EngineComparison, Row
    from clemcore.backends.compared.engines import ComparedEngine

# The engines that run the model of an entry in this process, with their backends.
_HERE = {"transformers": "huggingface_local", "llamacpp": "llamacpp"}
_SAME, _OTHER = 0, 1


@click.command(
    "compare-engines",
    short_help="Compare a model on two engines.",
    epilog=examples(
        "clem compare-engines MODEL transformers http://127.0.0.1:8000/v1",
        "clem compare-engines model.gguf transformers llamacpp",
        "clem compare-engines ~/models/m transformers ~/models/m-bf16 --json",
    ),
)
@click.argument("model")
@click.argument("a")
@click.argument("b")
@click.argument("prompts", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[PROMPTS]")
@click.option("-l", "--max-tokens", type=click.IntRange(min=1), default=24, help="Most tokens of an answer (24).")
@click.option("--model-id", metavar="NAME", help="The model's name at a server; by default the first it lists.")
@set_option
@click.option("as_json", "--json", is_flag=True, help="Print the whole comparison.")
def compare_engines(
    *,
    model: str,
    a: str,
    b: str,
    prompts: str | None,
    max_tokens: int,
    model_id: str | None,
    set_: tuple[str, ...],
    as_json: bool,
) -> int:
    """Ask a model on two engines the same dialogues; compare prompt ids and answers, and store the result.

    MODEL is a name in the registry, a selector as JSON, a folder, or a GGUF file. A and B are engines:
    'transformers' and 'llamacpp' run the model in this process, the address of a server asks it there, and the
    name, selector, folder or GGUF file of another local model takes that one. PROMPTS is a JSON file with a list
    of texts or dialogues; by default eighteen are asked. Answers are greedy; each is scored by the other engine,
    where it can. --set changes the entry of MODEL only. The exit status is 1 if prompts differ.
    """
    from clemcore.backends.compared.comparison import compare
    from clemcore.backends.compared.dialogues import fitting
    from clemcore.backends.compared.store import save

    if set_ and not {a, b} & set(_HERE):
        raise click.UsageError(
            f"--set changes the entry of MODEL, but neither '{a}' nor '{b}' runs it in this process: change the "
            "entries of those, or name transformers or llamacpp"
        )
    asked = None if prompts is None else read_dialogues(Path(prompts))  # before models are loaded
    engines: list[ComparedEngine] = [_engine(each, model, model_id, set_) for each in (a, b)]
    _name_apart(engines)
    with naming_file(prompts):
        dialogues = fitting(engines, asked, max_tokens)

    def tell(words: str) -> None:
        note(Styled(f"asking: {words} …", "dim"))

    with progress(f"comparing {model}"):
        made = compare(model, engines[0], engines[1], dialogues, new_tokens=max_tokens, progress=tell)
    id_ = save(made.to_dict(), {engine.name: engine.fingerprint for engine in engines})
    if as_json:
        print_json({"id": id_, **made.to_dict()})
    else:
        show(made, id_)
    return _OTHER if made.differing_prompts else _SAME


def _engine(named: str, model: str, model_id: str | None, set_: tuple[str, ...]) -> ComparedEngine:
    from clemcore import loading
    from clemcore.backends.compared.engines import LocalEngine
    from clemcore.backends.local.measured import MeasuredModel
    from clemcore.errors import ModelNotFoundError, SpecError
    from clemcore.registry.spec import ModelSpec

    if named.startswith(("http://", "https://")):
        from clemcore.backends.compared.server import ServerEngine

        return ServerEngine(named, model_id)
    path = Path(model).expanduser()
    if named not in _HERE:
        try:
            spec = name_or_folder(named, ())
        except ModelNotFoundError as fault:
            raise ModelNotFoundError(
                f"{fault}\n  an engine is transformers, llamacpp, the address of a server (http://…), or another "
                "local model"
            ) from None
    elif path.exists():
        fields = {"model_name": path.stem, "backend": _HERE[named], "huggingface_id": str(path.resolve())}
        spec = loading.resolve(with_set(ModelSpec(**fields), set_))
    elif model.startswith(PATHS):
        raise missing_path(model)
    else:
        wanted = ModelSpec.from_string(model).unify(ModelSpec(backend=_HERE[named]))
        spec = loading.resolve(wanted) if not set_ else name_or_folder(wanted.to_string(), set_)
    with progress(f"loading {named}"):
        loaded = loading.get_model_for(spec)
    if not isinstance(loaded, MeasuredModel):
        raise SpecError(
            f"'{named}' is a model of the backend '{spec.get('backend')}', which does not score answers: name "
            "transformers, llamacpp, the address of a server, or a local model"
        )
    return LocalEngine(loaded, named if named in _HERE else str(spec["model_name"]))


def _name_apart(engines: list[ComparedEngine]) -> None:
    if engines[0].name == engines[1].name:
        for engine, letter in zip(engines, "AB", strict=True):
            engine.name = f"{engine.name} ({letter})"  # type: ignore[misc]


def show(made: EngineComparison, id_: str | None) -> None:
    """Print a comparison as a table, with what it means."""
    one, other = made.engines
    header = ["DIALOGUE", "PROMPT IDS", "TOKENS", "ANSWERS", "FIRST DIFFERENCE", f"A BY {other}", f"B BY {one}"]
    table(header, [[str(index), *_cells(row, one, other)] for index, row in enumerate(made.rows)])
    out(f"A: {one} ({made.formats[one] or 'format not known'})")
    out(f"B: {other} ({made.formats[other] or 'format not known'})")
    counts = Counter(row.prompt for row in made.rows)
    out(f"prompt ids: {', '.join(f'{number} {word}' for word, number in counts.items())}, of {made.prompts}")
    equal, answered = sum(row.equal for row in made.answered), len(made.answered)
    out(f"equal answers: {equal} of {answered} ({made.equal_answers:.0%}), up to {made.new_tokens} tokens each")
    first = next((row.first_id for row in made.rows if row.first_id is not None), None)
    if first is not None:
        out(f"first prompt that differs: token {first.token}")
        for name in made.engines:
            out(f"  {name}: {first.ids[name]} {first.texts[name]!r}")
    for words in made.notes:
        note(words)
    if id_ is not None:
        out(f"stored: {id_}")


def _cells(row: Row, one: str, other: str) -> list[str]:
    counts = [row.prompt_tokens[name] for name in (one, other)]
    tokens = (
        str(counts[0])
        if counts[0] == counts[1]
        else " / ".join("?" if each is None else str(each) for each in counts)
    )
    where = ""
    if row.first_token is not None:
        margins = ", ".join(
            f"{letter} {margin:.3g}"
            for letter, margin in zip("AB", (row.first_token.margins[name] for name in (one, other)), strict=True)
            if margin is not None
        )
        where = f"token {row.first_token.token}" + (f", margin {margins}" if margins else "")
    elif row.answers and not row.equal:
        where = "text"
    answers = "equal" if row.equal else "differ"
    if not row.answers:
        return [row.prompt, tokens, "-", "", "-", "-"]
    return [row.prompt, tokens, answers, where, _number(row.sums[other][one]), _number(row.sums[one][other])]


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}"
