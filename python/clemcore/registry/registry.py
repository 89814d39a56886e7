"""The model registry: which files it is made of, how a selector finds its entry, how entries are registered.

Files are read here; parsing, validation, matching and editing of text are the Rust core's. It does not know
backends, nor what an entry's fields mean to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import ModelNotFoundError, RegistryError
from clemcore.files import locked, replace_file
from clemcore.registry.layers import FILE_NAME, layers, read
from clemcore.registry.override import OVERRIDE, OverriddenSpec, overridden, split
from clemcore.registry.refusal import why_not_found
from clemcore.registry.spec import ModelSpec, ResolvedSpec
from clemcore.registry.special import special

if TYPE_CHECKING:
    from clemcore.registry.edits import Entries
    from clemcore.registry.explanation import Explanation


class ModelRegistry:
    """Model specifications in the order in which a selector tries them.

    Examples:
        >>> registry = ModelRegistry.from_packaged_and_cwd_files()
        >>> registry.get_first_model_spec_that_unify_with("mock").backend
        '_player_programmed'
    """

    def __init__(self, model_specs: Iterable[ModelSpec] | None = None) -> None:
        """Make a registry from specifications that are already read."""
        self._specs: list[ModelSpec] | None = list(model_specs or [])
        self._core: _core.Registry | None = None
        # The texts that it was read from, as long as it holds just what they say.
        self._texts: list[tuple[str, bytes | None]] | None = None
        # The specifications by name, as long as they are changed one by one.
        self._entries: Entries | None = None
        # Entries of the working directory that its file does not have yet, in the order in which they are written,
        # and whether each takes the place of the one of its name.
        self._pending: list[tuple[dict[str, Any], bool]] = []

    @classmethod
    def from_layers(cls, texts: Iterable[tuple[str, bytes | None]]) -> ModelRegistry:
        """Read registry texts, earlier layers first.

        Args:
            texts: pairs of a source name (a path, or ``packaged``) and the text; None for the packaged text.

        Raises:
            RegistryError: a text has faults; the error names all of them, in all layers, with their places.
        """
        registry = cls()
        registry._texts = list(texts)
        registry._core = _core.Registry.load(registry._texts)
        registry._specs = None
        return registry

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the texts that it was read from, which keeps line numbers, or else its specifications."""
        if self._texts is not None:
            return ModelRegistry.from_layers, (self._texts,)
        return _restored, (self._all(), self._pending)

    # -- where files are looked up -----------------------------------------------------------------------------
    @classmethod
    def get_cwd_path(cls) -> str:
        """Return the path of the registry file of the working directory."""
        return str(Path.cwd() / FILE_NAME)

    @classmethod
    def from_packaged_and_cwd_files(cls) -> ModelRegistry:
        """Read all layers, where there are such files; a selector tries them in this order.

        ``./model_registry.json``; the files and folders in ``$CLEMCORE_REGISTRY``, separated as in ``$PATH``;
        ``~/.clemcore/model_registry.json``; the files of plugins (entry points of the group
        ``clemcore.registries``, each a path or a function that returns one); the packaged registry.

        Raises:
            RegistryError: a file has faults, or one that was named is not there. Nothing of it is ignored.
        """
        return cls.from_layers(layers())

    @classmethod
    def from_directory(cls, dir_path: str | os.PathLike[str]) -> ModelRegistry:
        """Read ``model_registry.json`` of a folder."""
        return cls.from_json_file(Path(dir_path) / FILE_NAME)

    @classmethod
    def from_json_file(cls, file_path: str | os.PathLike[str]) -> ModelRegistry:
        """Read one registry file.

        Raises:
            RegistryError: it has faults, or cannot be read.
        """
        path = Path(file_path)
        return cls.from_layers([(str(path), read(path))])

    # -- reading -----------------------------------------------------------------------------------------------
    @property
    def model_specs(self) -> list[ModelSpec]:
        """All specifications, in order."""
        return list(self._all())

    def _all(self) -> list[ModelSpec]:
        if self._specs is None:
            core = self.compiled()
            self._specs = [ResolvedSpec.from_frozen(core.entry(index)) for index in range(len(core))]
        return self._specs

    def compiled(self) -> _core.Registry:
        """Return the core's registry of these specifications."""
        if self._core is None:
            self._core = _core.Registry.from_specs([spec.to_dict() for spec in self._specs or []])
        return self._core

    def __len__(self) -> int:
        """Count the specifications."""
        return len(self._specs) if self._specs is not None else len(self.compiled())

    def __iter__(self) -> Iterator[ModelSpec]:
        """Iterate over the specifications, in order."""
        return iter(self._all())

    def __repr__(self) -> str:
        """Show the number of specifications."""
        return f"ModelRegistry({len(self)} entries)"

    def select(self, selector: Callable[[ModelSpec], Any] | str | None = None) -> list[Any]:
        """Return one value per specification: a field by name, or the result of a function."""
        if selector is None:
            return self.model_specs
        if isinstance(selector, str):
            field = selector
            return [spec[field] for spec in self]
        return [selector(spec) for spec in self]

    def where(self, predicate: Callable[[ModelSpec], bool]) -> ModelRegistry:
        """Return a registry of the specifications for which the predicate is true."""
        chosen = ModelRegistry(spec for spec in self if predicate(spec))
        chosen._pending = [row for row in self._pending if predicate(ModelSpec.from_dict(row[0]))]
        return chosen

    def location(self, index: int) -> tuple[str, int]:
        """Return source and line of the entry at an index."""
        return self.compiled().location(index)

    # -- resolving ---------------------------------------------------------------------------------------------
    def find(self, model_selector: str | Mapping[str, Any] | ModelSpec) -> ModelSpec | None:
        """Return the first specification that matches a selector, merged with it, or None.

        If no entry of that name matches, the name is looked up as an alias; the specification has the entry's own
        name. Fields of the selector's ``override`` then replace those of the entry. A specification that already
        has an override is returned as it is.

        Raises:
            SpecError: the override is not a dict, or gives a field a value that it cannot have.
        """
        if type(model_selector) is dict and OVERRIDE not in model_selector:
            # A dict that is only compared need not become a specification first.
            found = self._resolve(model_selector)
            if found is not None:
                return ResolvedSpec.from_frozen(found[1])
            return special(model_selector)
        selector = ModelSpec.from_any(model_selector)
        if OVERRIDE in selector:
            selector, replaced = split(selector)
            spec = self.find(selector)
            return None if spec is None else overridden(spec, replaced)
        if isinstance(selector, OverriddenSpec):
            return selector
        found = self.compiled().resolve(selector._fields)
        return special(selector) if found is None else ResolvedSpec.from_frozen(found[1])

    def _resolve(self, selector: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        try:
            return self.compiled().resolve(selector)
        except (TypeError, ValueError):
            ModelSpec.from_dict(selector)  # says it better, if it is the selector's fault
            raise

    def explain(self, model_selector: str | Mapping[str, Any] | ModelSpec) -> Explanation:
        """Explain how a selector is resolved to its specification.

        Args:
            model_selector: as for ``get_model_for``; it may have an ``override``.

        Returns:
            Which entries were compared, in which order and layer; which fields refused each; which was chosen; and
            where each field of the specification comes from. ``str()`` of it is a readable report.

        Raises:
            SpecError: the selector or its override is invalid.
        """
        from clemcore.registry.explanation import explain  # dataclasses take their time to load

        return explain(ModelSpec.from_any(model_selector), self.compiled())

    def get_first_model_spec_that_unify_with(
        self, model_selector: str | Mapping[str, Any] | ModelSpec
    ) -> ModelSpec:
        """Return the first specification that matches a selector, merged with it.

        Raises:
            ModelNotFoundError: no entry matches. The message says which field refused which entry, or lists the
                nearest model names.
        """
        selector = ModelSpec.from_any(model_selector)
        found = self.find(selector)
        if found is None:
            raise self.not_found(selector)
        return found

    def not_found(self, selector: ModelSpec) -> ModelNotFoundError:
        """Make the error for a selector that no entry matches; its message is made only when it is read."""
        core = self.compiled()
        return ModelNotFoundError(lambda: why_not_found(core, selector))

    def why_not_found(self, selector: ModelSpec) -> str:
        """Explain why no entry matches a selector."""
        return why_not_found(self.compiled(), selector)

    # -- changing ----------------------------------------------------------------------------------------------
    def register_from_list(
        self, model_specs: list[dict[str, Any]] | dict[str, Any], lookup_source: str | None = None
    ) -> ModelRegistry:
        """Append entries given as dicts, which are left as they are.

        Raises:
            RegistryError: an entry is not a dict or has no backend.
        """
        entries = [model_specs] if isinstance(model_specs, Mapping) else list(model_specs)
        faults = [
            f"entry {index} ({entry.get('model_name', 'unnamed') if isinstance(entry, Mapping) else entry!r}) "
            + ("has no 'backend'" if isinstance(entry, Mapping) else "is not a dict")
            for index, entry in enumerate(entries)
            if not isinstance(entry, Mapping) or "backend" not in entry
        ]
        if faults:
            raise RegistryError("cannot register: " + "; ".join(faults))
        source = {} if lookup_source is None else {"lookup_source": lookup_source}
        specs = [
            ModelSpec.from_dict({**entry, **{k: v for k, v in source.items() if k not in entry}})
            for entry in entries
        ]
        self._specs = [*self._all(), *specs]
        self._core = self._texts = self._entries = None
        here = self.get_cwd_path()
        # Each is written before the others, so the last one goes first.
        self._pending += [(spec.to_dict(), False) for spec in reversed(specs) if spec.get("lookup_source") == here]
        return self

    def set_model_spec(self, model_spec: dict[str, Any], reset: bool = False) -> ModelSpec:
        """Set an entry in memory; :meth:`persist` writes it.

        Args:
            model_spec: the entry. With a ``lookup_source`` only an entry of that source is changed.
            reset: replace the entry of that name as a whole; otherwise its other fields stay and nested dicts
                are merged. An entry that changes nothing of another source is put in front.

        Returns:
            The specification that is in the registry now.

        Raises:
            SpecError: no backend is given, and no entry of that name has one.
        """
        from clemcore.registry.edits import Entries

        specs = self._all()
        if self._entries is None:
            self._entries = Entries(specs)
        index, merged = self._entries.merged(dict(model_spec), reset)
        spec = ModelSpec.from_dict(merged)
        self._entries.put(spec, index)
        if index is None:
            specs.insert(0, spec)
        else:
            specs[index] = spec
        self._core = self._texts = None
        if model_spec.get("lookup_source") == self.get_cwd_path():
            self._pending.append((merged, True))
        return spec

    def persist(self) -> None:
        """Write what was set or registered for the working directory into its registry file.

        That is what has this file as its ``lookup_source`` and does not come from it. Only these entries are
        written anew; all other bytes of the file stay as they are, and none is taken out. The file is replaced as a
        whole, under a lock, and never when it could not be read whole.

        Raises:
            RegistryError: the file there has faults, or would have; it is left as it is.
        """
        from clemcore.registry.edits import Entries

        path = Path(self.get_cwd_path())
        with locked(path):
            before = path.read_bytes() if path.exists() else None
            in_file = Entries([] if before is None else ModelRegistry.from_layers([(str(path), before)]))
            edits: list[tuple[dict[str, Any], int | None]] = []
            for entry, takes_a_place in self._pending:
                stored = {name: value for name, value in entry.items() if name != "lookup_source"}
                spec = ModelSpec.from_dict({**stored, "lookup_source": str(path)})
                if spec in in_file:
                    continue
                index = in_file.index_of(entry) if takes_a_place else None
                in_file.put(spec, index)
                edits.append((stored, index))
            if edits:
                text = _core.upsert_entries(before, edits, source=str(path)).encode("utf-8")
                _check_readable(path, text)
                replace_file(path, text)
        self._pending = []

    @classmethod
    def register(
        cls,
        model_name: str,
        *,
        backend: str | None = None,
        reset: bool = False,
        persist: bool = True,
        **kwargs: Any,
    ) -> ModelRegistry:
        """Set a model's entry in the registry file of the working directory.

        Args:
            model_name: the model's name.
            backend: its backend; may be left out where an entry of that name, also a packaged one, has it.
            reset: replace an entry of the file as a whole instead of changing the given fields.
            persist: write the file (else in memory only).
            **kwargs: further fields of the entry.

        Raises:
            RegistryError: the file there has faults, or would have some with this entry; it is left as it is.
            SpecError: no backend is known.
        """
        entry = {"model_name": model_name, "backend": backend, **kwargs}
        entry = {name: value for name, value in entry.items() if value is not None}
        registry = cls.from_packaged_and_cwd_files()
        registry.set_model_spec({**entry, "lookup_source": cls.get_cwd_path()}, reset=reset)
        if persist:
            registry.persist()
        return registry


def _restored(specs: list[ModelSpec], pending: list[tuple[dict[str, Any], bool]]) -> ModelRegistry:
    registry = ModelRegistry(specs)
    registry._pending = list(pending)
    return registry


def _check_readable(path: Path, text: bytes) -> None:
    """Refuse a text that could not be loaded again."""
    try:
        ModelRegistry.from_layers([(str(path), text)])
    except RegistryError as fault:
        raise RegistryError(f"nothing was written, for the file would read:\n{fault}", fault.problems) from None
