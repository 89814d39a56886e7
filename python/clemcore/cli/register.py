"""``clem register``: a model's entry, or a backend's key, written into its file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from clemcore.cli.inputs import examples, read_assignments
from clemcore.cli.terminal import is_terminal, note
from clemcore.secrets import is_secret_name, remember


@click.group(
    epilog=examples(
        'clem register model -n my-model -b openai_compatible -v "model_id=gpt-x,context_size=128k"',
        "clem register key -n openai",
    )
)
def register() -> None:
    """Write a model's entry, or a backend's key, into its file."""


@register.command(
    "model",
    short_help="Write a model's entry into ./model_registry.json.",
    epilog=examples(
        "clem register model -n my-model -b huggingface_local -v huggingface_id=org/name,context_size=8k",
        """clem register model -n my-model -v 'languages=["en", "de"],model_config.premade_chat_template=true'""",
        "clem register model -n my-model -b mock --reset",
    ),
)
@click.option("-n", "--name", required=True, help="The model's name.")
@click.option("-b", "--backend", help="Its backend; may be left out where an entry of that name has it.")
@click.option("-v", "--values", multiple=True, metavar="K=V,…", help="Fields of the entry; repeatable.")
@click.option("-r", "--reset", is_flag=True, help="Replace the entry as a whole instead of changing these fields.")
def model_(name: str, backend: str | None, values: tuple[str, ...], reset: bool) -> None:
    """Write a model's entry into ./model_registry.json.

    A value is JSON where it reads as such ('8', 'true', '["en", "de"]'), else text; dots make nested fields. Other
    entries, and the form of the file, stay as they are; a file with faults is not touched.
    """
    fields = read_assignments(values)
    for given, option in (("model_name", "-n"), ("lookup_source", None)):
        if given in fields:
            hint = f"give it by {option}" if option else "it is where the entry is, and not part of it"
            raise click.BadParameter(f"'{given}': {hint}", param_hint="-v")
    if backend is not None and fields.setdefault("backend", backend) != backend:
        raise click.BadParameter("'backend' differs from -b", param_hint="-v")
    for field in _secret_names(fields):
        raise click.BadParameter(
            f"'{field}': keys do not belong into a registry, which is shared: clem register key -n NAME",
            param_hint="-v",
        )
    from clemcore.registry.registry import ModelRegistry

    if "backend" in fields:
        _check_backend(str(fields["backend"]))
    registry = ModelRegistry.from_packaged_and_cwd_files()
    path = ModelRegistry.get_cwd_path()
    first = {"model_name": name, **({"backend": fields["backend"]} if "backend" in fields else {})}
    _check_fields({**first, **fields})
    registry.set_model_spec({**first, **fields, "lookup_source": path}, reset=reset)
    registry.persist()
    note(f"wrote the entry of '{name}' into {path}")


# A name that is so like another one is probably that one, misspelt.
_ALIKE = 0.8


def _check_backend(name: str) -> None:
    """Refuse a misspelt backend; warn of one that is not here, which can be written later."""
    from clemcore.backends.lookup import BackendRegistry

    backends = BackendRegistry.from_packaged_and_cwd_files()
    if backends.is_supported(name):
        return
    near = backends.nearest(name, _ALIKE)
    if near is not None:
        raise click.BadParameter(f"there is no backend '{name}': did you mean '{near}'?", param_hint="-b")
    note(f"clem: there is no backend '{name}' here; the entry can be used once there is a file {name}_api.py")


# Codes of problems with one field, which no further field can solve.
_OF_ONE_FIELD = ("R053", "R054", "R055", "R081")


def _check_fields(fields: dict[str, Any]) -> None:
    """Refuse a misspelt or misplaced field, and a value that no model is loaded with."""
    from clemcore import _core

    # A custom backend reads the keys that it likes.
    backend = fields.get("backend")
    if backend is not None and backend not in _core.known_backends():
        return
    for problem in _core.judge(fields):
        if problem.code in _OF_ONE_FIELD:
            advice = f"; {problem.help}" if problem.help else ""
            raise click.BadParameter(problem.message + advice, param_hint="-v")


def _check_key_name(name: str, known: Iterable[str]) -> None:
    """Warn of the name of a key that is nearly that of a backend or a service."""
    import difflib

    from clemcore.backends.lookup import BackendRegistry
    from clemcore.backends.service.hosts import HOSTS

    names = {*known, *HOSTS, *BackendRegistry.from_packaged_and_cwd_files().names()}
    near = [] if name in names else difflib.get_close_matches(name, sorted(names), n=1, cutoff=_ALIKE)
    if near:
        note(f"clem: no backend or service is called '{name}': did you mean '{near[0]}'?")


def _secret_names(fields: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in fields.items():
        if isinstance(value, dict):
            found += _secret_names(value, f"{prefix}{name}.")
        elif isinstance(value, str) and is_secret_name(name):
            found.append(prefix + name)
    return found


@register.command(
    "key",
    short_help="Write a backend's key into its file.",
    epilog=examples(
        "clem register key -n openai",
        "clem register key -n openai --from-env OPENAI_API_KEY",
        "clem register key -n openai_compatible -v base_url=http://localhost:8000/v1 < /dev/null",
        "pass show openai | clem register key -n openai --cwd",
    ),
)
@click.option("-n", "--name", required=True, help="The backend that the key is for, as registry entries name it.")
@click.option(
    "-v", "--values", multiple=True, metavar="K=V,…", help="Further fields (base_url, organization); repeatable."
)
@click.option("--from-env", metavar="VAR", help="Take the key from this environment variable.")
@click.option("-r", "--reset", is_flag=True, help="Replace the entry as a whole instead of changing these fields.")
@click.option("--cwd", is_flag=True, help="Write ./key.json even where there is none yet.")
def key_(name: str, values: tuple[str, ...], from_env: str | None, reset: bool, cwd: bool) -> None:
    """Write a backend's key into ./key.json where there is one, else into ~/.clemcore/key.json.

    The key is asked for without being shown, or read from standard input, or from an environment variable. It never
    has to stand on a command line. Left empty, it stays what it was, and only the further fields are written.
    """
    from clemcore.keys import KeyRegistry

    fields = read_assignments(values, typed=False)
    if fields.get("api_key"):
        if from_env is not None:
            raise click.BadParameter("'api_key' is given twice, by --from-env too", param_hint="-v")
        remember(fields["api_key"])
        note("clem: a key on the command line stays in the shell's history; leave it out to be asked for it")
    registry = KeyRegistry.from_json(fallback=not cwd)  # before the question: a broken file is told first
    _check_key_name(name, registry)
    if "api_key" not in fields:
        secret = _from_env(from_env) if from_env is not None else _asked(name)
        if secret:
            fields["api_key"] = secret
    if not fields:
        raise click.UsageError(f"no key was given for '{name}', and no further field: nothing was written")
    registry.set_key_for(name, fields, reset=reset)
    registry.persist()
    note(f"wrote the key of '{name}' into {registry.key_file_path}")


def _from_env(variable: str) -> str:
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise click.BadParameter(f"${variable} is not set, or empty", param_hint="--from-env")
    return secret


def _asked(name: str) -> str:
    if is_terminal(sys.stdin):
        secret: str = click.prompt(
            f"key for {name} (not shown)", default="", hide_input=True, show_default=False, err=True
        )
        return secret.strip()
    text = sys.stdin.buffer.read()
    try:
        secret = text.decode("utf-8").strip()
    except UnicodeDecodeError as fault:
        raise click.UsageError(f"standard input: byte {fault.start} is not UTF-8") from None
    if len(secret.split()) > 1:
        raise click.UsageError("standard input must hold the key and nothing else, but has several words or lines")
    return secret
