"""The model specification: which model, which backend, and whatever else the backend wants to know.

It knows how to be read from a name, a dict or a string, and how to unify with another specification. It does
not know the registry: which specification a name stands for is decided in :mod:`clemcore.registry`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from clemcore import _core
from clemcore.errors import SpecError

PROGRAMMATIC_NAMES = ("mock", "programmatic", "dry_run", "custom", "_slurk_response")
HUMAN_NAMES = ("human", "terminal")
# replay:PATH, replay:PATH#MODEL: the answers of a record.
REPLAY = "replay:"


class MissingFieldError(KeyError, AttributeError):
    """A field that the specification does not have: a KeyError by item, an AttributeError by attribute."""

    def __str__(self) -> str:
        """Give the message itself; KeyError alone would quote it."""
        from clemcore.visible import visible  # only here: most programs never show an error

        return visible(str(self.args[0])) if self.args else ""


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(
        f"a model specification is immutable, down to its nested {type(self).__base__.__name__}s: "  # type: ignore[union-attr]
        "copy it with spec.to_dict(), change the copy, and build a new ModelSpec from it"
    )


class FrozenDict(dict[str, Any]):
    """A dict that refuses changes; equal to, and written to JSON like, the plain dict."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by way of a plain dict, because unpickling sets items."""
        return FrozenDict, (dict(self),)

    def __copy__(self) -> dict[str, Any]:
        """A copy is there to be changed: give a plain dict."""
        return dict(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """A copy is there to be changed: give plain dicts and lists to the depth."""
        return _core.thaw(self)

    def copy(self) -> dict[str, Any]:
        """Return a plain dict with the same items."""
        return dict(self)


class FrozenList(list[Any]):
    """A list that refuses changes; equal to, and written to JSON like, the plain list."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by way of a plain list, because unpickling appends."""
        return FrozenList, (list(self),)

    def __copy__(self) -> list[Any]:
        """A copy is there to be changed: give a plain list."""
        return list(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        """A copy is there to be changed: give plain dicts and lists to the depth."""
        return _core.thaw(self)

    def copy(self) -> list[Any]:
        """Return a plain list with the same items."""
        return list(self)


def _hash(value: Any) -> int:
    if isinstance(value, dict):
        return hash(frozenset((key, _hash(item)) for key, item in value.items()))
    if isinstance(value, list):
        return hash(tuple(_hash(item) for item in value))
    try:
        return hash(value)
    except TypeError:  # an object that JSON cannot hold: equal specs still have equal hashes by type
        return hash(type(value))


class ModelSpec:
    """An immutable model specification.

    Fields are read as attributes, as items, with ``in`` and with ``.get``. A field whose name is also a method
    (``unify``, ``rename``, …) is read as an item only.

    Examples:
        >>> spec = ModelSpec(model_name="openchat", backend="openai_compatible", model_config={"n": [1]})
        >>> spec.backend, spec["model_config"]["n"], "model_id" in spec, spec.get("model_id")
        ('openai_compatible', [1], False, None)
        >>> spec == ModelSpec.from_dict(spec.to_dict()) and len({spec, spec.rename("other")}) == 2
        True
    """

    __slots__ = ("__dict__", "__weakref__", "_fields", "_hash_value")

    _fields: dict[str, Any]
    _hash_value: int

    PROGRAMMATIC_SPECS: ClassVar[list[str]] = list(PROGRAMMATIC_NAMES)
    HUMAN_SPECS: ClassVar[list[str]] = list(HUMAN_NAMES)

    def __init__(self, /, **fields: Any) -> None:
        """Take the fields as keyword arguments; nested dicts and lists are copied and frozen."""
        _take(self, _core.freeze(fields))

    # -- reading ---------------------------------------------------------------------------------------------
    if TYPE_CHECKING:
        # Fields are attributes by themselves.
        def __getattr__(self, name: str) -> Any: ...

    def __getitem__(self, name: str) -> Any:
        """Return the field of that name."""
        try:
            return self._fields[name]
        except KeyError:
            raise self.missing(name) from None

    def missing(self, name: str) -> MissingFieldError:
        """Make the error that says which field is missing, and which are there."""
        fields = ", ".join(self._fields) or "none"
        return MissingFieldError(f"the model specification has no field '{name}' (it has: {fields})")

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a field of that name."""
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        """Iterate over the field names, in order."""
        return iter(self._fields)

    def __len__(self) -> int:
        """Count the fields."""
        return len(self._fields)

    def keys(self) -> Any:
        """Return the field names, in order (so that ``dict(spec)`` and ``**spec`` work)."""
        return self._fields.keys()

    def items(self) -> Any:
        """Return the fields as pairs of name and value, in order."""
        return self._fields.items()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field of that name, or the default."""
        return self._fields.get(name, default)

    def has_attr(self, attribute: str) -> bool:
        """Tell whether there is a field of that name."""
        return attribute in self._fields

    def has_temperature(self) -> bool:
        """Tell whether the specification carries a sampling temperature."""
        return "temperature" in self._fields

    def has_backend(self) -> bool:
        """Tell whether the specification names a backend."""
        return "backend" in self._fields

    def is_human(self) -> bool:
        """Tell whether a person at the terminal answers."""
        return self.get("model_name") in HUMAN_NAMES

    def is_programmatic(self) -> bool:
        """Tell whether a program (the game, or a script) answers instead of a model."""
        return self.get("model_name") in PROGRAMMATIC_NAMES

    # -- identity --------------------------------------------------------------------------------------------
    def __eq__(self, other: object) -> bool:
        """Compare by fields and values; the order of the fields does not matter."""
        return self._fields == other._fields if isinstance(other, ModelSpec) else NotImplemented

    def __hash__(self) -> int:
        """Hash by fields and values."""
        try:
            return self._hash_value
        except AttributeError:  # not yet known
            value = _hash(self._fields)
            object.__setattr__(self, "_hash_value", value)
            return value

    def __setattr__(self, name: str, value: object = None) -> NoReturn:
        """Refuse: a specification is immutable."""
        from dataclasses import FrozenInstanceError  # what 3.7.2 raised here; imported only to be raised

        raise FrozenInstanceError(
            f"cannot change '{name}': a specification is immutable; build a new one from {{**spec.to_dict(), …}}"
        )

    __delattr__ = __setattr__

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields."""
        return type(self).from_dict, (dict(self._fields),)

    def __repr__(self) -> str:
        """Show the fields; values of fields that hold secrets are masked."""
        return f"ModelSpec({self})"

    def __str__(self) -> str:
        """Show the fields as a dict; values of fields that hold secrets are masked."""
        from clemcore.secrets import mask_fields

        return str(mask_fields(self.to_dict()))

    # -- building --------------------------------------------------------------------------------------------
    @classmethod
    def from_name(cls, model_name: str) -> ModelSpec:
        """Build a selector that asks for a model by its name.

        Raises:
            SpecError: the name is not a non-empty string.
        """
        if not isinstance(model_name, str) or not model_name.strip():
            raise SpecError(f"a model name must be a non-empty string, not {model_name!r}")
        return cls(model_name=model_name)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any]) -> ModelSpec:
        """Build a specification from a mapping of field names to values.

        Raises:
            SpecError: not a mapping, or a field name is not a string.
        """
        if not isinstance(spec, (dict, Mapping)):
            raise SpecError(f"a model specification must be a dict, not {type(spec).__name__}")
        try:
            return cls(**spec)
        except TypeError:
            odd = [key for key in spec if not isinstance(key, str)]
            if not odd:
                raise
        raise SpecError(f"field names of a model specification must be strings; these are not: {odd!r}")

    @classmethod
    def from_frozen(cls, fields: dict[str, Any]) -> ModelSpec:
        """Build a specification from fields that the core made, which are frozen and belong to nobody else."""
        spec = cls.__new__(cls)
        _take(spec, fields)
        return spec

    @classmethod
    def from_string(cls, model_string: str) -> ModelSpec:
        """Read a name, or a dict written as JSON or as a Python literal.

        A string that starts with ``{`` is a dict and must parse as one; anything else is a name.

        Raises:
            SpecError: the string starts with ``{`` but is neither JSON nor a Python dict.

        Examples:
            >>> ModelSpec.from_string("d'artagnan").model_name
            "d'artagnan"
            >>> ModelSpec.from_string("{'model_name': 'm', 'open_weight': True}").open_weight
            True
        """
        text = model_string.strip()
        if not text.startswith("{"):
            return cls.from_name(model_string)
        try:
            return cls.from_dict(_from_json(text))
        except json.JSONDecodeError as fault:
            json_fault = fault
        import ast

        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            fault_text = fault_of_dict(text, json_fault)
            raise SpecError(f"a model given as a dict must be JSON or a Python dict: {fault_text}") from None
        return cls.from_dict(value)

    @classmethod
    def from_strings(cls, model_strings: list[str]) -> list[ModelSpec]:
        """Read several names or dicts; see :meth:`from_string`."""
        return [cls.from_string(model_string) for model_string in model_strings]

    @classmethod
    def from_any(cls, model: str | Mapping[str, Any] | ModelSpec) -> ModelSpec:
        """Read what ``get_model_for`` takes: a name, a dict (also as text), or a specification.

        Raises:
            SpecError: it is none of these.
        """
        if isinstance(model, ModelSpec):
            return model
        if isinstance(model, str):
            return cls.from_string(model)
        if isinstance(model, Mapping):
            return cls.from_dict(model)
        raise SpecError(f"a model is given as a name, a dict or a ModelSpec, not {type(model).__name__}")

    def rename(self, other_name: str) -> ModelSpec:
        """Return the same specification under another model name."""
        return type(self)(**{**self._fields, "model_name": other_name})

    def unify(self, other: ModelSpec | Mapping[str, Any]) -> ModelSpec:
        """Merge with another specification where they do not contradict each other.

        The rule is nltk's feature-structure unification on plain dicts and lists, with two repairs
        (``docs/decisions/0001-layout-and-flow.md``). This specification's fields come first, in their order,
        then the other's new fields in sorted order.

        Raises:
            ValueError: a field has different values in the two (a :class:`SpecError`).
        """
        fields = other._fields if isinstance(other, ModelSpec) else dict(other)
        merged = _core.unify(self._fields, fields)
        if merged is None:
            raise SpecError(f"{self} does not unify with {other}")
        return ModelSpec.from_frozen(merged)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain dicts and lists, a copy to the depth."""
        return _core.thaw(self._fields)

    def to_string(self) -> str:
        """Return the fields as compact JSON."""
        return _to_json(self._fields)


def fault_of_dict(text: str, fault: json.JSONDecodeError) -> str:
    """Say what is wrong with a text that is neither JSON nor a Python dict: its quotes tell which it was to be.

    Args:
        text: the text.
        fault: why it is not JSON.

    Examples:
        >>> print(fault_of_dict("{'model_name': 'm'", json.JSONDecodeError("Expecting …", "", 1)))
        '{' was never closed at line 1, column 1 of "{'model_name': 'm'"
    """
    import ast

    what, line, column = fault.msg, fault.lineno, fault.colno
    is_python = text[1:].lstrip().startswith("'")
    try:
        ast.literal_eval(text)
    except SyntaxError as other:
        if is_python or "never closed" in other.msg:
            what, line, column = other.msg, other.lineno or line, other.offset or column
    except (ValueError, MemoryError, RecursionError):
        if is_python:
            return f"with Python's quotes, write True, False and None, and all texts in quotes, in {text!r}"
    return f"{what} at line {line}, column {column} of {text!r}"


def _take(spec: ModelSpec, frozen: dict[str, Any]) -> None:
    _set(spec, "_fields", frozen)
    # Fields are attributes of the object itself; names of methods stay methods.
    if not _RESERVED.isdisjoint(frozen):
        frozen = {name: value for name, value in frozen.items() if name not in _RESERVED}
    _set(spec, "__dict__", frozen)


class ResolvedSpec(ModelSpec):
    """A specification that has been resolved: it stands for itself, and no entry is looked for again."""

    __slots__ = ()


# A specification refuses changes.
_set = object.__setattr__
# Names that no attribute of a specification has, for they are those of its methods.
_RESERVED = frozenset(dir(ModelSpec))
_from_json = json.JSONDecoder().decode
_to_json = json.JSONEncoder(separators=(",", ":"), default=repr).encode
