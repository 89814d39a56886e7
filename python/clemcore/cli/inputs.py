"""What several commands take: generation arguments, templates, times, and values written as ``name=value``.

It knows how they are written on a command line, and nothing of what is done with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clemcore.cli.terminal import note

if TYPE_CHECKING:
    from clemcore.prompts.templates import TemplateSource

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """Return the end of a help page: examples, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def options(*options: Callable[[AnyFunction], AnyFunction]) -> Callable[[AnyFunction], AnyFunction]:
    """Make one decorator of several options; the help shows them in this order."""

    def add(command: AnyFunction) -> AnyFunction:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def results_folder(command: AnyFunction) -> AnyFunction:
    """Add the argument RUN and the option ``-r`` of commands that read results; the help shows it last."""
    run = click.argument("run", required=False, metavar="[RUN]", type=click.Path(path_type=Path))
    folder = click.option(
        "results_dir",
        "-r",
        "--results-dir",
        default="results",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Where the results are (results).",
    )
    return run(folder(command))


def note_set_aside(*paths: Path) -> None:
    """Say in one line which runs in folders of results are left out, because they were set aside."""
    from clemcore.clemgame.layout.walking import set_aside_in

    found = dict.fromkeys(str(each) for path in paths for each in set_aside_in(path))
    if found:
        note(
            f"clem: left out, because 'clem run --fresh' has set it aside: {', '.join(found)}. "
            "To read such a run, name its folder, or rename it"
        )


# What an answer is generated with; :func:`generation_arguments` brings them together.
generation_options = options(
    click.option("-t", "--temperature", type=click.FloatRange(min=0.0), help="Sampling temperature (0.0)."),
    click.option("-l", "--max-tokens", type=click.IntRange(min=1), help="Most tokens of an answer (300)."),
    click.option(
        "gen_arg",
        "--gen-arg",
        multiple=True,
        metavar="NAME=JSON",
        help="Any other generation argument (seed=7, stop='[\"\\n\"]'); repeatable.",
    ),
)

# A chat template instead of a model; see :func:`chosen_template`.
template_options = options(
    click.option(
        "--template",
        type=click.Path(),
        metavar="FILE",
        help="A chat template instead of a model: *.jinja, tokenizer_config.json, *.gguf or a folder.",
    ),
    click.option(
        "template_name",
        "--template-name",
        metavar="NAME",
        help="With --template: which one, where the file has several (default).",
    ),
    click.option(
        "special_token",
        "--special-token",
        multiple=True,
        metavar="NAME=TOKEN",
        help="With --template: a token that it names (bos_token=<s>); repeatable.",
    ),
)


def chosen_template(path: str, name: str | None, special_token: Iterable[str]) -> TemplateSource:
    """Read the template that :func:`template_options` asked for; tokens that were given win over those of the file.

    Raises:
        TemplateError: there is none, or it cannot be read.
    """
    from clemcore.prompts.templates import TemplateSource, read_template

    given = read_pairs(special_token, "--special-token")
    found = read_template(path, name or "default")
    return TemplateSource(found.text, {**found.special_tokens, **given})


def generation_arguments(
    temperature: float | None, max_tokens: int | None, gen_arg: Iterable[str]
) -> dict[str, Any]:
    """Bring the generation options together; only those that were given."""
    given: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    arguments = {name: value for name, value in given.items() if value is not None}
    for text in gen_arg:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not NAME=JSON", param_hint="--gen-arg")
        if name in arguments:
            raise click.BadParameter(f"'{name}' is given twice", param_hint="--gen-arg")
        arguments[name] = typed_value(value, name, "--gen-arg")
    return arguments


def typed_value(text: str, name: str, option: str) -> Any:
    """Return the value of ``NAME=VALUE``: JSON, or the text as it stands where it does not begin like JSON.

    Raises:
        click.BadParameter: it begins as a list, an object or a quoted text does, and is not one.
    """
    plain = text.strip()
    if plain in ("True", "False"):
        return plain == "True"
    if not plain.startswith(("[", "{", '"')):
        return json_or_text(text)
    try:
        return json.loads(plain, parse_constant=_refuse)
    except json.JSONDecodeError as fault:
        reason = f"{fault.msg} at character {fault.pos + 1}"
    except (ValueError, RecursionError) as fault:
        reason = str(fault)
    raise click.BadParameter(
        f"the value of '{name}' is not valid JSON: {reason}. A text that begins so stands in JSON quotes",
        param_hint=option,
    )


def json_or_text(text: str) -> Any:
    """Return the JSON value of a text, or the text itself where it is not JSON.

    ``NaN`` and ``Infinity``, which Python's own decoder takes for numbers, are text.

    Examples:
        >>> json_or_text("0.5"), json_or_text("[1]"), json_or_text("7B"), json_or_text("NaN"), json_or_text('"1"')
        (0.5, [1], '7B', 'NaN', '1')
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def read_pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Read ``NAME=VALUE`` texts.

    Args:
        texts: the texts.
        option: named in errors.

    Raises:
        click.BadParameter: one does not have this form, or a name is given twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"'{text}' is not NAME=VALUE", param_hint=option)
        if name in pairs:
            raise click.BadParameter(f"'{name}' is given twice", param_hint=option)
        pairs[name] = value
    return pairs


def read_time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read an ISO time, or a date, which is its midnight."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"'{text}' is not an ISO time like 2026-07-26T12:00") from None


def read_assignments(texts: Iterable[str], *, typed: bool = True) -> dict[str, Any]:
    r"""Read ``k=v,k2=v2`` lists, as ``clem register`` takes them.

    A value is JSON where one stands there whole (so it may contain commas), and else the text up to the next comma.
    ``True`` and ``False`` are read as Python's. A dotted name is a field of a nested dict.

    Args:
        texts: the lists.
        typed: whether numbers and truth values are read as such; quoted strings, lists and dicts always are.

    Raises:
        click.BadParameter: a part is not ``name=value``, or a name is given twice.

    Examples:
        >>> read_assignments(["context_size=8k, languages=[\"en\", \"de\"],a.b=True,a.c=1.5"])
        {'context_size': '8k', 'languages': ['en', 'de'], 'a': {'b': True, 'c': 1.5}}
    """
    fields: dict[str, Any] = {}
    for text in texts:
        rest = text.strip()
        while rest:
            name, equals, value_text = rest.partition("=")
            name = name.strip()
            if not equals or not all(name.split(".")) or "," in name:
                raise click.BadParameter(f"'{rest}' does not begin with NAME=VALUE", param_hint="-v")
            value, rest = _first_value(value_text, typed)
            put(fields, name.split("."), value, name, "-v")
    return fields


def _first_value(text: str, typed: bool) -> tuple[Any, str]:
    """Return the value at the beginning of a text, and what comes after its comma."""
    text = text.lstrip()
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        after = text[end:].lstrip()
        if (not after or after.startswith(",")) and (typed or isinstance(value, (str, list, dict))):
            return value, after[1:].lstrip()
    word, _, rest = text.partition(",")
    word = word.strip()
    if typed and word in ("True", "False"):
        return word == "True", rest.lstrip()
    return word, rest.lstrip()


def put(fields: dict[str, Any], path: list[str], value: Any, name: str, option: str) -> None:
    """Put a value at a path of names into nested dicts; ``name`` and ``option`` are for errors."""
    for part in path[:-1]:
        fields = fields.setdefault(part, {})
        if not isinstance(fields, dict):
            raise click.BadParameter(
                f"'{name}' is a field of something that is given a value itself", param_hint=option
            )
    if path[-1] in fields:
        raise click.BadParameter(f"'{name}' is given twice", param_hint=option)
    fields[path[-1]] = value
