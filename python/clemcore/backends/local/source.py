"""Where an entry's model is: the id of a repository on the hub, or something on this machine.

It knows names and paths, and neither what is in a folder nor what an engine reads.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path

from clemcore.errors import SpecError
from clemcore.registry.settings import problems_of, sentence
from clemcore.registry.spec import ModelSpec

# As huggingface_hub checks ids before it asks the hub.
_ID = re.compile(r"(\b[\w.-]{1,96}\b/)?\b[\w.-]{1,96}\b", re.ASCII)
# The code of the problem of an id that the hub does not have.
_HUB_ID = "R079"


@dataclass(frozen=True)
class Source:
    """What ``huggingface_id`` names.

    Attributes:
        given: as the entry says it.
        name: the hub id, or the path with ``~`` and variables expanded.
        path: the path, or None for a repository on the hub.
    """

    given: str
    name: str
    path: Path | None

    @property
    def meant(self) -> str:
        """The expanded path in brackets, for messages; empty where it is what the entry says."""
        return "" if self.name == self.given else f" (that is {self.name})"


def read_source(spec: ModelSpec) -> Source:
    """Return where a model is; a path that is returned exists.

    Raises:
        SpecError: it is missing, a path at which there is nothing, an id that the hub does not have, or a path with
            a ``revision``.
    """
    name, given = spec["model_name"], spec.get("huggingface_id")
    if not isinstance(given, str) or not given.strip():
        raise SpecError(f"model '{name}': huggingface_id must be a hub id or a folder's path, not {given!r}")
    source = Source(given, expanded(given), None)
    path = Path(source.name)
    if path.exists():
        if not (path.is_file() or path.is_dir()):
            raise SpecError(
                f"model '{name}': huggingface_id '{given}'{source.meant} is neither a file nor a folder: correct it"
            )
        if _has_revision(spec):
            raise SpecError(
                f"model '{name}': revision is a commit, branch or tag on the hub, and huggingface_id '{given}' is "
                "on this machine: remove revision, or name the model on the hub"
            )
        return dataclasses.replace(source, path=path)
    for problem in problems_of(spec):
        if problem.code == _HUB_ID:
            raise SpecError(sentence(spec, problem))
    if path.is_symlink():
        raise SpecError(
            f"model '{name}': huggingface_id '{given}'{source.meant} is a link to {path.readlink()}, which is not "
            "there: correct the link, or name the file itself"
        )
    if is_gguf(path.name) and (is_path(source.name) or path.parent.is_dir()):
        names = sorted(each.name for each in path.parent.iterdir()) if path.parent.is_dir() else []
        there = [file for file in names if is_gguf(file)]
        has = f"its folder has {', '.join(there)}" if there else "correct the path, or download the file"
        raise SpecError(
            f"model '{name}': the GGUF file '{given}'{source.meant} of huggingface_id is not there: {has}"
        )
    if is_path(source.name):
        raise SpecError(
            f"model '{name}': huggingface_id '{given}'{source.meant} is a path, but there is no such folder or file"
        )
    if not is_hub_id(source.name):
        raise SpecError(
            f"model '{name}': huggingface_id {given!r:.200} is not a folder or file of this machine, and not an id "
            "of the hub, which is OWNER/NAME, each of at most 96 letters, digits, '-', '_' and '.': correct it"
        )
    return source


def is_hub_id(text: str) -> bool:
    """Tell whether the hub takes a text as the id of a repository."""
    is_odd = "--" in text or ".." in text or text.endswith(".git")
    return not is_odd and _ID.fullmatch(text) is not None


def expanded(path: str) -> str:
    """Return a path with ``~`` and variables expanded; a hub id stays as it is."""
    return os.path.expandvars(str(Path(path).expanduser()) if path.startswith("~") else path)


def is_gguf(name: str) -> bool:
    """Tell a GGUF file by its name; some systems write names in capitals."""
    return name.lower().endswith(".gguf")


def is_path(text: str) -> bool:
    """Tell a path from the id of a repository on the hub."""
    return text.startswith((".", "/", "~", "$")) or text.count("/") > 1 or "$" in text


def _has_revision(spec: ModelSpec) -> bool:
    fields = spec.to_dict()
    return bool({**fields, **(fields.get("model_config") or {})}.get("revision"))
