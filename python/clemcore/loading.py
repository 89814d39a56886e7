"""From what the user wrote to a model that answers: the whole flow in one place.

It does not know how any step is done; each stands in its own module.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.arguments.carried import carried_by
from clemcore.arguments.parameter import SAMPLING_FIELDS
from clemcore.backends.base import Backend, overrides_render
from clemcore.backends.lookup import ALIASES, BackendRegistry, packaged_file
from clemcore.backends.shadowing import warn_of_shadows
from clemcore.errors import BackendLoadError, SpecError
from clemcore.messages import Messages, check_messages
from clemcore.model import DEFAULT_GEN_ARGS, Model
from clemcore.registry import resolution
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.resolution import ModelSelector
from clemcore.registry.spec import MissingFieldError, ModelSpec
from clemcore.spelling import misspelling_of

if TYPE_CHECKING:
    from clemcore.diagnosis import Row
    from clemcore.prompts.proof import Case, Proof

logger = logging.getLogger(__name__)


def get_model_for(model: ModelSelector, gen_args: Mapping[str, Any] | None = None, *, client: Any = None) -> Model:
    """Load a model by its name, by a dict or by a specification.

    Args:
        model: what to load:

            * A name selects the first registry entry with that name.
            * A dict (also as JSON text) selects the first entry with its ``model_name``, or else with its
              ``model_id`` or ``huggingface_id``, that does not contradict it. It may add fields that the backend
              reads. Any other key is a generation argument (``temperature``, ``response_format``, …), which is
              sent or refused. A dict that has a name and a backend but matches no entry is itself the entry.
            * A :class:`ModelSpec` that was resolved before is used as it is.

            Fields under ``override`` are not used to find the entry. They replace fields of the entry: nested dicts
            are merged, and None removes a field. The record lists them.
        gen_args: generation arguments; they take precedence over those of the specification.
        client: a client of the ``openai`` package that sends the calls of a remote model, with its own address and
            key (``docs/backends/clients.md``).

    Returns:
        The model. ``temperature`` is 0.0 and ``max_tokens`` is 300 unless you set them.

    Raises:
        ModelNotFoundError: no entry matches; the message names the nearest models.
        SpecError: the selector or its override is invalid.
        BackendNotFoundError: the entry's backend does not exist.
        MissingExtraError: the backend's packages are not installed.
        RegistryError: the registry file of the working directory has errors.

    Examples:
        >>> model = get_model_for({"model_name": "mock", "temperature": 0.7})
        >>> model.temperature, model.max_tokens
        (0.7, 300)
        >>> model = get_model_for({"model_name": "mock", "override": {"model_config": {"responses": ["Yes."]}}})
        >>> model.generate_response([{"role": "user", "content": "Really?"}])[2]
        'Yes.'
    """
    return _load_all([model], gen_args, client)[0]


def load_model(model_spec: ModelSelector, gen_args: Mapping[str, Any] | None = None) -> Model:
    """Load one model; the name that 3.7.2 gave to :func:`get_model_for`."""
    return load_models([model_spec], gen_args)[0]


def load_models(model_specs: Sequence[ModelSelector], gen_args: Mapping[str, Any] | None = None) -> list[Model]:
    """Load several models; all are found, with their backends, before the first is loaded.

    Args:
        model_specs: names, dicts or specifications; see :func:`get_model_for`.
        gen_args: generation arguments of all of them.

    Raises:
        SpecError: a single model was given where a list is wanted.
    """
    if isinstance(model_specs, (str, Mapping, ModelSpec)):
        raise SpecError(f"load_models takes a list of models, not one: write load_models([{model_specs!r}])")
    return _load_all(model_specs, gen_args, None)


def _load_all(model_specs: Sequence[ModelSelector], gen_args: Mapping[str, Any] | None, client: Any) -> list[Model]:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    found = [resolution.resolve(model, registry) for model in model_specs]
    backends = BackendRegistry.from_packaged_and_cwd_files()
    for model, one in zip(model_specs, found, strict=True):
        warn_of_shadows(model, one, registry, backends)
    return [_load(one, backends, gen_args or {}, client) for one in found]


def resolve(model: ModelSelector, registry: ModelRegistry | None = None) -> ModelSpec:
    """Find the specification that a selector stands for, without loading anything.

    :func:`clemcore.registry.resolve` also says where its entry is.

    Raises:
        ModelNotFoundError: no entry matches; the message names the nearest models.
        SpecError: the selector or its override is invalid.
    """
    return resolution.resolve(model, registry).spec


def planned(model: ModelSelector, gen_args: Mapping[str, Any] | None = None) -> tuple[ModelSpec, dict[str, Any]]:
    """Return the specification and the generation arguments that a model would have; load nothing.

    Args:
        model: as for :func:`get_model_for`.
        gen_args: as for :func:`get_model_for`.

    Raises:
        ModelNotFoundError: no entry matches; the message names the nearest models.
        SpecError: the selector or its override is invalid.
        BackendNotFoundError: the entry's backend does not exist.
    """
    found, backends, _, _ = _found(model)
    cls = backends.get_backend_class(found.spec["backend"])
    asked = {**carried_by(found.spec, cls.argument_names(found.spec), found.added), **(gen_args or {})}
    return found.spec, {**asked, **{name: each for name, each in DEFAULT_GEN_ARGS.items() if name not in asked}}


def misspelt_arguments(model: ModelSelector, names: Collection[str]) -> dict[str, str]:
    """Return the names of generation arguments that are misspelt for a model, each with the name that is nearly it.

    Args:
        model: as for :func:`get_model_for`; nothing is loaded.
        names: names of generation arguments. A custom backend may take any.
    """
    found, backends, _, _ = _found(model)
    backend = found.spec["backend"]
    known = backends.get_backend_class(backend).argument_names(found.spec)
    if known is None:  # models that stand in for others take what one of these takes
        known = _core.argument_senders() if backend in _core.known_backends() else names
    known = {*known, *SAMPLING_FIELDS, *DEFAULT_GEN_ARGS}
    nearly = {name: misspelling_of(name, known) for name in names if name not in known}
    return {name: near for name, near in nearly.items() if near is not None}


def render(model: ModelSelector, messages: Messages, gen_args: Mapping[str, Any] | None = None) -> Any:
    """Return exactly what a call would send to a model; send nothing and load no weights.

    Args:
        model: as for :func:`get_model_for`.
        messages: as for ``generate_response``.
        gen_args: as for :func:`get_model_for`.

    Returns:
        The prompt as text where the model runs here, the request body where it runs behind an API.

    Raises:
        ClemcoreError: the backend does not show what it would send.
    """
    check_messages(messages)
    found, backends, _, _ = _found(model)
    spec = found.spec
    cls = backends.get_backend_class(spec["backend"])
    asked = {**carried_by(spec, cls.argument_names(spec), found.added), **(gen_args or {})}
    return cls.render(spec, messages, {**DEFAULT_GEN_ARGS, **asked}, asked.keys())


def examine(
    model: ModelSelector, messages: Messages, gen_args: Mapping[str, Any] | None = None
) -> tuple[ModelSpec, list[Row]]:
    """Look at everything that a call would use; send nothing and load no weights.

    Args:
        model: as for :func:`get_model_for`.
        messages: what the call would ask.
        gen_args: as for :func:`get_model_for`.

    Returns:
        The specification, and rows: where its entry stands, the backend, what the backend knows (address, key, …),
        the request, and its estimated cost. A row whose state is ``fault`` says why a call cannot work.

    Raises:
        ModelNotFoundError: no entry matches; the message names the nearest models.
        SpecError: the selector or its override is invalid.
    """
    from clemcore.diagnosis import Row, end_date, problem_rows, sending_nothing  # calls need nothing of it

    check_messages(messages)
    found, backends, place, shadows = _found(model)
    spec = found.spec
    rows = [Row("entry", place, "good", "" if place else "there is no entry: the selector is used as it is")]
    rows += [Row("shadows", None, "warning", text) for text in shadows]
    row = backends.get_first_file_matching(spec["backend"])
    rows.append(_backend_row(row))
    rows += problem_rows(spec)
    ended = end_date(spec)
    rows += [] if ended is None else [ended]
    cls = backends.get_backend_class(spec["backend"])
    with sending_nothing():
        rows += cls.examine(spec)
        if all(row.name != "body" for row in rows):
            rows += _body_rows(cls, found, messages, gen_args or {})
    return spec, rows


def _body_rows(
    cls: type[Backend], found: resolution.Resolution, messages: Messages, gen_args: Mapping[str, Any]
) -> list[Row]:
    """Show the request and its estimated cost; a backend need not be able to show what it would send."""
    from clemcore.diagnosis import Row, cost_rows, examined

    if not overrides_render(cls):
        return [Row("body", None, "good", "this backend does not show what it would send")]
    spec = found.spec

    def body() -> list[Row]:
        asked = {**carried_by(spec, cls.argument_names(spec), found.added), **gen_args}
        arguments = {**DEFAULT_GEN_ARGS, **asked}
        request = cls.render(spec, messages, arguments, asked.keys())
        return [Row("body", request), *cost_rows(spec, request, arguments)]

    return examined("body", body)


def _found(
    model: ModelSelector,
) -> tuple[resolution.Resolution, BackendRegistry, str | None, list[str]]:
    """Return what a selector stands for, the backends, the place of its entry, and what the two shadow."""
    registry = ModelRegistry.from_packaged_and_cwd_files()
    found = resolution.resolve(model, registry)
    backends = BackendRegistry.from_packaged_and_cwd_files()
    shadows = warn_of_shadows(model, found, registry, backends)
    place = None if found.source is None else f"{found.source}:{found.line}"
    return found, backends, place, shadows


def _backend_row(row: Mapping[str, str]) -> Row:
    from clemcore.backends.requirements import missing_packages
    from clemcore.diagnosis import Row

    name = ALIASES.get(row["backend"], row["backend"])
    file = row["file_path"] if name == row["backend"] else str(packaged_file(name))
    missing, command = missing_packages(Path(file)) if file.endswith(".py") else ([], None)
    value = {"name": name, "file": file}
    if missing:
        return Row("backend", value, "fault", f"not installed: {', '.join(missing)}: {command}")
    return Row("backend", value)


def prove(model: ModelSelector, cases: Sequence[Case] = (), now: datetime | None = None) -> Proof:
    """Compare a model's prompts with those that transformers makes; load its tokenizer and no weights.

    Args:
        model: as for :func:`get_model_for`.
        cases: conversations beside those that every proof has.
        now: pins the clock of the chat template on both sides.

    Returns:
        The proof, made anew and stored for later runs.

    Raises:
        ClemcoreError: the model's prompts are not made here, or it cannot be loaded.
    """
    found, backends, _, _ = _found(model)
    spec = found.spec
    cls = backends.get_backend_class(spec["backend"])
    return cls.prove(spec, cases, now)


def _load(
    found: resolution.Resolution, backends: BackendRegistry, gen_args: Mapping[str, Any], client: Any
) -> Model:
    spec = found.spec
    logger.info("loading %s with backend %s", spec["model_name"], spec["backend"])
    try:
        backend: Any = backends.get_backend_for(spec["backend"])
        model: Model
        if client is None:
            model = backend.get_model_for(spec)
        elif "client" in inspect.signature(backend.get_model_for).parameters:
            model = backend.get_model_for(spec, client=client)
        else:
            raise BackendLoadError(f"backend '{spec['backend']}' takes no client; leave 'client' out")
    except AttributeError as fault:
        # A backend that reads a field as an attribute; Python's own words do not say what fields there are.
        if isinstance(fault.obj, ModelSpec) and fault.name and not isinstance(fault, MissingFieldError):
            raise fault.obj.missing(fault.name) from fault
        raise
    model.set_gen_args(**{**carried_by(spec, backend.argument_names(spec), found.added), **gen_args})
    model.set_default_gen_args(DEFAULT_GEN_ARGS)
    return model


# -- names that scripts of 2024 use ----------------------------------------------------------------------
project_root = str(Path.cwd())
"""The folder that the process was started in; scripts of 2024 ran from the root of their checkout."""


def load_model_registry(*_: Any, **__: Any) -> ModelRegistry:
    """Return the registry; scripts of 2024 called this first, today it loads by itself."""
    return ModelRegistry.from_packaged_and_cwd_files()


load_custom_model_registry = load_model_registry


def get_logger(name: str) -> logging.Logger:
    """Return the logger of that name; today scripts say ``logging.getLogger``."""
    return logging.getLogger(name)
