"""Checks that a device map and the weight files belong to a model, by its modules without weights; none are read.

transformers notices some of this only after gigabytes were read, and some of it never.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.transformers.loading import model_class
from clemcore.backends.local.transformers.skeleton import Skeleton
from clemcore.backends.local.transformers.states import LINEAR_NAME, NEW_NAME, OLD_NAME, cache_name
from clemcore.backends.local.weight_files import folder_of, shapes_of, weight_files
from clemcore.errors import ModelLoadError, SpecError
from clemcore.spelling import misspelling_of

logger = logging.getLogger(__name__)

# Names that an error shows of those that are concerned.
_SHOWN = 3


def check(entry: LocalEntry, config: Any) -> None:
    """Check a device map and the shapes of weights against the model that the configuration describes.

    Args:
        entry: the settings.
        config: the model's configuration.

    Raises:
        SpecError: ``device_map`` names a module that the model does not have, or leaves one out.
        ModelLoadError: the configuration names a function that the library does not have, weights have other shapes
            than it says, or the model's code is of another version of the library.
    """
    try:
        code = entry.trust_remote_code
        model = Skeleton(config, None, trust_remote_code=code, model_class=model_class(entry)).model
    except Exception as error:  # noqa: BLE001 - code of a model may do anything; then it is found out when it is loaded
        logger.info("model '%s': no modules without weights: %s", entry.model_name, reason_of(error))
        _check_names(entry, config, error)
        return
    check_code(model, entry.model_name)
    if isinstance(entry.device_map, Mapping):
        _check_map(entry, entry.device_map, model)
    folder = folder_of(entry)
    if folder is not None and not entry.filename and getattr(config, "quantization_config", None) is None:
        _check_shapes(entry, {name: tuple(tensor.shape) for name, tensor in _tensors(model)}, _renamed(model))


def check_code(model: Any, name: str) -> None:
    """Refuse code of a model's own that was written for another version than the installed library.

    If it calls its cache otherwise, ``generate`` would feed it only the last token, without the ones before, and a
    ``forward`` that takes any name would say nothing. Code for transformers 4 often ends without ``post_init``;
    then transformers 5 fails in the middle of the weights.

    Args:
        model: the transformers model, with or without weights.
        name: the model's name, for messages.

    Raises:
        ModelLoadError: the code is of another version of the library.
    """
    import transformers

    if not hasattr(model, "all_tied_weights_keys"):
        raise ModelLoadError(
            f"model '{name}': its code ({type(model).__name__}) was written for transformers 4 and does not call "
            f"post_init, which transformers {transformers.__version__} needs to load weights: use a revision of "
            "the model for transformers 5, or serve the model and use the backend openai_compatible"
        )
    accepted, library = inspect.signature(model.forward).parameters, cache_name()
    others = [each for each in (NEW_NAME, OLD_NAME, LINEAR_NAME) if each in accepted]
    if library in accepted or not others or (library == OLD_NAME and others == [LINEAR_NAME]):
        return
    versions = "below 5.24" if library == NEW_NAME else "5.24 or newer"
    raise ModelLoadError(
        f"model '{name}': its code ({type(model).__name__}) calls the cache '{others[0]}', but transformers "
        f"{transformers.__version__} calls it '{library}', so that answers would be wrong: install transformers "
        f"{versions}, or a revision of the model for your version"
    )


def _check_names(entry: LocalEntry, config: Any, error: Exception) -> None:
    """Say which field of a configuration has a name that the library looked up in vain."""
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    field = _field_of(config.to_dict(), name) if isinstance(name, str) else None
    if field is None:
        return
    import transformers
    from transformers.activations import ACT2FN
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    near = misspelling_of(str(name), {*ACT2FN, *ROPE_INIT_FUNCTIONS})
    hint = f"did you mean {near!r}? Else " if near else ""
    raise ModelLoadError(
        f"model '{entry.model_name}': the configuration of '{entry.source}' says {field} {name!r}, which "
        f"transformers {transformers.__version__} does not know: {hint}correct its config.json, or update "
        "transformers"
    ) from error


def _field_of(fields: Mapping[str, Any], value: str) -> str | None:
    """Return the path of the field that has a value, or None."""
    for name, each in fields.items():
        inside = _field_of(each, value) if isinstance(each, Mapping) else None
        if each == value or inside is not None:
            return str(name) if inside is None else f"{name}.{inside}"
    return None


def _check_map(entry: LocalEntry, map_: Mapping[str, Any], model: Any) -> None:
    weights = [name for name, _ in _tensors(model)]
    names = {*(name for name, _ in model.named_modules()), *weights}
    what = f"model '{entry.model_name}': device_map"
    for part in map_:
        if part not in names:
            near = misspelling_of(part, names)
            tops = ", ".join(repr(name) for name, _ in model.named_children())
            hint = (
                f"did you mean {near!r}?"
                if near
                else f"its parts are {tops}, and those inside, as 'model.layers.0'"
            )
            raise SpecError(f"{what} names {part!r}, which is not a module of the model: {hint}")
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    left = [name for name in weights if name not in tied and not any(_is_in(name, part) for part in map_)]
    if left:
        raise SpecError(
            f"{what} says no device for {len(left)} weights: {_first(left)}; name their modules, or '' for all "
            "that is not named"
        )


def _is_in(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}.")


def _check_shapes(entry: LocalEntry, wanted: Mapping[str, tuple[int, ...]], renamed: list[str]) -> None:
    """Compare weights of the same name. Those that are renamed are compared as they are loaded."""
    folder = folder_of(entry)
    files = [path for path in weight_files(folder) if path.exists()] if folder is not None else []
    wrong = []
    for path in files:
        try:
            stored = shapes_of(path)
        except (OSError, ValueError, KeyError, TypeError):  # a file that is not whole has its own error
            continue
        for name, shape in stored.items():
            if name in wanted and wanted[name] != shape and not any(re.search(part, name) for part in renamed):
                wrong.append(f"{name} {list(shape)} instead of {list(wanted[name])}")
    if wrong:
        raise ModelLoadError(
            f"model '{entry.model_name}': {len(wrong)} weights in '{entry.source}' have other shapes than its "
            f"configuration says: {_first(sorted(wrong))}; the configuration does not belong to these weights"
        )


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    yield from model.named_parameters(remove_duplicate=False)


def _renamed(model: Any) -> list[str]:
    """Return patterns of the names that the library changes while it loads."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping

        found = get_model_conversion_mapping(model)
    except Exception as error:  # noqa: BLE001 - not public, and new in transformers 5
        logger.info("what transformers renames is not known: %s", reason_of(error))
        return [""]
    return [pattern for each in found for pattern in each.source_patterns]


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
