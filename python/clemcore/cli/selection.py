"""Which model a command means: ``-m``, ``--base-url``, ``--set``, or the default model.

The result is a selector. What it stands for is decided by :mod:`clemcore.registry.resolution`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.config import DEFAULT_MODEL, MODEL_VARIABLE, default_model
from clemcore.cli.inputs import AnyFunction, options, put, typed_value
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MODEL_HELP = (
    'Name in the registry, a selector as JSON (\'{"model_name": …, "backend": …}\'), or the folder or GGUF file '
    f"of a local model. By default ${MODEL_VARIABLE}, or what 'clem config {DEFAULT_MODEL}' keeps."
)
_URL_HELP = "Address of a server with OpenAI's protocol (http://localhost:8000/v1); -m is the model's name there."
_KEY_HELP = "With --base-url: the key to send; without it $OPENAI_COMPATIBLE_API_KEY, or none."

_SERVER = "openai_compatible"
# How only a path begins.
PATHS = ("/", "./", "../", "~/")


def read_model(_context: click.Context, _parameter: click.Parameter, text: str | None) -> ModelSpec | None:
    """Read a model's name or a selector; what cannot be read is an error with its place in the text."""
    return None if text is None else ModelSpec.from_string(text)


def complete_model(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the models whose names begin with what was typed."""
    from click.shell_completion import CompletionItem

    from clemcore.errors import RegistryError
    from clemcore.registry.registry import ModelRegistry
    from clemcore.registry.spec import HUMAN_NAMES, PROGRAMMATIC_NAMES

    try:
        found = {
            spec.get("model_name"): spec.get("backend") for spec in ModelRegistry.from_packaged_and_cwd_files()
        }
    except RegistryError:  # the command itself shows the faults
        found = {}
    found.update({HUMAN_NAMES[0]: "human", PROGRAMMATIC_NAMES[0]: "mock"})
    names = sorted(name for name in found if isinstance(name, str) and name.startswith(incomplete))
    return [CompletionItem(name, help=str(found[name])) for name in names]


def complete_backend(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the backends whose names begin with what was typed."""
    from click.shell_completion import CompletionItem

    from clemcore.backends.lookup import BackendRegistry

    names = {row["backend"] for row in BackendRegistry.from_packaged_and_cwd_files()}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete) and name[0] != "_"]


def set_option(command: AnyFunction) -> AnyFunction:
    """Add ``--set``; :func:`with_set` puts what it says into the selector."""
    return click.option(
        "set_",
        "--set",
        multiple=True,
        metavar="FIELD=JSON",
        help="Replace a field of the entry (model_config.thinking_mode=false; null removes it); repeatable.",
    )(command)


def name_or_folder(given: str, set_: Iterable[str]) -> ModelSpec:
    """Find the specification of a model by its name or selector, or make one of its folder or GGUF file.

    Args:
        given: what stands on the command line.
        set_: what ``--set`` says.
    """
    from clemcore import loading

    return loading.resolve(with_set(_or_folder(ModelSpec.from_string(given)), tuple(set_)))


def _or_folder(model: ModelSpec) -> ModelSpec:
    """Return a selector of the local model whose folder or GGUF file was given as a name, else the selector itself.

    A text without a slash is a folder only if the registry does not have this name, so that a folder of results
    does not change which model is asked.
    """
    given = model.get("model_name")
    if not isinstance(given, str) or list(model) != ["model_name"]:
        return model
    try:
        path = Path(given).expanduser()
        is_gguf = path.suffix.lower() == ".gguf" and path.is_file()
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError, RuntimeError):  # no path: too long, a null character, ~ of an unknown user
        return model
    if not (is_gguf or is_folder) or (path.name == given and _is_registered(model)):
        return _path_or_name(model, given, is_there=is_there)
    path = path.resolve()
    name, backend = (path.stem, "llamacpp") if is_gguf else (path.name, "huggingface_local")
    return ModelSpec(model_name=name, backend=backend, huggingface_id=str(path))


def _path_or_name(model: ModelSpec, given: str, *, is_there: bool) -> ModelSpec:
    """Return the selector of a name; refuse what can only be a path.

    Raises:
        SpecError: it is a path, and nothing is there.
    """
    if given.startswith(PATHS) and not is_there and not _is_registered(model):
        raise missing_path(given)
    return model


def missing_path(given: str) -> SpecError:
    """Return the error for a path at which there is no folder and no file."""
    return SpecError(f"there is no folder or file '{given}': correct the path, or name a model")


def _is_registered(model: ModelSpec) -> bool:
    from clemcore.errors import ModelNotFoundError
    from clemcore.registry.resolution import resolve

    try:
        resolve(model)
    except ModelNotFoundError:
        return False
    return True


_server_options = options(
    click.option("--base-url", metavar="URL", help=_URL_HELP),
    click.option("--key-name", metavar="NAME", help=_KEY_HELP),
    set_option,
)
_model_option = click.option(
    "-m", "--model", callback=read_model, metavar="MODEL", help=MODEL_HELP, shell_complete=complete_model
)
_model_argument = click.argument(
    "model", required=False, callback=read_model, metavar="[MODEL]", shell_complete=complete_model
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``-m`` and the options that belong to it; the command gets one selector, ``model``."""
    return _model_option(_server_options(_selecting(command)))


def model_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument ``MODEL`` and the options that belong to it; the command gets one selector, ``model``."""
    return _model_argument(_server_options(_selecting(command)))


def _selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def select(
        *, model: ModelSpec | None, base_url: str | None, key_name: str | None, set_: tuple[str, ...], **rest: Any
    ) -> Any:
        if rest.get("template") is not None and model is None:  # a chat template takes the model's place
            if base_url or key_name or set_:
                raise click.UsageError("--base-url, --key-name and --set describe a model; they need -m.")
            return command(model=None, **rest)
        if model is None and rest.get("again") is not None:
            from clemcore.cli.recorded_call import asked_again

            model = asked_again(rest["again"], rest["call"]).model
        if base_url is not None:
            model = _on_server(model, base_url, key_name)
        elif key_name is not None:
            raise click.UsageError("--key-name needs --base-url.")
        elif model is not None:
            model = _or_folder(model)
        if model is None and "template" in rest and default_model() is None:
            raise click.UsageError("Give either -m MODEL or --template FILE.")
        return command(model=with_set(model or _or_folder(_default()), set_), **rest)

    return select


def _default() -> ModelSpec:
    found = default_model()
    if found is None:
        raise click.UsageError(
            f"No model is given: name one, set ${MODEL_VARIABLE}, or keep one with "
            f"'clem config {DEFAULT_MODEL} NAME'."
        )
    return ModelSpec.from_string(found[0])


def _on_server(model: ModelSpec | None, base_url: str, key_name: str | None) -> ModelSpec:
    """Describe a model of a server that no registry names."""
    if model is None or list(model) != ["model_name"]:
        raise click.UsageError("--base-url needs the model's name at the server: -m NAME.")
    name = model["model_name"]
    # Only the server knows whether the model sees images. It is sent what the user gives.
    config: dict[str, Any] = {"multimodality": {"single_image": True, "multiple_images": True}}
    fields: dict[str, Any] = {"model_name": name, "model_id": name, "backend": _SERVER, "base_url": base_url}
    if key_name is not None:
        fields["key_name"] = key_name
    elif not os.environ.get(f"{_SERVER.upper()}_API_KEY", "").strip():
        config["requires_api_key"] = False
    return ModelSpec(**fields, model_config=config)


def with_set(model: ModelSpec, set_: Iterable[str]) -> ModelSpec:
    """Return a selector that also overrides what ``--set`` says; see :mod:`clemcore.registry.override`."""
    fields = read_set(set_)
    if not fields:
        return model
    from clemcore.registry.override import overriding

    return overriding(model, fields)


def read_set(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``FIELD=VALUE`` texts, one field each: the value is JSON, or the text as it stands.

    ``True`` and ``False`` are read as Python's. A dotted name is a field of a nested dict.

    Raises:
        click.BadParameter: a text does not have this form or says two things, or a field is given twice.

    Examples:
        >>> read_set(["model_config.thinking_mode=false", "model_config.cot_effort=low", "seed=null"])
        {'model_config': {'thinking_mode': False, 'cot_effort': 'low'}, 'seed': None}
    """
    fields: dict[str, Any] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        name = name.strip()
        if not equals or not all(name.split(".")):
            raise click.BadParameter(f"'{text}' is not FIELD=VALUE", param_hint="--set")
        value = typed_value(given, name, "--set")
        if isinstance(value, str) and value == given and _SECOND.search(given):
            raise click.BadParameter(
                f"'{text}': one field for each --set (a text that is meant so stands in JSON quotes)",
                param_hint="--set",
            )
        put(fields, name.split("."), value, name, "--set")
    return fields


# What looks like another assignment after a comma.
_SECOND = re.compile(r",\s*[A-Za-z_][\w.]*=")
